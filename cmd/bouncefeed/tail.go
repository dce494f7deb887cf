package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
)

func newTail(a *app) *cobra.Command {
	f := agent.LineFilter{}
	var since string
	var follow, stay bool
	cmd := &cobra.Command{
		Use:   "tail [ADDRESS|@DOMAIN|MESSAGE-ID|QUEUE-ID|UUID]",
		Short: "watch events as they are found and sent",
		Long: `Shows the last events and every one from now on: when an input found it (queued, repeat, held) and what came of it at an
output (sent, not_sent, dead). The daemon remembers the last 5000 since its start. It ends with Ctrl-C and never slows
the daemon down.` + "\n" + exitHelp,
		Example: `  bouncefeed tail --type hard
  bouncefeed tail --since 1h --no-follow @example.org`,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if len(args) > 1 {
				return noArgs(cmd, args[1:])
			}
			f.Match, f.Follow = strings.Join(args, ""), follow && !stay
			if f.Since, err = momentAgo(since, time.Now()); err != nil {
				return err
			}
			if !f.Since.IsZero() && !cmd.Flags().Changed("lines") {
				f.Last = 0
			}
			socket, err := a.controlSocket(cmd)
			if err != nil {
				return err
			}
			err = agent.Calls.Tail.Each(cmd.Context(), socket, f, nil, func(l agent.Line, raw json.RawMessage) error {
				if a.json {
					return printRaw(cmd, raw)
				}
				_, err := io.WriteString(cmd.OutOrStdout(), tailLine(&l))
				return err
			})
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.Type, "type", "", "only hard, soft or complaint")
	flags.StringVar(&f.Reason, "reason", "", "only this `reason`")
	flags.StringVar(&f.Module, "input", "", "only those of this `input`")
	flags.StringVar(&f.Module, "output", "", "only those of this `output`; default: of all")
	flags.StringVar(&since, "since", "", "what happened since a `TIME` (10m, 2h, 1d, 2026-11-01 or RFC 3339)")
	flags.IntVarP(&f.Last, "lines", "n", 10, "how many of what happened before")
	flags.BoolVarP(&follow, "follow", "f", true, "go on with what happens from now on")
	flags.BoolVar(&stay, "no-follow", false, "end with what happened until now")
	a.socketFlag(a.jsonFlag(cmd))
	cmd.MarkFlagsMutuallyExclusive("input", "output")
	return cmd
}

// tailLine is a line as wide as a terminal.
func tailLine(l *agent.Line) string {
	what := string(l.Event.Type)
	if l.Event.Reason != "" {
		what += " " + string(l.Event.Reason)
	}
	whom := l.Event.Recipient
	if whom == "" {
		whom = l.Event.SubscriberUUID
	}
	line := fmt.Sprintf("%s %-8s %-12s %-22s %s", l.At.Local().Format(time.TimeOnly), l.Outcome, clean(l.Module), what, clean(whom))
	if room := columns - len([]rune(line)) - 2; room > 12 {
		line += "  " + clean(short(l.Event.Diagnostic, room-1))
	}
	return strings.TrimRight(line, " ") + "\n"
}

// momentAgo reads a time, or how long ago it was; empty is no bound.
func momentAgo(s string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	var days int
	if n, err := fmt.Sscanf(s, "%dd", &days); n == 1 && err == nil && s == fmt.Sprintf("%dd", days) {
		return now.AddDate(0, 0, -days), nil
	}
	return parseTime(s)
}
