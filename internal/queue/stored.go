package queue

import (
	"iter"

	"go.etcd.io/bbolt"
)

// Stored is what the parser of an input has stored (parsers.Stored).
type Stored struct {
	q     *Queue
	input string
}

// Stored gives it for input.
func (q *Queue) Stored(input string) Stored { return Stored{q, input} }

// Value gives one value, the caller's own; nil: there is none, or the file is damaged, and the next Commit tells.
func (s Stored) Value(key string) (value []byte) {
	_ = s.q.view(func(tx *bbolt.Tx) error { // said by guarded
		if b := tx.Bucket(bucketState).Bucket([]byte(s.input)); b != nil {
			if v := b.Get([]byte(key)); v != nil {
				value = append([]byte{}, v...)
			}
		}
		return nil
	})
	return value
}

// All is State.
func (s Stored) All() iter.Seq2[string, []byte] { return s.q.State(s.input) }
