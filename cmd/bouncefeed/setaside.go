package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/control"
)

// shelf is one place where events are set aside: the dead letters, or what is held.
type shelf struct {
	name, short, long string
	again, againShort string // the verb that sends an event after all
	call, callAgain   string // the control calls
	byOutput          bool
	row               func(v json.RawMessage) (seq uint64, line string, err error)
	header            string
}

func newDead(a *app) *cobra.Command {
	return a.newShelf(shelf{
		name: "dead", short: "look after events that a receiver refused for good",
		long:  "A receiver that answers 400, 413 or 422 will never take an event: it is set aside with the answer and never tried again by itself.",
		again: "retry", againShort: "send them once more", call: "dead", callAgain: "dead-retry", byOutput: true,
		header: "NUMBER\tOUTPUT\tTIME\tTYPE\tREASON\tRECIPIENT\tANSWER",
		row: func(v json.RawMessage) (uint64, string, error) {
			var d agent.DeadLetter
			err := json.Unmarshal(v, &d)
			return d.Seq, fmt.Sprintf("%d\t%s\t%s\t%s\t%s\t%s\t%s", d.Seq, d.Output, d.Time.Local().Format(time.RFC3339), d.Event.Type, d.Event.Reason, clean(d.Event.Recipient), clean(short(d.Answer, 100))), err
		},
	})
}

func newHeld(a *app) *cobra.Command {
	return a.newShelf(shelf{
		name: "held", short: "look after events that wait for an admin's word",
		long:  "An event that lacks proof is held: shown with what is missing, and sent only when it is released.",
		again: "release", againShort: "send them after all", call: "held", callAgain: "held-release",
		header: "NUMBER\tTIME\tTYPE\tREASON\tRECIPIENT\tWHY",
		row: func(v json.RawMessage) (uint64, string, error) {
			var h agent.HeldEvent
			err := json.Unmarshal(v, &h)
			return h.Seq, fmt.Sprintf("%d\t%s\t%s\t%s\t%s\t%s", h.Seq, h.Time.Local().Format(time.RFC3339), h.Event.Type, h.Event.Reason, clean(h.Event.Recipient), clean(h.Why)), err
		},
	})
}

func (a *app) newShelf(s shelf) *cobra.Command {
	cmd := &cobra.Command{Use: s.name, Short: s.short, Long: s.long + "\n" + exitHelp}
	var output string
	var all bool
	add := func(use, short string, args cobra.PositionalArgs, run func(cmd *cobra.Command, args []string, q url.Values) error) {
		sub := &cobra.Command{Use: use, Short: short, Args: args, RunE: func(cmd *cobra.Command, args []string) error {
			q := url.Values{"seq": args}
			if s.byOutput {
				q.Set("output", output)
			}
			if all {
				q.Set("all", "1")
			}
			return run(cmd, args, q)
		}}
		if s.byOutput {
			sub.Flags().StringVar(&output, "output", "", "only those of this `output`")
		}
		cmd.AddCommand(a.socketFlag(a.jsonFlag(sub)))
	}
	add("list", "list them", noArgs, func(cmd *cobra.Command, _ []string, q url.Values) error { return a.listShelf(cmd, s, q) })
	add("show NUMBER", "show one whole", oneArg, func(cmd *cobra.Command, args []string, q url.Values) error {
		return a.showShelf(cmd, s, args[0], q)
	})
	count := func(call, done string) func(*cobra.Command, []string, url.Values) error {
		return func(cmd *cobra.Command, _ []string, q url.Values) error { return a.countShelf(cmd, call, done, q) }
	}
	add(s.again+" NUMBER…|--all", s.againShort, cobra.ArbitraryArgs, count(s.callAgain, "queued to be sent"))
	add("drop NUMBER…|--all", "forget them for good", cobra.ArbitraryArgs, count(s.call+"-drop", "dropped"))
	for _, sub := range cmd.Commands() {
		if sub.Name() == s.again || sub.Name() == "drop" {
			sub.Flags().BoolVar(&all, "all", false, "all of them")
		}
	}
	return cmd
}

func (a *app) listShelf(cmd *cobra.Command, s shelf, q url.Values) error {
	socket, err := a.controlSocket(cmd)
	if err != nil {
		return err
	}
	t := newTable(cmd)
	n := 0
	err = control.Do(cmd.Context(), socket, s.call, q, nil, func(v json.RawMessage) error {
		if a.json {
			return printRaw(cmd, v)
		}
		_, line, err := s.row(v)
		if err != nil {
			return err
		}
		if n++; n == 1 {
			fmt.Fprintln(t, s.header)
		}
		_, err = fmt.Fprintln(t, line)
		return err
	})
	if ferr := t.Flush(); err == nil {
		err = ferr
	}
	if err == nil && n == 0 && !a.json {
		fmt.Fprintln(os.Stderr, "none")
	}
	return err
}

func (a *app) showShelf(cmd *cobra.Command, s shelf, number string, q url.Values) error {
	socket, err := a.controlSocket(cmd)
	if err != nil {
		return err
	}
	found := false
	err = control.Do(cmd.Context(), socket, s.call, q, nil, func(v json.RawMessage) error {
		seq, _, err := s.row(v)
		if err != nil || fmt.Sprint(seq) != number {
			return err
		}
		found = true
		if a.json {
			return printRaw(cmd, v)
		}
		var whole any
		if err := json.Unmarshal(v, &whole); err != nil {
			return err
		}
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(whole)
	})
	if err == nil && !found {
		err = errors.New("no such number: see 'bouncefeed " + s.name + " list'")
	}
	return err
}

func (a *app) countShelf(cmd *cobra.Command, call, done string, q url.Values) error {
	socket, err := a.controlSocket(cmd)
	if err != nil {
		return err
	}
	return control.Do(cmd.Context(), socket, call, q, nil, func(v json.RawMessage) error {
		if a.json {
			return printRaw(cmd, v)
		}
		var c agent.Count
		if err := json.Unmarshal(v, &c); err != nil {
			return err
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%d %s\n", c.Events, done)
		return err
	})
}
