package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/control"
)

func newStatus(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "show what the daemon reads, holds and has sent",
		Long: `Asks the running daemon. The counters are kept with the queue and add up: for every input
read = queued + held + ignored + refused, for every output what was queued = sent + not sent + dead + dropped + pending.
The exit code is 1 if an input or output does not work at the moment.` + "\n" + exitHelp,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			socket, err := a.controlSocket(cmd)
			if err != nil {
				return err
			}
			return agent.Calls.Status.Each(cmd.Context(), socket, control.None{}, nil, func(st agent.Status, raw json.RawMessage) error {
				if a.json {
					err = printRaw(cmd, raw)
				} else {
					err = printStatus(cmd.OutOrStdout(), &st)
				}
				if err == nil && troubled(&st) {
					err = &exitError{exitFailure, "bouncefeed: something does not work, see above"}
				}
				return err
			})
		},
	}
	return a.socketFlag(a.jsonFlag(cmd))
}

func troubled(st *agent.Status) bool {
	for _, in := range st.Inputs {
		if in.Problem != "" {
			return true
		}
	}
	for _, out := range st.Outputs {
		if out.Problem != "" {
			return true
		}
	}
	return st.Queue.Full
}

func printStatus(w io.Writer, st *agent.Status) error {
	var b strings.Builder
	fmt.Fprintf(&b, "bouncefeed %s on %s, running for %s\n", st.Version, st.Host, time.Since(st.Since).Round(time.Second))
	for _, in := range st.Inputs {
		fmt.Fprintf(&b, "\ninput %s (%s)", in.Name, in.Type)
		if in.At != "" {
			fmt.Fprintf(&b, " at %s", in.At)
		}
		switch {
		case in.Lag > 0:
			fmt.Fprintf(&b, ", %d %s behind", in.Lag, in.LagUnit)
		case in.Lag == 0:
			b.WriteString(", up to date")
		}
		if in.Gaps > 0 {
			fmt.Fprintf(&b, ", %d gaps", in.Gaps)
		}
		b.WriteString("\n")
		printProblem(&b, in.Problem, in.Since)
		fmt.Fprintf(&b, "  read %d = queued %d + held %d + ignored %d + refused %d\n", in.Read, in.Queued, in.Held, total(in.Ignored), total(in.Refused))
		printCounts(&b, "ignored", in.Ignored)
		printCounts(&b, "refused", in.Refused)
		for _, hint := range in.Hints {
			fmt.Fprintf(&b, "  hint: %s\n", hint)
		}
	}
	for _, out := range st.Outputs {
		fmt.Fprintf(&b, "\noutput %s (%s): sent %d, waiting %d, not sent %d, dead %d\n", out.Name, out.Type, out.Sent, out.Pending, out.NotSent, out.Dead)
		printProblem(&b, out.Problem, out.Since)
		if out.LastSent != nil {
			fmt.Fprintf(&b, "  last sent %s\n", out.LastSent.Local().Format(time.RFC3339))
		}
	}
	fmt.Fprintf(&b, "\nqueue %s: %d KiB used of %d KiB, %d held\n", st.Queue.Path, st.Queue.Used>>10, st.Queue.MaxSize>>10, st.Queue.Held)
	if st.Queue.Full {
		b.WriteString("  FULL: the inputs wait until an output takes events\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func printProblem(b *strings.Builder, problem string, since *time.Time) {
	if problem != "" {
		fmt.Fprintf(b, "  PROBLEM since %s: %s\n", since.Local().Format(time.RFC3339), clean(problem))
	}
}

func printCounts(b *strings.Builder, name string, m map[string]uint64) {
	if len(m) > 0 {
		fmt.Fprintf(b, "  %s: %s\n", name, counts(m))
	}
}

func total(m map[string]uint64) uint64 {
	var n uint64
	for _, v := range m {
		n += v
	}
	return n
}
