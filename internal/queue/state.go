package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// changeState stores a parser's changes.
func (t *txn) changeState(input string, changes map[string][]byte) error {
	if len(changes) == 0 {
		return nil
	}
	b, err := t.Bucket(bucketState).CreateBucketIfNotExists([]byte(input))
	if err != nil {
		return err
	}
	// In order, so that neighbours are changed while their page is at hand.
	for _, k := range slices.Sorted(maps.Keys(changes)) {
		if v := changes[k]; v == nil {
			err = b.Delete([]byte(k))
		} else {
			err = b.Put([]byte(k), v)
		}
		if err != nil {
			return fmt.Errorf("store state %.40q of input %q: %w", k, input, err)
		}
	}
	return nil
}

// State is what the parser of input has stored, in order of the keys. Values are the caller's own. If the file turns
// out damaged midway it ends early and the next Commit tells.
func (q *Queue) State(input string) iter.Seq2[string, []byte] {
	type entry struct {
		key   string
		value []byte
	}
	return func(yield func(string, []byte) bool) {
		for next := []byte(nil); ; {
			var part []entry
			if err := q.view(func(tx *bbolt.Tx) error {
				b := tx.Bucket(bucketState).Bucket([]byte(input))
				if b == nil {
					return nil
				}
				c := b.Cursor()
				for k, v := c.Seek(next); k != nil && len(part) < slice; k, v = c.Next() {
					part = append(part, entry{string(k), append([]byte{}, v...)})
				}
				return nil
			}); err != nil {
				return // said by guarded
			}
			for _, e := range part {
				if !yield(e.key, e.value) {
					return
				}
			}
			if len(part) < slice {
				return
			}
			next = append([]byte(part[len(part)-1].key), 0)
		}
	}
}

// Checkpoint is what the last Commit of input stored; empty before the first. {"start": "beginning"} when the file was
// begun anew after damage, within the retention, and this input has none yet: the source may still hold what was lost.
func (q *Queue) Checkpoint(input string) (map[string]string, error) {
	checkpoint := map[string]string{}
	err := q.view(func(tx *bbolt.Tx) error {
		if v := tx.Bucket(bucketCheckpoints).Get([]byte(input)); v != nil {
			return unsealJSON([]byte(input), v, &checkpoint)
		}
		// Not for ever: an input added months later starts as it is configured.
		begun := time.Unix(int64(numbered(tx.Bucket(bucketMeta).Get(keyBegun))), 0)
		if q.ownTime().Before(begun.Add(q.o.Retain)) {
			checkpoint["start"] = "beginning"
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("checkpoint of input %q: %w", input, err)
	}
	return checkpoint, nil
}

// SetCheckpoint stores a checkpoint by itself, however full the queue is.
func (q *Queue) SetCheckpoint(input string, checkpoint map[string]string) error {
	b, err := json.Marshal(checkpoint)
	if err != nil {
		return err
	}
	return q.write(context.Background(), len(b), func(t *txn) error {
		return putSealed(t.Bucket(bucketCheckpoints), []byte(input), b)
	})
}

// Forget removes the checkpoint and the parser state of input. Its events and counters stay.
func (q *Queue) Forget(input string) error {
	return q.write(context.Background(), 0, func(t *txn) error {
		if state := t.Bucket(bucketState); state.Bucket([]byte(input)) != nil {
			if err := state.DeleteBucket([]byte(input)); err != nil {
				return err
			}
		}
		return t.Bucket(bucketCheckpoints).Delete([]byte(input))
	})
}
