package queue

import (
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// wrongClock is a machine's clock that is set at will, beside the time that really passes.
type wrongClock struct {
	start time.Time
	runs  time.Duration // since start
	wrong time.Duration // what the clock says beyond
}

func (c *wrongClock) now() time.Time { return c.start.Round(0).Add(c.runs + c.wrong) }

func (c *wrongClock) options() Options {
	return Options{Outputs: []string{"out"}, Now: c.now, running: func() time.Duration { return c.runs }}
}

func maintain(t *testing.T, q *Queue) {
	t.Helper()
	if err := q.Maintain(); err != nil {
		t.Fatal(err)
	}
}

// A clock that is a year ahead for a minute, or in the past, makes nobody forget what was reported or sent.
func TestWrongClocksForgetNothing(t *testing.T) {
	const day = 24 * time.Hour
	for _, wrong := range []time.Duration{400 * day, -31 * 365 * day} {
		c := &wrongClock{start: time.Now()}
		path := filepath.Join(t.TempDir(), "queue.db")
		q := openAt(t, path, c.options())
		sent := [8]byte{1}
		known := func(when string) {
			t.Helper()
			maintain(t, q)
			if n := repeats(t, q, 0, 4); n != 4 {
				t.Errorf("wrong by %v, %s: %d of 4 are known", wrong, when, n)
			}
			if ok, err := q.WasSent(sent); !ok || err != nil {
				t.Errorf("wrong by %v, %s: the ledger forgot, %v", wrong, when, err)
			}
		}
		reopen := func() {
			t.Helper()
			if err := q.Close(); err != nil {
				t.Fatal(err)
			}
			q = openAt(t, path, c.options())
		}
		commit(t, q, Batch{Events: bounces(0, 4), Sent: [][8]byte{sent}})
		c.runs += time.Minute
		c.wrong = wrong
		known("the clock is wrong")
		commit(t, q, Batch{Events: bounces(4, 6)})
		reopen()
		known("the clock is wrong after a restart")
		c.runs += time.Minute
		c.wrong = 0
		known("the clock is right again")
		reopen()
		known("the clock is right after a restart")
		for range 14 { // they were seen again, the ledger's entry was not
			c.runs += day
			maintain(t, q)
		}
		known("14 days later")
		for range 17 {
			c.runs += day
			reopen() // not counted while closed
			c.runs += day
			maintain(t, q)
		}
		if ok, _ := q.WasSent(sent); ok {
			t.Errorf("wrong by %v: the ledger never forgets", wrong)
		}
		if n := repeats(t, q, 4, 6); n != 0 {
			t.Errorf("wrong by %v: %d of 2 are known for ever", wrong, n)
		}
	}
}

// A file begun when the clock stood in 1995 is not forgotten once it is right.
func TestBegunInThePast(t *testing.T) {
	c := &wrongClock{start: time.Now(), wrong: -31 * 365 * 24 * time.Hour}
	path := filepath.Join(t.TempDir(), "queue.db")
	q := openAt(t, path, c.options())
	commit(t, q, Batch{Events: bounces(0, 4)})
	c.runs, c.wrong = time.Minute, 0
	maintain(t, q)
	q.Close()
	q = openAt(t, path, c.options())
	maintain(t, q)
	if n := repeats(t, q, 0, 4); n != 4 {
		t.Errorf("%d of 4 are known", n)
	}
}

// The clock is stored while nothing happens, and a damaged one is no worse than a missing one.
func TestTheClockIsStored(t *testing.T) {
	c := &wrongClock{start: time.Now()}
	path := filepath.Join(t.TempDir(), "queue.db")
	q := openAt(t, path, c.options())
	commit(t, q, Batch{Events: bounces(0, 1)})
	c.runs += 5 * 24 * time.Hour
	maintain(t, q)
	q.Close()
	q = openAt(t, path, c.options())
	if d := c.now().Sub(q.clock.at).Abs(); d > 2*time.Second {
		t.Errorf("off by %v after a restart", d)
	}
	if err := q.guarded(func() error {
		return q.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyClock, make([]byte, 12)) })
	}); err != nil {
		t.Fatal(err)
	}
	q.Close()
	q = openAt(t, path, c.options())
	if n := repeats(t, q, 0, 1); n != 1 {
		t.Error("forgotten with the clock")
	}
}
