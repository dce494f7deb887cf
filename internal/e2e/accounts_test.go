package e2e

import (
	"testing"

	"bouncefeed/internal/queue"
)

// requireAccounts ends the test unless the daemon accounts for everything that it ever read, over all of its lives: of each
// input, of each output, of what is set aside, and in all. It holds at every moment, busy or not.
func (d *daemon) requireAccounts(t *testing.T) {
	t.Helper()
	s := d.status(t)
	all := s.Queue.Counters
	for c, before := range d.counted {
		if all[c] < before {
			t.Errorf("%s was %d and is %d: a counter never falls", c, before, all[c])
		}
	}
	d.counted = all

	var reached, held uint64 // the queue
	for _, name := range modules(all, queue.InputSide) {
		n := func(words ...queue.Word) uint64 { return sumOf(all, queue.InputSide, name, words...) }
		if read, became := n(queue.CountRead), n(queue.CountQueued, queue.CountHeld, queue.CountIgnored, queue.CountRefused); read != became {
			t.Errorf("input %s: read %d, but queued, held, ignored and refused are %d", name, read, became)
		}
		reached += n(queue.CountQueued, queue.CountReleased)
		held += n(queue.CountHeld) - n(queue.CountReleased, queue.CountDropped, queue.CountSuperseded, queue.CountPushedOut, queue.CountHeldLost)
	}
	if s.Queue.Held != held {
		t.Errorf("%d are held, %d by the counters", s.Queue.Held, held)
	}
	for _, out := range s.Outputs {
		n := func(words ...queue.Word) uint64 { return sumOf(all, queue.OutputSide, out.Name, words...) }
		if got := n(queue.CountQueued); got != reached {
			t.Errorf("output %s: queued %d, of the inputs came %d", out.Name, got, reached)
		}
		given, became := n(queue.CountQueued, queue.CountRetried, queue.CountResent), out.Pending+
			n(queue.CountSent, queue.CountNotSent, queue.CountUnfit, queue.CountUnknown, queue.CountDiscarded, queue.CountDead, queue.CountLost)
		if given != became {
			t.Errorf("output %s: of %d became %d", out.Name, given, became)
		}
		if dead := n(queue.CountDead) - n(queue.CountRetried, queue.CountDropped, queue.CountPushedOut, queue.CountDeadLost); out.Dead != dead {
			t.Errorf("output %s: %d dead letters, %d by the counters", out.Name, out.Dead, dead)
		}
		if known := n(queue.CountStored, queue.CountNotStored); known > n(queue.CountSent) {
			t.Errorf("output %s: %d sent, of which %d are stored or not", out.Name, n(queue.CountSent), known)
		}
		if n(queue.CountLost) > 0 {
			t.Errorf("output %s: lost %d", out.Name, n(queue.CountLost))
		}
	}
	if t.Failed() {
		t.Fatalf("counters: %v", all)
	}
}

// modules names those of a side of which anything was counted.
func modules(all queue.Counters, side queue.Side) (names []string) {
	seen := map[string]bool{}
	for c := range all {
		if c.Side == side && !seen[c.Module] {
			seen[c.Module] = true
			names = append(names, c.Module)
		}
	}
	return names
}

// sumOf adds up a module's words, with every why.
func sumOf(all queue.Counters, side queue.Side, name string, words ...queue.Word) (sum uint64) {
	for _, w := range words {
		for c, n := range all {
			if c.Side == side && c.Module == name && c.Word == w {
				sum += n
			}
		}
	}
	return sum
}
