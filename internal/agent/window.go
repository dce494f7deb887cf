package agent

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"bouncefeed/internal/queue"
)

// window is what a receiver has answered for in the last while, where it can't be asked whether it has stored it: events
// that can be posted once more, at the price that those it had are there twice.
type window struct {
	keep   time.Duration
	resend bool // by itself, after a break

	mu    sync.Mutex
	kept  []keptEvent // in the queue's order
	broke time.Time   // when the first attempt of a row failed; zero: the last one did not
}

type keptEvent struct {
	seq      uint64
	answered time.Time
}

// What a receiver may have lost in a break: no more than it holds in memory, and no longer than it may hold it there.
const (
	lostAtMost = 1000
	lostWithin = time.Minute

	keptAtMost = 100_000 // whatever the time
)

func (w *window) add(seq uint64, answered time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept = append(w.kept, keptEvent{seq, answered})
}

// trim forgets what is older than the window: up to which event; 0: nothing.
func (w *window) trim(now time.Time) (upTo uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for n < len(w.kept) && (now.Sub(w.kept[n].answered) > w.keep || len(w.kept)-n > keptAtMost) {
		upTo = w.kept[n].seq
		n++
	}
	w.kept = slices.Delete(w.kept, 0, n)
	return upTo
}

// forget forgets all.
func (w *window) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept = nil
}

// since are the events answered for since then.
func (w *window) since(at time.Time) (seqs []uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, k := range w.kept {
		if !k.answered.Before(at) {
			seqs = append(seqs, k.seq)
		}
	}
	return seqs
}

// failed notes that an attempt did.
func (w *window) failed(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broke.IsZero() {
		w.broke = now
	}
}

// mended gives what to post again after a break; nil: there was none.
func (w *window) mended() (seqs []uint64) {
	w.mu.Lock()
	broke := w.broke
	w.broke = time.Time{}
	w.mu.Unlock()
	if broke.IsZero() || !w.resend {
		return nil
	}
	seqs = w.since(broke.Add(-lostWithin))
	return seqs[max(0, len(seqs)-lostAtMost):]
}

// sendAgain queues events for one output once more.
func sendAgain(q *queue.Queue, output string, seqs []uint64) (total int, err error) {
	for part := range slices.Chunk(seqs, 500) {
		n, err := q.SendAgain(output, part)
		if total += n; err != nil {
			return total, err
		}
	}
	return total, nil
}

// ResendArgs say what to post once more.
type ResendArgs struct {
	Since  time.Time `json:"since"` // when the receiver answered for it
	Output string    `json:"output,omitempty"`
}

// resend posts again what outputs have answered for.
func (a *Agent) resend(args ResendArgs) (total int, err error) {
	found, verified := false, false
	for _, out := range a.outputs {
		if args.Output != "" && args.Output != out.name {
			continue
		}
		found = true
		v := out.delivery.verifying
		if verified = verified || v.verifies(); v == nil || v.verifies() {
			continue
		}
		n, err := sendAgain(a.queue, out.name, v.window.since(args.Since))
		if total += n; err != nil {
			return total, err
		}
	}
	switch {
	case !found && args.Output != "":
		return 0, fmt.Errorf("there is no output %q", args.Output)
	case total == 0 && verified:
		return 0, fmt.Errorf("what is posted is read back until it is stored: there is nothing to post again")
	}
	return total, nil
}
