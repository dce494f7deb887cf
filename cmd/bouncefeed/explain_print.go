package main

import (
	"fmt"
	"io"
	"strings"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/event"
)

// explanationPrinter prints explanations for people.
type explanationPrinter struct {
	w    io.Writer
	all  bool
	said map[string]bool // what was explained already: the glossary's words, once each
}

func (p *explanationPrinter) print(x agent.Explanation) error {
	place := x.File
	if x.Line > 0 {
		place = fmt.Sprintf("%s:%d", x.File, x.Line)
	}
	var b strings.Builder
	if x.Signature != "" {
		fmt.Fprintf(&b, "%s: signature %s\n", place, x.Signature)
	}
	if x.Kind == "other" && !p.all && x.Signature == "" {
		return nil
	}
	if x.Wrapper != "" && !p.said["wrapper"] {
		p.said["wrapper"] = true
		fmt.Fprintf(&b, "%s: taken out of a container's wrapper; the daemon reads it with container: %s only\n", place, x.Wrapper)
	}
	switch {
	case x.Kind == "other" && !p.all:
	case x.Why != "":
		fmt.Fprintf(&b, "%s: refused: %s%s\n", place, x.Why, p.once(x.Why, x.Means, x.Remedy))
	case len(x.Events) == 0:
		fmt.Fprintf(&b, "%s: %s: nothing to report%s\n", place, x.Kind, p.once(x.Kind, x.Means, x.Remedy))
	}
	for i := range x.Events {
		p.event(&b, place, &x.Events[i], x.Reported(i))
	}
	_, err := io.WriteString(p.w, b.String())
	return err
}

// once explains a word, in brackets, the first time.
func (p *explanationPrinter) once(word, means, remedy string) string {
	switch {
	case means == "" || p.said[word]:
		return ""
	case remedy == "":
		p.said[word] = true
		return " (" + means + ")"
	}
	p.said[word] = true
	return " (" + means + "; " + remedy + ")"
}

// event prints an event as a block of "name  value" lines.
func (p *explanationPrinter) event(b *strings.Builder, place string, e *event.Event, reported string) {
	if e.Type == event.Complaint {
		fmt.Fprintf(b, "%s: complaint\n", place)
	} else {
		fmt.Fprintf(b, "%s: %s bounce: %s (fault: %s)\n", place, e.Type, e.Reason, e.Fault)
	}
	field := func(name, value string) {
		if value != "" && value != "0" {
			fmt.Fprintf(b, "  %-11s %s\n", name, clean(value))
		}
	}
	field("recipient", e.Recipient)
	field("delivered to", e.OriginalRecipient)
	field("subscriber", e.SubscriberUUID)
	field("campaign", e.CampaignUUID)
	field("message-id", e.MessageID)
	field("queue id", e.QueueID)
	field("sender", e.Sender)
	field("remote MTA", e.RemoteMTA)
	field("code", fmt.Sprint(e.Code))
	field("status", e.Status)
	field("said", e.Diagnostic)
	field("rule", e.Rule)
	field("reported", reported)
}
