package queue

import (
	"fmt"
	"strings"

	"go.etcd.io/bbolt"
)

// Stats are the queue's figures. The counters add up at every moment, over restarts and crashes:
//
//	input:  read = queued + held + ignored/* + refused/*      (read, refused and most of ignored are the caller's)
//	held:   Held = held - released - dropped - superseded - pushed_out - held_lost, over all inputs
//	output: queued + retried = sent + not_sent + dead + lost + Pending
//	dead:   Dead = dead - retried - dropped - dead_lost
//
// An output's "queued" counts from its first start: the inputs' queued and released since then. "lost" is 0 unless an
// output was taken out of the configuration with events pending, or a damaged file lost some that were told again.
type Stats struct {
	Counters map[string]uint64 `json:"counters"`
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
		s.Pending[o] = pending(s.Counters, o)
	}
	for name := range s.Counters {
		if input, word, _ := inputCounter(name); word == "held" {
			s.Held += heldOf(s.Counters, input)
		} else if output, ok := strings.CutSuffix(name, "/dead"); ok {
			output = strings.TrimPrefix(output, "output/")
			s.Dead[output] = dead(s.Counters, output)
		}
	}
	q.mu.Lock()
	s.Used, s.Full = q.used, q.full
	q.mu.Unlock()
	return s, nil
}

// inputCounter splits "input/NAME/word"; word may have slashes of its own, NAME has none.
func inputCounter(counter string) (input, word string, ok bool) {
	rest, ok := strings.CutPrefix(counter, "input/")
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, "/")
}

// counters reads all counters.
func counters(tx *bbolt.Tx) (map[string]uint64, error) {
	all := map[string]uint64{}
	err := tx.Bucket(bucketCounters).ForEach(func(k, v []byte) (err error) {
		all[string(k)], err = unsealNumber(k, v)
		return err
	})
	return all, err
}

// pending counts what output has not settled.
func pending(counters map[string]uint64, output string) uint64 {
	c := func(word string) uint64 { return counters["output/"+output+"/"+word] }
	return c("queued") + c("retried") - c("sent") - c("not_sent") - c("dead") - c("lost")
}

// dead counts output's dead letters.
func dead(counters map[string]uint64, output string) uint64 {
	c := func(word string) uint64 { return counters["output/"+output+"/"+word] }
	return c("dead") - c("retried") - c("dropped") - c("dead_lost")
}

// heldOf counts what is held of input.
func heldOf(counters map[string]uint64, input string) uint64 {
	c := func(word string) uint64 { return counters["input/"+input+"/"+word] }
	return c("held") - c("released") - c("dropped") - c("superseded") - c("pushed_out") - c("held_lost")
}
