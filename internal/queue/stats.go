package queue

import (
	"fmt"
	"strings"

	"go.etcd.io/bbolt"
)

// Stats are the queue's figures. The counters add up at every moment, over restarts and crashes:
//
//	input:  read = queued + held + ignored/* + refused/*      (read, refused and most of ignored are the caller's)
//	held:   Held = held - released - dropped - held_lost, over all inputs
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
	s := Stats{Counters: map[string]uint64{}, Dead: map[string]uint64{}, MaxSize: q.o.MaxSize}
	err := q.view(func(tx *bbolt.Tx) error {
		info, err := q.file.Stat()
		if err != nil {
			return fmt.Errorf("size of queue %s: %w", q.path, err)
		}
		s.FileSize = info.Size()
		s.Pending = q.pending(tx)
		return tx.Bucket(bucketCounters).ForEach(func(k, v []byte) error {
			s.Counters[string(k)] = numbered(v)
			return nil
		})
	})
	if err != nil {
		return s, err
	}
	for name, n := range s.Counters {
		if _, word, ok := inputCounter(name); ok {
			switch word {
			case "held":
				s.Held += n
			case "released", "dropped", "held_lost":
				s.Held -= n
			}
		} else if output, ok := strings.CutSuffix(strings.TrimPrefix(name, "output/"), "/dead"); ok {
			c := func(word string) uint64 { return s.Counters["output/"+output+"/"+word] }
			s.Dead[output] = n - c("retried") - c("dropped") - c("dead_lost")
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

// pending counts what each output has not settled.
func (q *Queue) pending(tx *bbolt.Tx) map[string]uint64 {
	counters := tx.Bucket(bucketCounters)
	pending := make(map[string]uint64, len(q.outputs))
	for _, o := range q.outputs {
		pending[o] = outputPending(counters, o)
	}
	return pending
}

func outputPending(counters *bbolt.Bucket, output string) uint64 {
	c := func(word string) uint64 { return numbered(counters.Get([]byte("output/" + output + "/" + word))) }
	return c("queued") + c("retried") - c("sent") - c("not_sent") - c("dead") - c("lost")
}
