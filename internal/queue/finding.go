package queue

import (
	"maps"
	"slices"

	"go.etcd.io/bbolt"
)

// What was found in the statistics, and who was told of it: by name, sealed, what the caller makes of it.
var statsFindings = []byte("findings")

// Findings gives what SetFindings stored.
func (q *Queue) Findings() (map[string][]byte, error) {
	all := map[string][]byte{}
	err := q.view(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketStats).Bucket(statsFindings).ForEach(func(k, v []byte) error {
			text, err := unseal(k, v)
			all[string(k)] = slices.Clone(text)
			return err
		})
	})
	return all, err
}

// SetFindings stores some; nil: forget that one.
func (q *Queue) SetFindings(changes map[string][]byte) error {
	q.lock <- struct{}{}
	defer func() { <-q.lock }()
	return q.update(func(t *txn) error {
		b := t.Bucket(bucketStats).Bucket(statsFindings)
		for _, name := range slices.Sorted(maps.Keys(changes)) {
			var err error
			if text := changes[name]; text == nil {
				err = b.Delete([]byte(name))
			} else {
				err = putSealed(b, []byte(name), text)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
