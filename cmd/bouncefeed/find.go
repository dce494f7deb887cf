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
	At      time.Time    `json:"at"`               // event: when the failure happened
	What    string       `json:"what"`             // event; held, dead or refused: set aside now; else what happened since the daemon's start: repeat, held …
	Where   string       `json:"where"`            // the input or output
	Number  string       `json:"number,omitempty"` // of an event for 'queue', of what is set aside for the command of that name
	Why     string       `json:"why,omitempty"`    // of what is set aside: what is missing, or the receiver's answer
	Event   event.Event  `json:"event"`
	Outputs []agent.Fate `json:"outputs,omitempty"` // of an event: what became of it
}

func newFind(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "find ADDRESS|@DOMAIN|MESSAGE-ID|QUEUE-ID|UUID",
		Short: "say what became of a bounce: sent, held, refused …",
		Long: `Looks for a bounce among what waits to be sent and what was sent, for as long as queue.retain says; among what is set
aside: held events, dead letters, refused records; and among the last 5000 things that happened since the daemon's start:
there it finds what was ignored as a repeat. When the daemon does not run, it looks into its queue. What the log says of
a bounce that was never found, 'grep … | bouncefeed explain -' tells.` + "\n" + exitHelp,
		Example: `  bouncefeed find jo@example.org
  bouncefeed find 4F1A01C2D0`,
		Args: oneArg,
		RunE: func(cmd *cobra.Command, args []string) error { return a.find(cmd, args[0]) },
	}
	return a.socketFlag(a.jsonFlag(cmd))
}

func (a *app) find(cmd *cobra.Command, word string) error {
	var all []found
	if err := a.onQueue(cmd, func(socket string) error { return findStored(cmd, socket, word, &all) }); err != nil {
		return err
	}
	err := a.findRecent(cmd, word, &all)
	down := errors.Is(err, control.ErrNotRunning)
	if err != nil && !down {
		return err
	}
	said := map[string]bool{}
	for i := range all {
		if a.json {
			err = printJSON(cmd, &all[i])
		} else {
			_, err = fmt.Fprint(cmd.OutOrStdout(), findLine(&all[i], said))
		}
		if err != nil {
			return err
		}
	}
	if down && !a.json {
		fmt.Fprintln(cmd.ErrOrStderr(), "the daemon does not run: this is what its queue knows")
	}
	if len(all) == 0 {
		return &exitError{exitFailure, "bouncefeed: nothing is known of " + clean(word) + ": what the log says of it, 'grep … | bouncefeed explain -' tells"}
	}
	return nil
}

// findStored finds what is in the queue.
func findStored(cmd *cobra.Command, socket, word string, all *[]found) error {
	ctx := cmd.Context()
	if err := agent.Calls.Events.Each(ctx, socket, agent.EventFilter{Match: word}, nil, func(p agent.Past, _ json.RawMessage) error {
		*all = append(*all, found{p.Event.Time, "event", p.Event.Input, fmt.Sprint(p.Seq), "", p.Event, p.Fates})
		return nil
	}); err != nil {
		return err
	}
	if err := agent.Calls.Held.Each(ctx, socket, agent.Selection{}, nil, func(h agent.HeldEvent, _ json.RawMessage) error {
		if agent.Matches(&h.Event, word) {
			*all = append(*all, found{h.Time, "held", h.Event.Input, fmt.Sprint(h.Seq), h.Why, h.Event, nil})
		}
		return nil
	}); err != nil {
		return err
	}
	if err := agent.Calls.Dead.Each(ctx, socket, agent.Selection{}, nil, func(d agent.DeadLetter, _ json.RawMessage) error {
		if agent.Matches(&d.Event, word) {
			*all = append(*all, found{d.Time, "dead", d.Output, fmt.Sprint(d.Seq), d.Answer, d.Event, nil})
		}
		return nil
	}); err != nil {
		return err
	}
	return agent.Calls.Refused.Each(ctx, socket, agent.Selection{}, nil, func(r agent.RefusedRecord, _ json.RawMessage) error {
		if strings.Contains(strings.ToLower(r.Body), strings.ToLower(word)) {
			*all = append(*all, found{r.Time, "refused", r.Input, r.Number, r.Why + ": " + cmp.Or(r.Means, r.Detail), event.Event{}, nil})
		}
		return nil
	})
}

// findRecent finds what only the daemon remembers: repeats, and what became of events that are in the queue no longer.
func (a *app) findRecent(cmd *cobra.Command, word string, all *[]found) error {
	socket, err := a.controlSocket(cmd)
	if err != nil {
		return err
	}
	stored := map[string]bool{}
	for i := range *all {
		stored[(*all)[i].Event.ID] = true
	}
	return agent.Calls.Tail.Each(cmd.Context(), socket, agent.LineFilter{Match: word, Since: time.Unix(1, 0)}, nil, func(l agent.Line, _ json.RawMessage) error {
		if l.Outcome == agent.Repeat || !stored[l.Event.ID] {
			*all = append(*all, found{At: l.At, What: l.Outcome, Where: l.Module, Event: l.Event})
		}
		return nil
	})
}

// findLine says what is known, and what the server said once for each event.
func findLine(f *found, said map[string]bool) string {
	var b strings.Builder
	what := f.What + " " + f.Where
	if f.Number != "" {
		what = f.What + " " + f.Number
	}
	line := fmt.Sprintf("%s  %-22s", f.At.Local().Format(time.DateTime), clean(what))
	if f.Event.Type != "" {
		line += " " + strings.TrimSpace(string(f.Event.Type)+" "+string(f.Event.Reason)) + "  " + clean(cmp.Or(f.Event.Recipient, f.Event.SubscriberUUID))
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
	if f.Event.Diagnostic != "" && !said[f.Event.ID] {
		said[f.Event.ID] = true
		wrap(&b, "    said: ", "      ", clean(f.Event.Diagnostic))
	}
	if f.Why != "" {
		wrap(&b, "    why: ", "      ", clean(f.Why))
	}
	for i := range f.Outputs {
		b.WriteString("    " + fateLine(&f.Outputs[i]) + "\n")
	}
	return b.String()
}

// fateLine says what became of an event at an output: "listmonk: sent 2026-11-22 07:01:03".
func fateLine(f *agent.Fate) string {
	line := clean(f.Output) + ": " + string(f.Outcome)
	if !f.At.IsZero() {
		line += " " + f.At.Local().Format(time.DateTime)
	}
	if f.Again != 0 {
		line += fmt.Sprintf(", queued once more as %d", f.Again)
	}
	if f.Answer != "" {
		line += ": " + clean(short(f.Answer, columns-len(line)-8))
	}
	return line
}
