package agent

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"bouncefeed/internal/e2e/e2etest"
	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
	"bouncefeed/outputs"
)

// startVerifying is startDelivery to the double of listmonk, in a hurry.
func startVerifying(t *testing.T, q *queue.Queue, s *shipper) (*delivery, func()) {
	t.Helper()
	return startDelivery(t, q, s.out, func(d *delivery) { d.verifying.rules = impatient })
}

// store commits the events from one to another.
func (s *shipper) store(t *testing.T, q *queue.Queue, from, to int) {
	t.Helper()
	b := queue.Batch{Input: "in"}
	for n := from; n < to; n++ {
		e := s.event(n)
		e.Reason, e.Fault = event.MailboxFull, event.FaultRecipient
		b.Events = append(b.Events, e)
	}
	if _, err := q.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// settled waits until nothing is unverified, bringing a bounce now and then.
func (s *shipper) settled(t *testing.T, q *queue.Queue, d *delivery) (st queue.Stats) {
	t.Helper()
	last := time.Now()
	e2etest.WaitFor(t, 5*time.Millisecond, "all is verified", func() bool {
		var err error
		if st, err = q.Stats(); err != nil {
			t.Fatal(err)
		}
		if time.Since(last) > 300*time.Millisecond {
			last = time.Now()
			n := 1_000_000 + int(last.UnixNano()%1_000_000_000)
			s.store(t, q, n, n+1)
		}
		n := func(w queue.Word) uint64 { return st.Counters.Output("out", w) }
		return st.Pending["out"] == 0 && d.verifying.unverified() == 0 && n(queue.CountSent) == n(queue.CountStored)+n(queue.CountNotStored)
	})
	return st
}

// From the queue to listmonk's database, each once, over restarts of both.
func TestDeliveryVerifies(t *testing.T) {
	s := newShipper(t, "")
	s.m.Insert(time.Millisecond)
	q := openTestQueue(t, t.TempDir())
	s.store(t, q, 0, 300)
	_, stop := startVerifying(t, q, s)
	posted := func(n int) func() bool { return func() bool { return s.m.Requests()["POST /webhooks/bounce"] > n } }
	eventually(t, "some are posted", posted(150))
	s.m.Kill()
	s.m.Start(t, nil)
	eventually(t, "more are posted", posted(250))
	stop()
	lost, unlock := s.m.Lost(), s.m.Lock() // so that it has not stored them before its database goes
	s.store(t, q, 300, 600)
	d, stop := startVerifying(t, q, s)
	eventually(t, "these are posted, too", posted(500))
	s.m.Database(false)
	unlock()
	eventually(t, "some are lost", func() bool { return s.m.Lost() > lost+100 })
	s.m.Database(true)
	st := s.settled(t, q, d)
	stop()
	s.queued = 600
	s.require(600)
	if items, err := q.Accepted("out", 0, 10); err != nil || len(items) > 0 {
		t.Errorf("%d events are kept, %v", len(items), err)
	}
	if n := st.Counters.Output("out", queue.CountNotStored); n > 0 {
		t.Errorf("%d not stored", n)
	}
}

// Who is killed again and again before he has verified anything takes up what may have been posted, and it stays to be
// verified: none of it is taken for stored, however much it becomes, and it does not become ever more.
func TestRecallAfterManyKills(t *testing.T) {
	s := newShipper(t, "")
	q := openTestQueue(t, t.TempDir())
	s.store(t, q, 0, 1500)
	for life := range 8 {
		d := &delivery{name: "out", out: s.out, queue: q, log: slog.New(slog.DiscardHandler), verifying: newVerifying(s.out, slog.New(slog.DiscardHandler)),
			settings: &outputs.Settings{Send: outputs.DefaultSend, Batch: 1}}
		d.verifying.rules = impatient
		d.verifying.rules.most = 200
		if err := d.recall(t.Context()); err != nil {
			t.Fatal(err)
		}
		kept, err := q.Accepted("out", 0, 10000)
		if err != nil || life > 0 && (len(kept) == 0 || kept[0].Seq != 1) || len(kept) > 2*200+settleMost+1 {
			t.Fatalf("life %d: %d are kept, %v", life, len(kept), err)
		}
	}
	d, stop := startVerifying(t, q, s)
	s.settled(t, q, d)
	stop()
	s.queued = 1500
	s.require(1500)
}

// Without the permission, or once it is gone, listmonk's answer is trusted; once it is there, it is not.
func TestDeliveryVerifiesAsItMay(t *testing.T) {
	s := newShipper(t, ", keep: 0s")
	s.m.SetUser(e2etest.User, e2etest.ListmonkUser{Token: e2etest.Token, Permissions: e2etest.MayPost})
	q := openTestQueue(t, t.TempDir())
	s.store(t, q, 0, 30)
	d, stop := startVerifying(t, q, s)
	kept := func() int {
		items, err := q.Accepted("out", 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		return len(items)
	}
	done := func() bool { return pending(t, q) == 0 && kept() == 0 }
	eventually(t, "trusted", done)
	if stop(); d.verifying.verifies() {
		t.Error("it may not read")
	}
	s.m.SetUser(e2etest.User, e2etest.ListmonkUser{Token: e2etest.Token, Permissions: e2etest.MayRead})
	unlock := s.m.Lock()
	s.store(t, q, 30, 60)
	d, stop = startVerifying(t, q, s)
	eventually(t, "posted", func() bool { return pending(t, q) == 0 })
	eventually(t, "kept", func() bool { return d.verifying.verifies() && kept() == 30 })
	s.m.SetUser(e2etest.User, e2etest.ListmonkUser{Token: e2etest.Token, Permissions: e2etest.MayPost})
	eventually(t, "trusted", func() bool { return done() && !d.verifying.verifies() })
	unlock()
	stop()
	eventually(t, "all is stored", func() bool { return len(s.m.Stored()) == 60 })
}

// What listmonk could store of nobody is counted, and not posted.
func TestDeliveryOfNobody(t *testing.T) {
	s := newShipper(t, "")
	q := openTestQueue(t, t.TempDir())
	b := queue.Batch{Input: "in"}
	for n := range 5 {
		b.Events = append(b.Events, event.Event{ID: fmt.Sprint("x", n), Type: event.Hard, Reason: event.UserUnknown, Fault: event.FaultRecipient, Recipient: fmt.Sprintf(`"a b%d"@example.org`, n)})
	}
	if _, err := q.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	s.store(t, q, 0, 5)
	d, stop := startVerifying(t, q, s)
	st := s.settled(t, q, d)
	stop()
	if n := st.Counters.Output("out", queue.CountUnfit); n != 5 || st.Dead["out"] > 0 {
		t.Errorf("%d, %d dead", n, st.Dead["out"])
	}
}
