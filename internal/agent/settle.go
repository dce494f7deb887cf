package agent

import (
	"sync"
	"time"

	"bouncefeed/internal/queue"
)

const (
	settleAfter = 100 * time.Millisecond // what was sent is being noted as such after this long at most
	settleMany  = 128                    // or after this many
	settleMost  = 2 * settleMany         // so much may have been sent and not be noted on disk: a kill has it sent again
)

// settler notes in the queue what became of items while the next ones are being sent.
type settler struct {
	queue  *queue.Queue
	name   string
	failed func() // called when err is set
	keep   bool   // what was answered for is accepted only: it is confirmed later

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

// newSettler starts one, for the output of that name. It ends with end; failed is called if it can't go on.
func newSettler(q *queue.Queue, name string, failed func()) *settler {
	s := &settler{queue: q, name: name, failed: failed, done: make(chan struct{})}
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
		err := note(s.name, batch)
		s.mu.Lock()
		s.took, s.under = time.Since(began), 0
		if err != nil {
			s.err = err
			s.failed()
		}
		s.changed.Broadcast()
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
