package queue

import (
	"go.etcd.io/bbolt"

	"bouncefeed/internal/event"
)

// Known says of each list of keys, an event's with its claims, whether that event would be a repeat. It changes nothing.
func (q *Queue) Known(events [][]event.Key) ([]bool, error) {
	known := make([]bool, len(events))
	err := q.view(func(tx *bbolt.Tx) error {
		t := &txn{Tx: tx}
		if err := eachDay(tx.Bucket(bucketKeys), indexShape, func(d *runDay) error {
			t.index.days = append([]*runDay{d}, t.index.days...)
			return nil
		}); err != nil {
			return err
		}
		for i, keys := range events {
			for j := 0; j < len(keys) && !known[i]; j++ {
				ref, err := t.reference(&keys[j])
				if err != nil {
					return err
				}
				known[i] = ref != 0 && ref&heldReference == 0
			}
		}
		return nil
	})
	return known, err
}
