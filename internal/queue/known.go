package queue

import (
	"go.etcd.io/bbolt"

	"bouncefeed/internal/event"
)

// Known says of each list of keys, an event's with its claims, whether that event would be a repeat. It changes nothing.
func (q *Queue) Known(events [][]event.Key) ([]bool, error) {
	known := make([]bool, len(events))
	err := q.view(func(tx *bbolt.Tx) error {
		var generations []*bbolt.Bucket
		parent := tx.Bucket(bucketIndex)
		c := parent.Cursor()
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			generations = append(generations, parent.Bucket(k))
		}
		for i, keys := range events {
			for j := 0; j < len(keys) && !known[i]; j++ {
				ref, err := referenceIn(generations, keys[j][:])
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

func referenceIn(generations []*bbolt.Bucket, key []byte) (uint64, error) {
	for i := len(generations) - 1; i >= 0; i-- {
		if v := generations[i].Get(key); v != nil {
			return unsealReference(key, v)
		}
	}
	return 0, nil
}
