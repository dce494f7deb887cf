package logs

import (
	"context"
	"time"
)

const (
	gather = 50 * time.Millisecond  // what follows a line that was of interest is read together, after so long
	settle = 250 * time.Millisecond // and what follows lines that were not
)

// waiter sleeps until it is worth looking again. The kernel's notifications only shorten the sleep: they are missing on
// network file systems, overflow, and go with a directory that is replaced.
type waiter struct {
	poll  time.Duration
	hints *hints // nil: polling only
	timer *time.Timer
}

func newWaiter(path string, poll time.Duration) *waiter {
	return &waiter{poll: poll, hints: newHints(path), timer: time.NewTimer(poll)}
}

func (w *waiter) close() {
	w.timer.Stop()
	w.hints.close()
}

// wait returns after the poll interval, or by a time given, or earlier when something happened to the log, but not before
// another.
func (w *waiter) wait(ctx context.Context, from, by time.Time) {
	end := time.Now().Add(w.poll)
	if !by.IsZero() && by.Before(end) {
		end = by
	}
	if w.hints == nil || from.After(end) {
		from = end
	}
	if d := time.Until(from); d > 0 {
		w.timer.Reset(d)
		select {
		case <-ctx.Done():
			return
		case <-w.timer.C:
		}
	}
	if w.hints != nil {
		w.hints.wait(ctx, end)
	}
}
