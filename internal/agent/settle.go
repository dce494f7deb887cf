package agent

import (
	"context"
	"sync"
	"time"

	"bouncefeed/internal/queue"
)

const (
	settleAfter = 100 * time.Millisecond // what was sent is being noted as such after this long at most
	settleMany  = 128                    // or after this many
	roomEvery   = time.Second            // a full disk is tried again
	settleMost  = 2 * settleMany         // so much may have been sent and not be noted on disk: a kill has it sent again
)

// settler notes in the queue what became of items while the next ones are being sent.
type settler struct {
	queue  *queue.Queue
	name   string
	ctx    context.Context // its end is no time to wait for room on the disk
	failed func()          // called when err is set
	stuck  func(error)     // called when the disk has no room
	keep   bool            // what was answered for is accepted only: it is confirmed later

	mu      sync.Mutex
	changed *sync.Cond // anything below
	waiting []queue.Settled
	oldest  time.Time     // when the first of waiting came
	under   int           // how many are being noted
	asked   bool          // to note what is waiting at once
	ended   bool          // nothing more comes
	err     error         // of the first that failed; nothing is noted after it
	took    time.Duration // the last time
	done    chan struct{}
}

// newSettler starts one, for the output of that name. It ends with end; failed is called if it can't go on, stuck if it
// has to wait for room on the disk.
func newSettler(ctx context.Context, q *queue.Queue, name string, failed func(), stuck func(error)) *settler {
	s := &settler{ctx: ctx, queue: q, name: name, failed: failed, stuck: stuck, done: make(chan struct{})}
	s.changed = sync.NewCond(&s.mu)
	go s.run()
	return s
}

func (s *settler) run() {
	defer close(s.done)
	alarm := time.AfterFunc(time.Hour, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked = true
		s.changed.Broadcast()
	})
	defer alarm.Stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for len(s.waiting) < settleMany && !(s.asked && len(s.waiting) > 0) && !s.ended {
			s.asked = false
			if len(s.waiting) > 0 {
				alarm.Reset(time.Until(s.oldest.Add(settleAfter)))
			}
			s.changed.Wait()
		}
		if len(s.waiting) == 0 || s.err != nil {
			return
		}
		batch := s.waiting
		s.waiting, s.under, s.asked = nil, len(batch), false
		note := s.queue.Settle
		if s.keep {
			note = s.queue.Accept
		}
		s.mu.Unlock()
		began := time.Now()
		err := s.note(batch, note)
		s.mu.Lock()
		s.took, s.under = time.Since(began), 0
		if err != nil {
			s.err = err
			s.failed()
		}
		s.changed.Broadcast()
	}
}

// note notes batch, in parts if the disk has no room for it whole, and waits for room if it has none.
func (s *settler) note(batch []queue.Settled, note func(string, []queue.Settled) error) error {
	for most := len(batch); len(batch) > 0; {
		n := min(most, len(batch))
		err := note(s.name, batch[:n])
		switch {
		case err == nil:
			batch = batch[n:]
		case !queue.IsFull(err) || s.ctx.Err() != nil:
			return err
		case n > 1:
			most = n / 2
		default:
			s.stuck(err)
			wait(s.ctx, roomEvery)
		}
	}
	return nil
}

// confirm is queue.Confirm, which waits for room on the disk.
func (s *settler) confirm(upTo uint64, counts map[queue.Word]uint64) error {
	for {
		err := s.queue.Confirm(s.name, upTo, counts)
		if !queue.IsFull(err) || s.ctx.Err() != nil {
			return err
		}
		s.stuck(err)
		wait(s.ctx, roomEvery)
	}
}

// add takes what became of items. It waits while there is too much that is not noted yet.
func (s *settler) add(items []queue.Settled) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		s.oldest = time.Now()
	}
	s.waiting = append(s.waiting, items...)
	s.changed.Broadcast()
	for s.err == nil && len(s.waiting)+s.under > settleMost {
		s.changed.Wait()
	}
	return s.err
}

// now has what is waiting noted at once, without waiting for it.
func (s *settler) now() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = true
	s.changed.Broadcast()
}

// flush has all that came so far noted, and waits for it.
func (s *settler) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil && len(s.waiting)+s.under > 0 {
		s.asked = true
		s.changed.Broadcast()
		s.changed.Wait()
	}
	return s.err
}

// accept has what comes from now on accepted only, or settled.
func (s *settler) accept(keep bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep = keep
}

// quick says whether there is time in pause to note what is waiting.
func (s *settler) quick(pause time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return pause > s.took
}

// end notes what is waiting, and returns when it is.
func (s *settler) end() error {
	s.mu.Lock()
	s.ended = true
	s.changed.Broadcast()
	s.mu.Unlock()
	<-s.done
	return s.err
}
