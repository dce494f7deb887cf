package queue

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"bouncefeed/internal/event"
)

// Examples of what was said: by name, a zero byte and the kind, the sealed time of the last (8 bytes) and JSON. An example is
// looked after once an hour.

const (
	maxExamples  = 512
	keepExample  = 30 * statDay // after it was last heard
	renewExample = time.Hour
)

func examples(tx *bbolt.Tx) *bbolt.Bucket { return tx.Bucket(bucketStats).Bucket(statsExamples) }

func (t *txn) putExample(e *event.StatExample) error {
	if len(e.Name) > maxStatName || strings.IndexByte(e.Name, 0) >= 0 {
		return nil
	}
	b, key := examples(t.Tx), []byte(e.Name+"\x00"+e.Kind)
	one := *e
	switch stored := b.Get(key); {
	case stored != nil:
		before, err := decodeExample(key, stored)
		if err != nil {
			return err
		}
		if one.Last.Before(before.Last.Add(renewExample)) && (before.Text != "" || one.Text == "") {
			return nil
		}
		one.First = before.First
	case b.Stats().KeyN >= maxExamples:
		return nil
	}
	text, err := json.Marshal(&one)
	if err != nil {
		return fmt.Errorf("encode an example: %w", err)
	}
	return putSealed(b, key, append(number(uint64(one.Last.Unix())), text...))
}

func decodeExample(k, stored []byte) (e event.StatExample, err error) {
	v, err := unseal(k, stored)
	if err != nil {
		return e, err
	}
	if len(v) < 8 || json.Unmarshal(v[8:], &e) != nil {
		return e, fmt.Errorf("%w: an example is not JSON", ErrDamaged)
	}
	e.Name, e.Kind, _ = strings.Cut(string(k), "\x00")
	return e, nil
}

// Examples gives what was said lately.
func (q *Queue) Examples() (all []event.StatExample, err error) {
	err = q.view(func(tx *bbolt.Tx) error {
		return examples(tx).ForEach(func(k, v []byte) error {
			e, err := decodeExample(k, v)
			all = append(all, e)
			return err
		})
	})
	return all, err
}

// forgotten are the examples that nobody has said for long.
func forgotten(tx *bbolt.Tx, now time.Time) (keys [][]byte) {
	_ = examples(tx).ForEach(func(k, v []byte) error {
		if len(v) >= 12 && time.Unix(int64(numbered(v[4:12])), 0).Before(now.Add(-keepExample)) {
			keys = append(keys, slices.Clone(k))
		}
		return nil
	})
	return keys
}

func (t *txn) forgetExamples(now time.Time) error {
	for _, k := range forgotten(t.Tx, now) {
		if err := examples(t.Tx).Delete(k); err != nil {
			return err
		}
	}
	return nil
}
