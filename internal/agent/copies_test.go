package agent

import (
	"fmt"
	"testing"
	"time"

	"bouncefeed/internal/classify"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
)

// An address that fails for several subscribers, in reports of a host whose log is not read, is a copy's.
func TestCopiesOfSeveral(t *testing.T) {
	uuid := func(n int) string { return fmt.Sprintf("3f2504e0-4f89-41d3-9a0c-0305e82c33%02d", n) }
	generated := func(n int) event.Event { // from a subscriber's address
		return event.Event{QueueIDIssuer: "mx.example.org", QueueID: fmt.Sprint(n), Recipient: fmt.Sprintf("jo%d@example.org", n), OriginalRecipient: "archive@example.org",
			SubscriberUUID: uuid(n), Evidence: "uuid"}
	}
	alone := func(n int) event.Event {
		e := generated(n)
		e.Recipient, e.OriginalRecipient = e.OriginalRecipient, ""
		return e
	}
	his := func(n int) event.Event {
		return event.Event{QueueID: fmt.Sprint(n), Recipient: "jo@example.org", SubscriberUUID: uuid(1), Evidence: "uuid"}
	}
	hosts := newLogHosts()
	hosts.add("mx1.example.com")
	ofLog := func(n int) event.Event {
		e := generated(n)
		e.QueueIDIssuer = "mx1.example.com"
		return e
	}
	unproven := func(n int) event.Event {
		e := alone(n)
		e.Evidence = ""
		return e
	}
	for name, c := range map[string]struct {
		make  func(int) event.Event
		trust string
		want  string // of three: r reported, w waits, c held as a copy's, h held without proof
		after string // of those that waited
	}{
		"generated from each":         {generated, "proof", "wcc", "c"},
		"the same, believed":          {generated, "any", "wcc", "c"},
		"one address, many lists":     {alone, "any", "rcc", ""},
		"one subscriber's own":        {his, "proof", "rrr", ""},
		"judged by the log":           {ofLog, "any", "www", "---"},
		"what is not proven is noise": {unproven, "proof", "hhh", ""},
	} {
		d := newDraft(&sinkConfig{name: "box", format: config.Section{Type: "mail"}, classifier: classify.Default(), trust: c.trust, now: time.Now, logHosts: hosts, copies: newCopyTargets()})
		got, after := "", ""
		for n := range 3 {
			events, held := len(d.batch.Events), len(d.batch.Held)
			d.accept(c.make(n))
			switch {
			case len(d.batch.Events) > events:
				got += "r"
			case len(d.batch.Held) == held:
				got += "?"
			case d.batch.Held[held].Why == whyCopy:
				got += "c"
			case d.batch.Held[held].Until.IsZero():
				got += "h"
			default:
				got += "w"
			}
		}
		for _, h := range d.batch.Held {
			if h.Until.IsZero() {
				continue
			}
			switch why, known := d.copies.waited(&h.Event); {
			case !known:
				after += "-"
			case why == "":
				after += "r"
			default:
				after += "c"
			}
		}
		if got != c.want || after != c.after {
			t.Errorf("%s: %q, then %q; want %q, %q", name, got, after, c.want, c.after)
		}
	}
	d := newDraft(&sinkConfig{name: "box", format: config.Section{Type: "mail"}, classifier: classify.Default(), trust: "any", now: time.Now, logHosts: hosts, copies: newCopyTargets()})
	d.accept(generated(1))
	if why, known := d.copies.waited(&d.batch.Held[0].Event); why != "" || !known {
		t.Errorf("one forward: %q, %v", why, known)
	}
	for n := range 3 * maxTargets {
		e := his(n)
		e.Recipient = fmt.Sprintf("%d@example.org", n)
		d.copies.note(&e)
	}
	if n := len(d.copies.newer) + len(d.copies.last); n > 2*maxTargets {
		t.Errorf("%d targets are remembered", n)
	}
}
