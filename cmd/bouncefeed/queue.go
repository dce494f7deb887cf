package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/control"
)

func newQueue(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "queue", Short: "look after events that wait to be sent, and what was sent",
		Long: `An event waits until every output has sent it, and stays for as long as queue.retain says, so that it can be told what became
of it and be sent again. Its number stays the same.` + "\n" + exitHelp,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newQueueList(a), newQueueShow(a),
		newQueueChange(a, "drop NUMBER…|--all", "send them no more",
			"What is dropped is not sent, and its repeats are ignored as those of what was sent. 'bouncefeed find' tells of it.",
			"dropped", true, agent.Calls.EventsDrop),
		newQueueChange(a, "replay NUMBER…|--all", "send once more what was sent",
			"For a receiver that lost what it had, by a restored backup say. What it still has is there twice then: listmonk does not know\na bounce that it has counted.",
			"queued to be sent again", false, agent.Calls.EventsReplay),
		newQueueFlush(a), newQueueAcknowledge(a))
	return cmd
}

// eventFilter has the flags that say which events are meant.
type eventFilter struct {
	agent.EventFilter
	olderThan, since string
}

func (f *eventFilter) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.Recipient, "recipient", "", "only those of this `address`")
	flags.StringVar(&f.Domain, "domain", "", "only those of recipients in this `domain`")
	flags.StringVar(&f.Reason, "reason", "", "only those of this `reason`")
	flags.StringVar(&f.Output, "output", "", "only those of this `output`; default: of all")
	flags.StringVar(&f.olderThan, "older-than", "", "only what failed before a `TIME` (10m, 2h, 1d, 2026-11-01 or RFC 3339)")
	flags.StringVar(&f.since, "since", "", "only what failed since a `TIME`")
}

func (f *eventFilter) times() (err error) {
	if f.Before, err = momentAgo(f.olderThan, time.Now()); err != nil {
		return err
	}
	f.Since, err = momentAgo(f.since, time.Now())
	return err
}

func newQueueList(a *app) *cobra.Command {
	f := &eventFilter{}
	var sent bool
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "list what waits", Args: noArgs,
		Long: "Lists what waits to be sent, oldest first; with --sent what is remembered besides, with what became of it.\n" + exitHelp,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.times(); err != nil {
				return err
			}
			f.Pending = !sent
			if f.Limit = 0; limit > 0 {
				f.Limit = limit + 1
			}
			return a.listEvents(cmd, f.EventFilter, limit)
		},
	}
	f.flags(cmd)
	cmd.Flags().BoolVar(&sent, "sent", false, "what was sent, too")
	cmd.Flags().IntVarP(&limit, "lines", "n", 1000, "at most so many; 0: all")
	return a.socketFlag(a.jsonFlag(cmd))
}

func (a *app) listEvents(cmd *cobra.Command, f agent.EventFilter, limit int) error {
	t := newTable(cmd)
	n := 0
	err := eachStored(a, cmd, agent.Calls.Events, f, func(p agent.Past, raw json.RawMessage) error {
		if n++; limit > 0 && n > limit {
			return nil
		}
		if a.json {
			return printRaw(cmd, raw)
		}
		if n == 1 {
			fmt.Fprintln(t, "NUMBER\tFAILED\tTYPE\tREASON\tRECIPIENT\tOUTPUTS")
		}
		_, err := fmt.Fprintln(t, eventRow(&p))
		return err
	})
	if ferr := t.Flush(); err == nil {
		err = ferr
	}
	switch {
	case err != nil || a.json:
	case n == 0:
		fmt.Fprintln(cmd.ErrOrStderr(), "none")
	case limit > 0 && n > limit:
		fmt.Fprintf(cmd.ErrOrStderr(), "there are more: -n 0 lists all, and flags say which\n")
	}
	return err
}

func eventRow(p *agent.Past) string {
	return fmt.Sprintf("%d\t%s\t%s\t%s\t%s\t%s", p.Seq, p.Event.Time.Local().Format("2006-01-02 15:04"), p.Event.Type, p.Event.Reason,
		clean(short(whom(p), 40)), clean(fatesText(p)))
}

// whom says whom an event is about.
func whom(p *agent.Past) string {
	if p.Event.Recipient == "" {
		return p.Event.SubscriberUUID
	}
	return p.Event.Recipient
}

// fatesText says in a line what became of an event: "listmonk, archive sent".
func fatesText(p *agent.Past) string {
	var all []string
	for _, f := range p.Fates {
		if f.Outcome == agent.Pending {
			all = append(all, f.Output)
		} else {
			all = append(all, f.Output+" "+string(f.Outcome))
		}
	}
	return strings.Join(all, ", ")
}

func newQueueShow(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "show NUMBER", Short: "show one whole", Args: oneArg,
		ValidArgsFunction: eventNumbersOf(a, true),
		RunE: func(cmd *cobra.Command, args []string) error {
			numbers, err := eventNumbers(args)
			if err != nil {
				return err
			}
			found := false
			for _, pending := range []bool{false, true} { // what is queued once more has a number of its own
				if found {
					break
				}
				err = eachStored(a, cmd, agent.Calls.Events, agent.EventFilter{Number: numbers[0], Pending: pending}, func(p agent.Past, raw json.RawMessage) error {
					found = true
					if a.json {
						return printRaw(cmd, raw)
					}
					return printWhole(cmd.OutOrStdout(), raw)
				})
				if err != nil {
					return err
				}
			}
			if !found {
				return errors.New("no such number: see 'bouncefeed queue list'")
			}
			return nil
		},
	}
	return a.socketFlag(a.jsonFlag(cmd))
}

// printWhole prints JSON for people, its keys sorted.
func printWhole(w io.Writer, raw json.RawMessage) error {
	var whole any
	if err := json.Unmarshal(raw, &whole); err != nil {
		return err
	}
	enc := newEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(whole)
}

// newQueueChange is a command that does something with events that their numbers or flags name.
func newQueueChange(a *app, use, short, long, done string, pending bool, call control.Call[agent.EventSelection, agent.Count]) *cobra.Command {
	f := &eventFilter{}
	var all bool
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.ArbitraryArgs,
		Long:              long + "\nFlags say which events are meant; without numbers, --all must confirm it.\n" + exitHelp,
		ValidArgsFunction: eventNumbersOf(a, pending),
		RunE: func(cmd *cobra.Command, args []string) error {
			numbers, err := eventNumbers(args)
			if err == nil {
				err = f.times()
			}
			if err != nil {
				return err
			}
			return countEvents(a, cmd, call, agent.EventSelection{EventFilter: f.EventFilter, Numbers: numbers, All: all}, done)
		},
	}
	f.flags(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "all that are meant")
	return a.socketFlag(a.jsonFlag(cmd))
}

func newQueueFlush(a *app) *cobra.Command {
	var args agent.FlushArgs
	cmd := &cobra.Command{
		Use: "flush", Short: "try now, instead of waiting for the next try", Args: noArgs,
		Long: "After a receiver's failure the daemon waits, up to a minute, or as long as the receiver asks for, before it tries again.\n" + exitHelp,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return countEvents(a, cmd, agent.Calls.Flush, args, "waiting: tried now")
		},
	}
	cmd.Flags().StringVar(&args.Output, "output", "", "only those of this `output`; default: of all")
	return a.socketFlag(a.jsonFlag(cmd))
}

// eventNumbersOf completes the numbers of what waits, or was sent.
func eventNumbersOf(a *app, pending bool) cobra.CompletionFunc {
	return numbersOf(a, agent.Calls.Events, agent.EventFilter{Pending: pending, Limit: 200},
		func(p agent.Past) string { return fmt.Sprint(p.Seq) },
		func(p agent.Past) string { return strings.ReplaceAll(eventRow(&p), "\t", "  ") })
}
