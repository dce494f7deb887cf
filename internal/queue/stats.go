package queue

import (
	"fmt"

	"go.etcd.io/bbolt"
)

// Stats are the queue's figures. The counters add up at every moment, over restarts and crashes:
//
//	input:  read = queued + held + ignored/* + refused/*      (read, refused and most of ignored are the caller's)
//	held:   Held = held - released - dropped - superseded - pushed_out - held_lost, over all inputs
//	output: queued + retried + resent = sent + not_sent + no_address_for_receiver + unknown + discarded + dead + lost + Pending
//	dead:   Dead = dead - retried - dropped - pushed_out - dead_lost
//
// An output's "queued" counts from its first start: the inputs' queued and released since then. "lost" is 0 unless an
// output was taken out of the configuration with events pending, or a damaged file lost some that were told again.
type Stats struct {
	Counters Counters          `json:"counters"`
	Pending  map[string]uint64 `json:"pending"` // per output
	Dead     map[string]uint64 `json:"dead"`    // per output
	Held     uint64            `json:"held"`
	FileSize int64             `json:"file_size"` // bytes
	Used     int64             `json:"used"`      // bytes of it in use
	MaxSize  int64             `json:"max_size"`  // bytes; 0: no limit
	Full     bool              `json:"full"`      // sources wait
}

// Stats gives the figures as of the last transaction.
func (q *Queue) Stats() (Stats, error) {
	s := Stats{Pending: map[string]uint64{}, Dead: map[string]uint64{}, MaxSize: q.o.MaxSize}
	err := q.view(func(tx *bbolt.Tx) (err error) {
		info, err := q.file.Stat()
		if err != nil {
			return fmt.Errorf("size of queue %s: %w", q.path, err)
		}
		s.FileSize = info.Size()
		s.Counters, err = counters(tx)
		return err
	})
	if err != nil {
		return s, err
	}
	for _, o := range q.outputs {
		s.Pending[o] = s.Counters.pending(o)
	}
	for c := range s.Counters {
		switch {
		case c.Side == InputSide && c.Word == CountHeld:
			s.Held += s.Counters.held(c.Module)
		case c.Side == OutputSide && c.Word == CountDead:
			s.Dead[c.Module] = s.Counters.dead(c.Module)
		}
	}
	q.mu.Lock()
	s.Used, s.Full = q.used, q.full
	q.mu.Unlock()
	return s, nil
}

// counters reads all counters.
func counters(tx *bbolt.Tx) (Counters, error) {
	all := Counters{}
	err := tx.Bucket(bucketCounters).ForEach(func(k, v []byte) error {
		c, err := ParseCounter(string(k))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		all[c], err = unsealNumber(k, v)
		return err
	})
	return all, err
}
