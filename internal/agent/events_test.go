package agent

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
)

func openRemembering(t *testing.T) *queue.Queue {
	t.Helper()
	q, err := queue.Open(filepath.Join(t.TempDir(), "queue.db"), queue.Options{Retain: time.Hour, History: time.Hour, Outputs: []string{"out"}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	return q
}

func (a *answering) mend() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.broken = false
}

func (a *answering) had() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.taken)
}

// listed gives the recipients of the events that are wanted.
func listed(t *testing.T, q *queue.Queue, f EventFilter) (all []string) {
	t.Helper()
	if err := answerEvents(q)(context.Background(), f, nil, func(p Past) error {
		all = append(all, p.Event.Recipient)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// What is dropped is not sent, although it was fetched before, and is being tried; what is flushed is tried at once.
func TestDropAndFlushWhileTheReceiverIsAway(t *testing.T) {
	t.Parallel()
	q := openRemembering(t)
	fill(t, q, 300, event.Event{Recipient: "@ok.example", Type: event.Hard, Reason: event.UserUnknown, Fault: event.FaultRecipient})
	fill(t, q, 2, event.Event{Recipient: "@full.example", Type: event.Soft, Reason: event.MailboxFull, Fault: event.FaultRecipient})
	out := &answering{broken: true, tried: make(chan struct{}, 1)}
	d, stop := startDelivery(t, q, out, func(d *delivery) {
		d.hurry = make(chan struct{}, 1)
		d.later = backoff{failures: 20} // half a minute at least
	})
	<-out.tried
	if n, err := dropPending(q, EventSelection{Numbers: []uint64{1, 100}}); err != nil || n != 2 {
		t.Fatal(n, err)
	}
	if n, err := dropPending(q, EventSelection{EventFilter: EventFilter{Domain: "FULL.example"}, All: true}); err != nil || n != 2 {
		t.Fatal(n, err)
	}
	if n, err := dropPending(q, EventSelection{EventFilter: EventFilter{Recipient: "7@OK.example", Output: "out"}, All: true}); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if n, err := dropPending(q, EventSelection{Numbers: []uint64{2, 100}}); err == nil || n != 0 {
		t.Errorf("dropped %d, one of which does not wait", n)
	}
	if _, err := dropPending(q, EventSelection{EventFilter: EventFilter{Domain: "ok.example"}}); err == nil {
		t.Error("nobody confirmed it")
	}
	if _, err := dropPending(q, EventSelection{EventFilter: EventFilter{Output: "other"}, All: true}); err == nil || !strings.Contains(err.Error(), `no output "other"`) {
		t.Error(err)
	}
	out.mend()
	d.flush()
	eventually(t, "the rest is sent", func() bool { return pending(t, q) == 0 })
	had := out.had()
	for _, dropped := range []string{"0@ok.example", "99@ok.example", "7@ok.example", "0@full.example"} {
		if slices.Contains(had, dropped) {
			t.Errorf("%s was sent", dropped)
		}
	}
	if len(had) != 297 {
		t.Errorf("%d were sent", len(had))
	}
	// Once more, for that is what replay is for.
	if n, err := replay(q, EventSelection{EventFilter: EventFilter{Match: "8@ok.example"}, All: true}); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	eventually(t, "it is sent again", func() bool { return len(out.had()) == 298 && pending(t, q) == 0 })
	stop()
	if got := out.had()[297]; got != "8@ok.example" {
		t.Errorf("%s was sent again", got)
	}
	if _, err := replay(q, EventSelection{Numbers: []uint64{1}}); err == nil {
		t.Error("what was dropped was never sent")
	}
	if got := listed(t, q, EventFilter{Match: "@full.example"}); len(got) != 2 {
		t.Errorf("found %q", got)
	}
	if got := listed(t, q, EventFilter{Pending: true}); len(got) != 0 {
		t.Errorf("%q wait", got)
	}
}

func TestEventFilter(t *testing.T) {
	t.Parallel()
	q := openRemembering(t)
	at := time.Unix(1_800_000_000, 0).UTC()
	fill(t, q, 3, event.Event{Time: at, Recipient: "@a.example", Type: event.Hard, Reason: event.UserUnknown, QueueID: "4X1"})
	fill(t, q, 2, event.Event{Time: at.Add(time.Hour), Recipient: "&Ü@b.example", Type: event.Soft, Reason: event.MailboxFull})
	for _, c := range []struct {
		f    EventFilter
		want int
	}{
		{EventFilter{}, 5}, {EventFilter{Pending: true}, 5}, {EventFilter{Limit: 2}, 2}, {EventFilter{Number: 4}, 1}, {EventFilter{Number: 9}, 0},
		{EventFilter{Reason: "mailbox_full"}, 2}, {EventFilter{Domain: "@A.example"}, 3}, {EventFilter{Recipient: "1@A.EXAMPLE"}, 1}, {EventFilter{Recipient: "@a.example"}, 0},
		{EventFilter{Match: "4x1"}, 3}, {EventFilter{Match: "0&Ü@b.example"}, 1}, {EventFilter{Match: "nobody@a.example"}, 0},
		{EventFilter{Before: at.Add(time.Minute)}, 3}, {EventFilter{Since: at.Add(time.Minute)}, 2}, {EventFilter{Output: "out"}, 5},
	} {
		if got := listed(t, q, c.f); len(got) != c.want {
			t.Errorf("%+v gives %q, want %d", c.f, got, c.want)
		}
	}
}
