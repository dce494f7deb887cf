package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/control"
	"bouncefeed/internal/event"
)

// found is what is known of an event somewhere.
type found struct {
	At     time.Time   `json:"at"`
	What   string      `json:"what"`          // queued, repeat, sent, not_sent; held, dead or refused: set aside now
	Where  string      `json:"where"`         // the input or output
	Number string      `json:"number"`        // of what is set aside, for the command of that name
	Why    string      `json:"why,omitempty"` // of what is set aside: what is missing, or the receiver's answer
	Event  event.Event `json:"event"`
}

func newFind(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "find ADDRESS|@DOMAIN|MESSAGE-ID|QUEUE-ID|UUID",
		Short: "say what became of a bounce: sent, held, refused …",
		Long: `Looks for a bounce among the last 5000 events that the daemon remembers since its start (found when, sent where, or why
not), and among what is set aside: held events, dead letters, refused records. Those it also finds while the daemon does
not run. What the log says of it, 'grep … | bouncefeed explain -' tells.` + "\n" + exitHelp,
		Example: `  bouncefeed find jo@example.org
  bouncefeed find 4F1A01C2D0`,
		Args: oneArg,
		RunE: func(cmd *cobra.Command, args []string) error { return a.find(cmd, args[0]) },
	}
	return a.socketFlag(a.jsonFlag(cmd))
}

func (a *app) find(cmd *cobra.Command, word string) error {
	socket, err := a.controlSocket(cmd)
	if err != nil {
		return err
	}
	var all []found
	err = agent.Calls.Tail.Each(cmd.Context(), socket, agent.LineFilter{Match: word, Since: time.Unix(1, 0)}, nil, func(l agent.Line, _ json.RawMessage) error {
		all = append(all, found{At: l.At, What: l.Outcome, Where: l.Module, Event: l.Event})
		return nil
	})
	down := errors.Is(err, control.ErrNotRunning)
	if err != nil && !down {
		return err
	}
	if err := a.findAside(cmd, word, &all); err != nil && len(all) == 0 {
		return err
	}
	for _, f := range all {
		if a.json {
			err = printJSON(cmd, f)
		} else {
			_, err = fmt.Fprint(cmd.OutOrStdout(), findLine(&f))
		}
		if err != nil {
			return err
		}
	}
	if down && !a.json {
		fmt.Fprintln(cmd.ErrOrStderr(), "the daemon does not run: only what is set aside was looked at")
	}
	if len(all) == 0 {
		return &exitError{exitFailure, "bouncefeed: nothing is known of " + clean(word) + ": what the log says of it, 'grep … | bouncefeed explain -' tells"}
	}
	return nil
}

// findAside finds what is held, dead or refused.
func (a *app) findAside(cmd *cobra.Command, word string, all *[]found) error {
	err := eachStored(a, cmd, agent.Calls.Held, agent.Selection{}, func(h agent.HeldEvent, _ json.RawMessage) error {
		if agent.Matches(&h.Event, word) {
			*all = append(*all, found{h.Time, "held", h.Event.Input, fmt.Sprint(h.Seq), h.Why, h.Event})
		}
		return nil
	})
	if err != nil { // the others can't be asked either
		return err
	}
	err = eachStored(a, cmd, agent.Calls.Dead, agent.Selection{}, func(d agent.DeadLetter, _ json.RawMessage) error {
		if agent.Matches(&d.Event, word) {
			*all = append(*all, found{d.Time, "dead", d.Output, fmt.Sprint(d.Seq), d.Answer, d.Event})
		}
		return nil
	})
	return errors.Join(err, eachStored(a, cmd, agent.Calls.Refused, agent.Selection{}, func(r agent.RefusedRecord, _ json.RawMessage) error {
		if strings.Contains(strings.ToLower(r.Body), strings.ToLower(word)) {
			*all = append(*all, found{r.Time, "refused", r.Input, r.Number, r.Why + ": " + cmp.Or(r.Means, r.Detail), event.Event{}})
		}
		return nil
	}))
}

func findLine(f *found) string {
	var b strings.Builder
	what := f.What + " " + f.Where
	if f.Number != "" {
		what = f.What + " " + f.Number
	}
	line := fmt.Sprintf("%s  %-22s", f.At.Local().Format(time.DateTime), clean(what))
	if f.Event.Type != "" {
		line += " " + strings.TrimSpace(string(f.Event.Type)+" "+string(f.Event.Reason)) + "  " + clean(f.Event.Recipient)
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
	if f.Event.Diagnostic != "" {
		wrap(&b, "    said: ", "      ", clean(f.Event.Diagnostic))
	}
	if f.Why != "" {
		wrap(&b, "    why: ", "      ", clean(f.Why))
	}
	return b.String()
}
