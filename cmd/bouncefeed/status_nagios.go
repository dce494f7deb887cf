package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/control"
)

// nagios prints one line as the plugins of Nagios and Icinga do, also where the daemon can't be asked.
func nagios(cmd *cobra.Command, socket string, err error) error {
	var st agent.Status
	if err == nil {
		st, err = agent.Calls.Status.Ask(cmd.Context(), socket, control.None{}, nil)
	}
	code, line := 0, ""
	switch {
	case errors.Is(err, control.ErrNotRunning):
		code, line = 2, "BOUNCEFEED CRITICAL - the daemon does not run"
	case err != nil:
		code, line = 3, "BOUNCEFEED UNKNOWN - "+clean(oneLine(err.Error()))
	default:
		code, line = stateCode(st.State), nagiosLine(&st)
	}
	if _, err := io.WriteString(cmd.OutOrStdout(), line+"\n"); err != nil {
		return err
	}
	if code != 0 {
		return &exitError{code, ""}
	}
	return nil
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func nagiosLine(st *agent.Status) string {
	word := map[string]string{agent.StateWarning: "WARNING", agent.StateCritical: "CRITICAL"}[st.State]
	said := fmt.Sprintf("%s, %s", plural(uint64(len(st.Inputs)), "input"), plural(uint64(len(st.Outputs)), "output"))
	if word == "" {
		word = "OK"
	} else {
		var all []string
		for _, p := range st.Problems {
			text := p.Text
			if strings.HasPrefix(p.What, "input ") || strings.HasPrefix(p.What, "output ") || p.What == "queue" {
				text = p.What + ": " + text
			}
			if p.Since != nil {
				text += " (since " + p.Since.Local().Format(time.DateTime) + ")"
			}
			all = append(all, strings.ReplaceAll(clean(oneLine(short(text, 200))), "|", "/"))
		}
		said = strings.Join(all, "; ")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "BOUNCEFEED %s - %s |", word, said)
	data := func(name, value string) { fmt.Fprintf(&b, " '%s'=%s", strings.ReplaceAll(name, "'", ""), value) }
	for _, in := range st.Inputs {
		data(in.Name+"_read", fmt.Sprintf("%dc", in.Read))
		if in.Lag >= 0 {
			unit := ""
			if in.LagUnit == "bytes" {
				unit = "B"
			}
			data(in.Name+"_lag", fmt.Sprintf("%d%s", in.Lag, unit))
		}
	}
	for _, out := range st.Outputs {
		data(out.Name+"_sent", fmt.Sprintf("%dc", out.Sent))
		data(out.Name+"_waiting", fmt.Sprint(out.Pending))
		data(out.Name+"_dead", fmt.Sprintf("%d;0", out.Dead))
	}
	data("held", fmt.Sprintf("%d;0", st.Queue.Held))
	limit := ""
	if st.Queue.MaxSize > 0 {
		limit = fmt.Sprintf(";;;0;%d", st.Queue.MaxSize)
	}
	data("queue", fmt.Sprintf("%dB%s", st.Queue.Used, limit))
	return b.String()
}
