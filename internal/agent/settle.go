package agent

import (
	"context"
	"sync"
	"time"

	"bouncefeed/internal/queue"
)

// What was sent and is not noted on disk is sent again after a kill. So it is noted at once, while the next is being sent; and
// where the disk is much quicker than the receiver, nothing is sent before the last is noted: then a kill has no more sent
// again than was under way. Else it is what goes out during a write, never more than settleMost.
const (
	roomEvery   = time.Second // a full disk is tried again
	settleMost  = 256
	settleShare = 10 // of the time that sending takes, a write may take the part that is waited for
)

// settler notes in the queue what became of items.
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
	under   int           // how many are being noted
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
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for len(s.waiting) == 0 && !s.ended {
			s.changed.Wait()
		}
		if len(s.waiting) == 0 || s.err != nil {
			return
		}
		batch := s.waiting
		s.waiting, s.under = nil, len(batch)
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

// add takes what became of items that took some time to send. It waits until they are noted, if that is quick in comparison;
// else while there is too much that is not.
func (s *settler) add(items []queue.Settled, sending time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, items...)
	s.changed.Broadcast()
	most := settleMost
	if s.took <= sending/settleShare {
		most = 0
	}
	return s.await(most)
}

// await waits until no more than most are not noted.
func (s *settler) await(most int) error {
	for s.err == nil && len(s.waiting)+s.under > most {
		s.changed.Wait()
	}
	return s.err
}

// flush waits until all that came so far is noted.
func (s *settler) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.await(0)
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
