package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/config"
	"bouncefeed/internal/control"
)

// shelf is one place where events are set aside, as T: the dead letters, or what is held.
type shelf[T any] struct {
	name, short, long string
	again, againShort string // the verb that sends an event after all; none: they are only looked at
	byOutput, byInput bool
	byCause           bool // by what events have in common
	header            string
	number            func(T) string
	row               func(T) string
	print             func(io.Writer, T) error // one whole; nil: as JSON

	callList            control.Call[agent.Selection, T]
	callAgain, callDrop control.Call[agent.Selection, agent.Count]
}

func newDead(a *app) *cobra.Command {
	dead := newShelf(a, shelf[agent.DeadLetter]{
		name: "dead", short: "look after events that a receiver refused for good",
		long:  "A receiver that answers 400, 413 or 422 will never take an event: it is set aside with the answer and never tried again by itself.\nOf every output the newest 10000 are kept.",
		again: "retry", againShort: "send them once more", byOutput: true,
		header: "NUMBER\tOUTPUT\tTIME\tTYPE\tREASON\tRECIPIENT\tANSWER",
		number: func(d agent.DeadLetter) string { return fmt.Sprint(d.Seq) },
		row: func(d agent.DeadLetter) string {
			return fmt.Sprintf("%d\t%s\t%s\t%s\t%s\t%s\t%s", d.Seq, d.Output, d.Time.Local().Format(time.RFC3339), d.Event.Type, d.Event.Reason, clean(d.Event.Recipient), clean(short(d.Answer, 100)))
		},
		callList: agent.Calls.Dead, callAgain: agent.Calls.DeadRetry, callDrop: agent.Calls.DeadDrop,
	})
	edit := &cobra.Command{
		Use: "edit NUMBER FIELD=VALUE…", Short: "change one before it is retried",
		Long: "Changes recipient, subscriber_uuid, campaign_uuid or type of one dead letter, which keeps its id. It is not sent by that: retry it.\n" + exitHelp,
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			numbers, err := eventNumbers(args[:1])
			if err != nil {
				return err
			}
			e := agent.Edit{Number: numbers[0], Set: map[string]string{}}
			for _, arg := range args[1:] {
				field, value, ok := strings.Cut(arg, "=")
				if !ok {
					return fmt.Errorf("%q is not FIELD=VALUE, like recipient=jo@example.org", arg)
				}
				e.Set[field] = value
			}
			return countEvents(a, cmd, agent.Calls.DeadEdit, e, "changed: 'bouncefeed dead retry "+args[0]+"' sends it")
		},
	}
	dead.AddCommand(a.socketFlag(a.jsonFlag(edit)))
	return dead
}

func newHeld(a *app) *cobra.Command {
	return newShelf(a, shelf[agent.HeldEvent]{
		name: "held", short: "look after events that wait for an admin's word",
		long: `An event that lacks proof is held: shown with what is missing, and sent only when it is released.

So is a hard bounce when there are more of them within an hour than is plausible, in all, for one provider, one domain or one
relay (guard: in the configuration): an outage that answers "user unknown" to everybody must not unsubscribe a list. Look what
they have in common; then drop them if it was an outage, or release them if those people are gone. Once released, so many are
plausible. --excess, --domain, --provider and --reason name some without their numbers.`,
		again: "release", againShort: "send them after all", byCause: true, byInput: true,
		header: "NUMBER\tTIME\tTYPE\tREASON\tRECIPIENT\tWHY",
		number: func(h agent.HeldEvent) string { return fmt.Sprint(h.Seq) },
		row: func(h agent.HeldEvent) string {
			return fmt.Sprintf("%d\t%s\t%s\t%s\t%s\t%s", h.Seq, h.Time.Local().Format(time.RFC3339), h.Event.Type, h.Event.Reason, clean(h.Event.Recipient), clean(h.Why))
		},
		callList: agent.Calls.Held, callAgain: agent.Calls.HeldRelease, callDrop: agent.Calls.HeldDrop,
	})
}

func newRefused(a *app) *cobra.Command {
	return newShelf(a, shelf[agent.RefusedRecord]{
		name: "refused", short: "look at records that were not believed",
		long: `A line, mail or request that looks like a bounce and makes no sense, or has two readings, is refused: counted under a word
('bouncefeed words' explains them all) and kept aside, of every input the newest 1000, each up to 4 KiB. There is
nothing to do with one but to mend its cause.`,
		byInput: true,
		header:  "NUMBER\tTIME\tWHY\tDETAIL\tBEGINS",
		number:  func(r agent.RefusedRecord) string { return r.Number },
		row: func(r agent.RefusedRecord) string {
			return fmt.Sprintf("%s\t%s\t%s\t%s\t%s", r.Number, r.Time.Local().Format(time.RFC3339), r.Why, clean(short(r.Detail, 60)), clean(short(r.Body, 60)))
		},
		print:    printRefused,
		callList: agent.Calls.Refused,
	})
}

func printRefused(w io.Writer, r agent.RefusedRecord) error {
	var b strings.Builder
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-7s %s\n", name, clean(value))
		}
	}
	field("number", r.Number)
	field("input", r.Input)
	field("time", r.Time.Local().Format(time.RFC3339))
	field("why", r.Why)
	field("detail", r.Detail)
	field("means", r.Means)
	field("remedy", r.Remedy)
	b.WriteString("\n")
	for line := range strings.Lines(r.Body) {
		b.WriteString(clean(strings.TrimRight(line, "\r\n")) + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func newShelf[T any](a *app, s shelf[T]) *cobra.Command {
	cmd := &cobra.Command{
		Use: s.name, Short: s.short, Long: s.long + "\n" + exitHelp, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var which agent.Selection
	add := func(use, short string, args cobra.PositionalArgs, run func(cmd *cobra.Command, args []string) error) *cobra.Command {
		sub := &cobra.Command{Use: use, Short: short, Args: args, RunE: run}
		if s.byOutput {
			sub.Flags().StringVar(&which.Output, "output", "", "only those of this `output`; default: of all")
		}
		if s.byInput {
			sub.Flags().StringVar(&which.Input, "input", "", "only those of this `input`")
		}
		if s.byCause {
			sub.Flags().BoolVar(&which.Excess, "excess", false, "only what is held because there are more than is plausible")
			sub.Flags().StringVar(&which.Domain, "domain", "", "only of recipients at this `domain`")
			sub.Flags().StringVar(&which.Provider, "provider", "", "only of recipients at this `provider`, such as google")
			sub.Flags().StringVar(&which.Reason, "reason", "", "only with this `reason`")
		}
		if strings.Contains(use, "NUMBER") {
			sub.ValidArgsFunction = numbersOf(a, s.callList, agent.Selection{}, s.number, func(v T) string { return strings.ReplaceAll(s.row(v), "\t", "  ") })
		}
		cmd.AddCommand(a.socketFlag(a.jsonFlag(sub)))
		return sub
	}
	add("list", "list them", noArgs, func(cmd *cobra.Command, _ []string) error { return s.list(a, cmd, which) })
	add("show NUMBER", "show one whole", oneArg, func(cmd *cobra.Command, args []string) error { return s.show(a, cmd, which, args[0]) })
	if s.again == "" {
		return cmd
	}
	count := func(use, short, done string, call control.Call[agent.Selection, agent.Count]) {
		sub := add(use, short, cobra.ArbitraryArgs, func(cmd *cobra.Command, args []string) (err error) {
			if which.Numbers, err = eventNumbers(args); err != nil {
				return err
			}
			return countEvents(a, cmd, call, which, done)
		})
		sub.Flags().BoolVar(&which.All, "all", false, "all of them")
	}
	count(s.again+" NUMBER…|--all", s.againShort, "queued to be sent", s.callAgain)
	count("drop NUMBER…|--all", "forget them for good", "dropped", s.callDrop)
	return cmd
}

// eventNumbers reads the numbers that list shows.
func eventNumbers(args []string) (all []uint64, err error) {
	for _, arg := range args {
		n, err := strconv.ParseUint(arg, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is no number of an event: see the list", arg)
		}
		all = append(all, n)
	}
	return all, nil
}

func (s *shelf[T]) list(a *app, cmd *cobra.Command, which agent.Selection) error {
	t := newTable(cmd)
	n := 0
	err := eachStored(a, cmd, s.callList, which, func(v T, raw json.RawMessage) error {
		if a.json {
			return printRaw(cmd, raw)
		}
		if n++; n == 1 {
			fmt.Fprintln(t, s.header)
		}
		_, err := fmt.Fprintln(t, s.row(v))
		return err
	})
	if ferr := t.Flush(); err == nil {
		err = ferr
	}
	if err == nil && n == 0 && !a.json {
		fmt.Fprintln(cmd.ErrOrStderr(), "none")
	}
	return err
}

func (s *shelf[T]) show(a *app, cmd *cobra.Command, which agent.Selection, number string) error {
	found := false
	err := eachStored(a, cmd, s.callList, which, func(v T, raw json.RawMessage) error {
		if s.number(v) != number {
			return nil
		}
		found = true
		if a.json {
			return printRaw(cmd, raw)
		}
		if s.print != nil {
			return s.print(cmd.OutOrStdout(), v)
		}
		return printWhole(cmd.OutOrStdout(), raw)
	})
	if err == nil && !found {
		err = errors.New("no such number: see 'bouncefeed " + s.name + " list'")
	}
	return err
}

// eachStored asks the daemon, or, if none runs, its queue.
func eachStored[A, T any](a *app, cmd *cobra.Command, call control.Call[A, T], which A, each func(T, json.RawMessage) error) error {
	return a.onQueue(cmd, func(socket string) error { return call.Each(cmd.Context(), socket, which, nil, each) })
}

// onQueue has ask make its calls of the daemon, or, if none runs, of whoever opens its queue.
func (a *app) onQueue(cmd *cobra.Command, ask func(socket string) error) error {
	socket, err := a.controlSocket(cmd)
	if err != nil {
		return err
	}
	err = ask(socket)
	if !errors.Is(err, control.ErrNotRunning) || a.socket != "" {
		return err
	}
	cfg, cerr := a.configured(cmd)
	if cerr != nil {
		return cerr
	}
	stored, end, kerr := agent.OpenStored(cmd.Context(), cfg, newLogger(cmd.ErrOrStderr(), config.Log{Level: "warn", Format: "text"}))
	switch {
	case errors.Is(kerr, os.ErrNotExist): // nothing is stored yet
		return err
	case kerr != nil:
		return fmt.Errorf("%w; its queue: %w", err, kerr)
	}
	err = ask(stored)
	return cmp.Or(end(), err)
}

// countEvents makes a call that concerns some events and tells how many they were.
func countEvents[A any](a *app, cmd *cobra.Command, call control.Call[A, agent.Count], which A, done string) error {
	socket, err := a.controlSocket(cmd)
	if err != nil {
		return err
	}
	return call.Each(cmd.Context(), socket, which, nil, func(c agent.Count, raw json.RawMessage) error {
		if a.json {
			return printRaw(cmd, raw)
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%d %s\n", c.Events, done)
		return err
	})
}
