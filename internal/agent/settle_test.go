package agent

import (
	"testing"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
)

// Where sending takes long in comparison with a write, nothing is sent before the last is noted: a kill has only what was under
// way sent again. Elsewhere nobody waits.
func TestSlowSendingIsNotedAtOnce(t *testing.T) {
	t.Parallel()
	q := openTestQueue(t, t.TempDir())
	fill(t, q, 300, event.Event{Recipient: "@ok.example", Type: event.Hard, Fault: event.FaultRecipient})
	items, err := q.Next(t.Context(), "out", 300)
	if err != nil {
		t.Fatal(err)
	}
	s := newSettler(t.Context(), q, "out", func() {}, func(error) {})
	noted := func() uint64 {
		t.Helper()
		st, err := q.Stats()
		if err != nil {
			t.Fatal(err)
		}
		return st.Counters.Output("out", queue.CountSent)
	}
	for i := range 5 {
		if err := s.add([]queue.Settled{{Seq: items[i].Seq, Outcome: queue.Sent}}, time.Hour); err != nil {
			t.Fatal(err)
		}
		if n := noted(); n != uint64(i+1) {
			t.Fatalf("%d are noted of %d that were sent", n, i+1)
		}
	}
	for i := 5; i < 300; i++ {
		if err := s.add([]queue.Settled{{Seq: items[i].Seq, Outcome: queue.Sent}}, 0); err != nil {
			t.Fatal(err)
		}
		if n := noted(); n+settleMost < uint64(i+1) {
			t.Fatalf("%d are noted of %d that were sent", n, i+1)
		}
	}
	if err := s.flush(); err != nil || noted() != 300 {
		t.Errorf("%d noted, %v", noted(), err)
	}
	if err := s.end(); err != nil {
		t.Error(err)
	}
}
