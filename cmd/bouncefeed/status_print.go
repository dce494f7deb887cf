package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"bouncefeed/internal/agent"
)

// statusText is the status for people.
func statusText(st *agent.Status, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "bouncefeed %s on %s, running for %s\n", st.Version, st.Host, now.Sub(st.Since).Round(time.Second))
	for i := range st.Inputs {
		printInput(&b, &st.Inputs[i], now)
	}
	for i := range st.Outputs {
		printOutput(&b, &st.Outputs[i], st.Problems, now)
	}
	printQueue(&b, st, now)
	printFindings(&b, st, now)
	return b.String()
}

// printFindings names what is found about the mail; the report says more of it.
func printFindings(b *strings.Builder, st *agent.Status, now time.Time) {
	if len(st.Findings) == 0 {
		return
	}
	b.WriteString("\nfindings (see 'bouncefeed report --since 24h')\n")
	for _, f := range st.Findings {
		wrap(b, "  ", "    ", fmt.Sprintf("%s: %s, since %s", f.Severity, clean(f.Title), moment(f.Since, now)))
	}
}

func printInput(b *strings.Builder, in *agent.InputStatus, now time.Time) {
	head := fmt.Sprintf("input %s (%s)", in.Name, in.Type)
	if in.At != "" {
		head += " at " + clean(in.At)
	}
	switch {
	case in.Lag > 0:
		head += ", " + amount(in.Lag, in.LagUnit) + " behind"
	case in.Lag == 0 && in.Problem == "":
		head += ", up to date"
	}
	if in.Gaps > 0 {
		head += ", " + plural(in.Gaps, "gap")
	}
	b.WriteString("\n")
	wrap(b, "", "    ", head)
	printProblem(b, in.Problem, in.Since, now)
	fmt.Fprintf(b, "  read %d = queued %d + held %d + ignored %d + refused %d\n", in.Read, in.Queued, in.Held, total(in.Ignored), total(in.Refused))
	printCounts(b, "ignored", in.Ignored)
	printCounts(b, "refused", in.Refused)
	for _, hint := range in.Hints {
		wrap(b, "  hint: ", "        ", hint)
	}
}

func printOutput(b *strings.Builder, out *agent.OutputStatus, problems []agent.Problem, now time.Time) {
	b.WriteString("\n")
	wrap(b, "", "    ", fmt.Sprintf("output %s (%s): sent %d, waiting %d, not sent %d, dead %d", out.Name, out.Type, out.Sent, out.Pending, out.NotSent, out.Dead))
	printStored(b, out)
	printProblem(b, out.Problem, out.Since, now)
	for _, p := range problems {
		if (p.What == "dead" || p.What == "paused") && strings.HasPrefix(p.Text, "output "+out.Name+":") {
			printProblem(b, strings.TrimPrefix(p.Text, "output "+out.Name+": "), p.Since, now)
		}
	}
	if out.NextTry != nil {
		fmt.Fprintf(b, "  next try %s\n", moment(*out.NextTry, now))
	}
	if out.Oldest != nil {
		fmt.Fprintf(b, "  waiting longest: a failure of %s\n", moment(*out.Oldest, now))
	}
	if out.LastSent != nil {
		fmt.Fprintf(b, "  last sent %s\n", moment(*out.LastSent, now))
	}
}

// printStored says what became of what was sent, as far as the receiver can be asked, and what it could not be told.
func printStored(b *strings.Builder, out *agent.OutputStatus) {
	if out.Verified || out.Stored+out.NotStored > 0 {
		fmt.Fprintf(b, "  of those sent: stored %d, not stored %d, unverified %d\n", out.Stored, out.NotStored, out.Unverified)
	}
	for _, hint := range []struct {
		n    uint64
		text string
	}{
		{out.NotStored, "not stored: the receiver was told twice; it knows no such subscriber, blocklists him, or his count is reached"},
		{out.Discarded, fmt.Sprintf("discarded %d: by 'queue drop' or 'forget', before they were sent", out.Discarded)},
		{out.NoAddress, fmt.Sprintf("no_address_for_receiver %d: they name nobody whom it could find", out.NoAddress)},
		{out.Unknown, fmt.Sprintf("unknown %d: it knows no such contact", out.Unknown)},
		{out.NoCampaign, fmt.Sprintf("%d of those sent since the start name no campaign: see 'Telling listmonk which campaign' in the README", out.NoCampaign)},
	} {
		if hint.n > 0 {
			wrap(b, "  ", "    ", hint.text)
		}
	}
}

func printQueue(b *strings.Builder, st *agent.Status, now time.Time) {
	used := size(st.Queue.Used)
	if st.Queue.MaxSize > 0 {
		used += " used of " + size(st.Queue.MaxSize)
	} else {
		used += " used"
	}
	b.WriteString("\n")
	wrap(b, "", "    ", fmt.Sprintf("queue %s: %s, %d held", st.Queue.Path, used, st.Queue.Held))
	for _, p := range st.Problems {
		if slices.Contains([]string{"queue", "held", "guard", "sender", agent.ProblemConfiguration, agent.ProblemWeb, agent.ProblemAlerts}, p.What) {
			printProblem(b, p.Text, p.Since, now)
		}
	}
}

func printProblem(b *strings.Builder, problem string, since *time.Time, now time.Time) {
	switch {
	case problem == "":
	case since == nil:
		wrap(b, "  PROBLEM: ", "    ", clean(problem))
	default:
		wrap(b, "  PROBLEM since "+moment(*since, now)+": ", "    ", clean(problem))
	}
}

func printCounts(b *strings.Builder, name string, m map[string]uint64) {
	if len(m) > 0 {
		wrap(b, "  "+name+": ", "    ", counts(m))
	}
}

func total(m map[string]uint64) uint64 {
	var n uint64
	for _, v := range m {
		n += v
	}
	return n
}

// columns is how wide what people read may be.
const columns = 100

// wrap writes words behind first, in lines of at most that many columns; those after the first begin with next.
func wrap(b *strings.Builder, first, next, text string) {
	line, empty := first, true
	for _, word := range strings.Fields(text) {
		if !empty && len([]rune(line))+1+len([]rune(word)) > columns {
			b.WriteString(line + "\n")
			line, empty = next, true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	b.WriteString(line + "\n")
}

// size is a number of bytes as people read it.
func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	v, i := float64(n), 0
	for v >= 1024 && i < len(units)-1 {
		v /= 1024
		i++
	}
	if i == 0 || v == float64(int64(v)) {
		return fmt.Sprintf("%d %s", int64(v), units[i])
	}
	return fmt.Sprintf("%.1f %s", v, units[i])
}

// amount is a number of something: bytes, messages, entries.
func amount(n int64, unit string) string {
	if unit == "bytes" {
		return size(n)
	}
	return fmt.Sprintf("%d %s", n, unit)
}

// moment is a time and how far away that is.
func moment(t, now time.Time) string {
	d := now.Sub(t)
	if d < 0 {
		return t.Local().Format(time.DateTime) + " (in " + span(-d) + ")"
	}
	return t.Local().Format(time.DateTime) + " (" + span(d) + " ago)"
}

// span is a duration as people say it: 12s, 5m, 3h20m, 4d.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// ratesText is what went on between two states.
func ratesText(before, st *agent.Status, took time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-24s %12s %12s\n", "RATES", "per second", "per minute")
	row := func(name string, was, is uint64) {
		if is < was { // it was started anew
			was = 0
		}
		rate := float64(is-was) / took.Seconds()
		fmt.Fprintf(&b, "%-24s %12.1f %12.1f\n", short(clean(name), 24), rate, 60*rate)
	}
	for _, in := range st.Inputs {
		for _, old := range before.Inputs {
			if old.Name == in.Name {
				row(in.Name+" read", old.Read, in.Read)
				row(in.Name+" queued", old.Queued, in.Queued)
			}
		}
	}
	for _, out := range st.Outputs {
		for _, old := range before.Outputs {
			if old.Name == out.Name {
				row(out.Name+" sent", old.Sent, out.Sent)
			}
		}
	}
	for _, reason := range largest(st.Reasons) {
		if st.Reasons[reason] != before.Reasons[reason] {
			row(reason, before.Reasons[reason], st.Reasons[reason])
		}
	}
	return b.String()
}
