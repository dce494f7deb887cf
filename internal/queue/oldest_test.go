package queue

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
)

// given counts what a delivery of output would get now.
func given(t *testing.T, q *Queue, output string) int {
	t.Helper()
	ended, end := context.WithCancel(context.Background())
	end()
	items, _, err := q.NextAfter(ended, output, Mark{}, 100)
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	return len(items)
}

// A new output begins with the oldest event if it is told to; one that goes keeps nothing for itself.
func TestOutputFromTheOldest(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	open := func(oldest []string, outputs ...string) *Queue {
		return openAt(t, path, Options{Outputs: outputs, Oldest: oldest})
	}
	q := open(nil, "a")
	commit(t, q, Batch{Counts: read(10), Events: bounces(0, 10)})
	q.Close()
	q = open([]string{"old"}, "a", "old", "now")
	if a, old, now := given(t, q, "a"), given(t, q, "old"), given(t, q, "now"); a != 10 || old != 10 || now != 0 {
		t.Errorf("given: a %d, old %d, now %d", a, old, now)
	}
	if s := stats(t, q); s.Pending["old"] != 10 || s.Pending["now"] != 0 {
		t.Errorf("pending: %v", s.Pending)
	}
	for _, o := range []string{"a", "now"} {
		if items := next(t, q, o); len(items) > 0 {
			if err := q.Settle(o, settledAs(items, Sent)); err != nil {
				t.Fatal(err)
			}
		}
	}
	q.Close()
	q = open(nil, "a", "now") // old goes: what it alone held is free
	maintain(t, q)
	if n := len(groupsOf(t, q)); n != 0 {
		t.Errorf("%d groups are kept for nobody", n)
	}
}
