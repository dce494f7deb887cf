package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/control"
)

// statusForm is how status is to be said.
type statusForm struct {
	nagios     bool
	watch      bool
	every      time.Duration
	prometheus string // the file to write; "-": standard output
}

func newStatus(a *app) *cobra.Command {
	var form statusForm
	cmd := &cobra.Command{
		Use:   "status",
		Short: "show what the daemon reads, holds and has sent, and what does not work",
		Long: `Asks the running daemon. The counters are kept with the queue and add up: for every input
read = queued + held + ignored + refused, for every output what was queued = sent + not sent + dead + dropped + pending.
Positions are those of what is on disk.

A PROBLEM is an input or output that does not work now, a dead letter, an event held for want of proof, a full or damaged
queue. The exit code is that of a Nagios plugin: 0 all is well, 1 there is a problem, 2 nothing is read, nothing is
delivered, or the queue is full. A daemon that does not run is 69, and with --nagios 2.

--prometheus writes metrics for node_exporter's textfile collector, by renaming a whole file: the same that Prometheus can
have at /metrics of the listener web:. Of a daemon that does not run it says that alone.` + "\n" + exitHelp,
		Example: `  bouncefeed status --watch
  bouncefeed status --nagios
  bouncefeed status --prometheus /var/lib/prometheus/node-exporter/bouncefeed.prom`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			socket, err := a.controlSocket(cmd)
			switch {
			case form.nagios:
				return nagios(cmd, socket, err)
			case err != nil:
				return err
			case form.prometheus != "":
				return writeMetrics(cmd, socket, form.prometheus)
			case form.watch:
				return watchStatus(cmd, socket, form.every)
			}
			return a.status(cmd, socket)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&form.watch, "watch", false, "show it again and again, with rates, until Ctrl-C")
	f.DurationVar(&form.every, "every", 2*time.Second, "how often --watch asks")
	f.BoolVar(&form.nagios, "nagios", false, "print one line with performance data, as a Nagios plugin does")
	f.StringVar(&form.prometheus, "prometheus", "", "write metrics to a `file` (- is standard output)")
	a.socketFlag(a.jsonFlag(cmd))
	cmd.MarkFlagsMutuallyExclusive("watch", "nagios", "prometheus", "json")
	return cmd
}

func (a *app) status(cmd *cobra.Command, socket string) error {
	return agent.Calls.Status.Each(cmd.Context(), socket, control.None{}, nil, func(st agent.Status, raw json.RawMessage) (err error) {
		if a.json {
			err = printRaw(cmd, raw)
		} else {
			_, err = io.WriteString(cmd.OutOrStdout(), statusText(&st, time.Now()))
		}
		if err == nil && len(st.Problems) > 0 {
			err = &exitError{stateCode(st.State), "bouncefeed: " + plural(uint64(len(st.Problems)), "problem") + ", see above"}
		}
		return err
	})
}

// stateCode is a Nagios plugin's exit code.
func stateCode(state string) int {
	switch state {
	case agent.StateCritical:
		return 2
	case agent.StateWarning:
		return 1
	}
	return 0
}

// watchStatus prints it over and over, with what went on in between.
func watchStatus(cmd *cobra.Command, socket string, every time.Duration) error {
	every = max(every, 100*time.Millisecond)
	var before *agent.Status
	var asked time.Time
	for {
		st, err := agent.Calls.Status.Ask(cmd.Context(), socket, control.None{}, nil)
		now := time.Now()
		if err != nil && cmd.Context().Err() == nil {
			return err
		}
		text := statusText(&st, now)
		if before != nil {
			text += "\n" + ratesText(before, &st, now.Sub(asked))
		}
		if isTerminal(cmd.OutOrStdout()) {
			text = "\x1b[H\x1b[2J" + text
		} else {
			text += "\n"
		}
		if cmd.Context().Err() == nil {
			if _, err := io.WriteString(cmd.OutOrStdout(), text); err != nil {
				return err
			}
		}
		before, asked = &st, now
		select {
		case <-cmd.Context().Done():
			if errors.Is(cmd.Context().Err(), context.Canceled) {
				return nil
			}
			return cmd.Context().Err()
		case <-time.After(every):
		}
	}
}

// writeMetrics writes them beside the file and renames: the collector never sees a half of one.
func writeMetrics(cmd *cobra.Command, socket, file string) error {
	text, err := agent.Calls.Metrics.Ask(cmd.Context(), socket, control.None{}, nil)
	if errors.Is(err, control.ErrNotRunning) {
		text, err = agent.NoMetrics(), nil
	}
	if err != nil {
		return err
	}
	if file == "-" {
		_, err := io.WriteString(cmd.OutOrStdout(), text)
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-")
	if err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	_, err = temp.WriteString(text)
	err = errors.Join(err, temp.Chmod(0o644), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), file)
	}
	if err != nil {
		os.Remove(temp.Name())
		return fmt.Errorf("write metrics: %w", err)
	}
	return nil
}
