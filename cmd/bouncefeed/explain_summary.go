package main

import (
	"fmt"
	"io"
	"strings"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/event"
)

// printExplainSummary says what all of it came to, and what to know about it.
func printExplainSummary(w io.Writer, sum *agent.ExplainSummary, configPath string) {
	var b strings.Builder
	records, unit, told := uint64(0), "", uint64(0)
	for _, p := range sum.Parts {
		records += p.Records
		told += p.Told
		if unit != "" && unit != p.Unit {
			unit = "record"
		} else if unit == "" {
			unit = p.Unit
		}
		name := p.File
		if name == "-" {
			name = "standard input"
		}
		switch {
		case p.Records == 0:
			fmt.Fprintf(&b, "%s: empty\n", name)
		case p.Seems != "" && p.Told == 0:
			fmt.Fprintf(&b, "%s: nothing in it is %s's; it looks like %s: try --as %s\n", name, p.As, ofFormat(p.Seems), p.Seems)
		case p.Guessed && p.Input != "":
			fmt.Fprintf(&b, "%s: read as %s (guessed; --as says otherwise), with the settings of input %s\n", name, p.As, p.Input)
		case p.Guessed:
			fmt.Fprintf(&b, "%s: read as %s (guessed; --as says otherwise)\n", name, p.As)
		case p.Told == 0:
			fmt.Fprintf(&b, "%s: nothing in it looks like a mail server's log, a mail, or a provider's request (read as %s)\n", name, p.As)
		case p.Input != "":
			fmt.Fprintf(&b, "%s: with the settings of input %s\n", name, p.Input)
		}
	}
	if unit != "reply" && records > 0 {
		fmt.Fprintf(&b, "%s: %s\n", plural(records, unit), summedUp(sum))
	}
	if sum.If > 0 {
		fmt.Fprintf(&b, "note: the lines before of %s are not among these (client=, from=<…>). The daemon, which reads the whole log,\n"+
			"      also looks at who handed a message in and who sent it; for that give explain the whole log\n", plural(sum.If, "bounce"))
	}
	for _, note := range sum.Notes {
		fmt.Fprintf(&b, "note: %s\n", clean(note))
	}
	io.WriteString(w, b.String())
}

func ofFormat(as string) string {
	switch as {
	case "mail":
		return "mail"
	case "reply":
		return "bare SMTP replies"
	}
	return as + "'s"
}

// summedUp is "12 bounces (10 hard, 2 soft), 3 delayed, 538 of no interest".
func summedUp(sum *agent.ExplainSummary) string {
	hard, soft := sum.Types[event.Hard], sum.Types[event.Soft]
	said := plural(hard+soft, "bounce")
	if hard+soft > 0 {
		said += fmt.Sprintf(" (%d hard, %d soft)", hard, soft)
	}
	if n := sum.Types[event.Complaint]; n > 0 {
		said += ", " + plural(n, "complaint")
	}
	for _, kind := range largest(sum.Kinds) {
		switch kind {
		case "bounce", "complaint", "other", "":
		default:
			said += fmt.Sprintf(", %d %s", sum.Kinds[kind], kind)
		}
	}
	if n := sum.Kinds["other"]; n > 0 {
		said += fmt.Sprintf(", %d of no interest", n)
	}
	return said
}

func plural(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if strings.HasSuffix(noun, "y") {
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(noun, "y"))
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
