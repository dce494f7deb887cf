package agent

import (
	"slices"
	"testing"
	"time"

	"bouncefeed/internal/classify"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
)

// acceptAll runs events through a sink that trusts as told, over a ledger that knows one message.
func acceptAll(trust, format string, events ...event.Event) *queue.Batch {
	secret := []byte("secret")
	known := event.Sent(secret, "m1@news.example", "jo@example.org")
	d := newDraft(&sinkConfig{
		name: "in", format: config.Section{Type: format}, classifier: classify.Default(), trust: trust, now: time.Now,
		ledger: ledger{secret, func(h [8]byte) (bool, error) { return h == known, nil }},
	})
	for _, e := range events {
		d.accept(e)
	}
	d.finish()
	return &d.batch
}

func TestProof(t *testing.T) {
	const uuid = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
	for name, c := range map[string]struct {
		in   event.Event
		held bool
		want event.Event // recipient, original recipient, subscriber
	}{
		"ours": {in: event.Event{MessageID: "m1@news.example", Recipient: "Jo@example.org"}, want: event.Event{Recipient: "Jo@example.org"}},
		"ours, under the other name": {in: event.Event{MessageID: "m1@news.example", Recipient: "alias@example.net", OriginalRecipient: "jo@example.org"},
			want: event.Event{Recipient: "jo@example.org"}},
		"ours, with somebody else beside": {in: event.Event{MessageID: "m1@news.example", Recipient: "jo@example.org", OriginalRecipient: "victim@example.org"},
			want: event.Event{Recipient: "jo@example.org"}},
		"somebody else's proof": {in: event.Event{MessageID: "m1@news.example", Recipient: "victim@example.org"}, held: true},
		"another message":       {in: event.Event{MessageID: "m2@news.example", Recipient: "jo@example.org"}, held: true},
		"nothing":               {in: event.Event{Recipient: "jo@example.org"}, held: true},
		"a subscriber speaks for himself only": {in: event.Event{Recipient: "victim@example.org", SubscriberUUID: uuid, Evidence: "uuid"},
			want: event.Event{SubscriberUUID: uuid}},
	} {
		t.Run(name, func(t *testing.T) {
			b := acceptAll("proof", "mail", c.in)
			claimed := c.in
			claimed.NeedsProof = true
			if d := acceptAll("any", "mail", claimed); len(d.Held) != len(b.Held) || len(d.Events) != len(b.Events) {
				t.Errorf("a stranger's word in a record that is trusted: held %v, events %v", d.Held, d.Events)
			}
			if c.held {
				if len(b.Held) != 1 || len(b.Events) != 0 {
					t.Fatalf("held %v, events %v", b.Held, b.Events)
				}
				return
			}
			if len(b.Events) != 1 || len(b.Held) != 0 {
				t.Fatalf("held %v, events %v", b.Held, b.Events)
			}
			if e := b.Events[0]; e.Recipient != c.want.Recipient || e.OriginalRecipient != c.want.OriginalRecipient || e.SubscriberUUID != c.want.SubscriberUUID {
				t.Errorf("got %q, %q, %q", e.Recipient, e.OriginalRecipient, e.SubscriberUUID)
			}
			if b := acceptAll("any", "mail", c.in); len(b.Events) != 1 || b.Events[0].Recipient != c.in.Recipient {
				t.Errorf("trust: any changed it: %v", b.Events)
			}
		})
	}
}

// The log tells of a failure and the report of the same one names only the subscriber for certain: one event.
func TestProvenSubscriberIsTheLogsRecipient(t *testing.T) {
	fromLog := acceptAll("", "postfix", event.Event{MessageID: "m9@news.example", Recipient: "jo@example.org", QueueID: "4F1A", QueueIDIssuer: "mx1"})
	fromMail := acceptAll("proof", "mail", event.Event{MessageID: "m9@news.example", Recipient: "jo@example.org", SubscriberUUID: "3f2504e0-4f89-41d3-9a0c-0305e82c3301", Evidence: "uuid"})
	if !slices.Contains(fromMail.Events[0].Claims(), fromLog.Events[0].Keys()[0]) {
		t.Error("no key in common")
	}
	if slices.Contains(fromMail.Events[0].Keys(), fromLog.Events[0].Keys()[0]) {
		t.Error("what the report claims would stand in the way of the log's")
	}
}

func TestOnlyLogsWriteTheLedger(t *testing.T) {
	delivered := event.Event{Type: event.Delivered, MessageID: "m3@news.example", Recipient: "jo@example.org", Ours: true}
	failed := event.Event{MessageID: "m3@news.example", Recipient: "jo@example.org", OriginalRecipient: "alias@example.org", Ours: true}
	shared := event.Event{MessageID: "m3@news.example", Recipient: "ann@example.org"}
	if b := acceptAll("", "postfix", delivered, failed, shared); len(b.Sent) != 3 {
		t.Errorf("%d entries from the log, want 3", len(b.Sent))
	}
	if b := acceptAll("any", "mail", delivered, failed); len(b.Sent) != 0 {
		t.Errorf("%d entries from a mail", len(b.Sent))
	}
}
