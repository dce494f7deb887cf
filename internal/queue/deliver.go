package queue

import (
	"context"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"bouncefeed/internal/event"
)

// Item is an event on its way to one output. Seq names it in Settle.
type Item struct {
	Seq   uint64
	Event event.Event
}

// Outcome is what became of an Item; also the word under which it is counted.
type Outcome string

// The three ends of an Item. Anything else is "later": it is simply not settled.
const (
	Sent    Outcome = "sent"
	NotSent Outcome = "not_sent" // the output's `send:` filter
	Dead    Outcome = "dead"     // the receiver will never take it: kept as a dead letter
)

// Settled says what became of an Item.
type Settled struct {
	Seq     uint64
	Outcome Outcome
	Answer  string // the receiver's, for Dead
}

// Next gives up to max events that output has not settled, oldest first, those retried before all others; the same
// ones again until they are settled. It blocks until there is one, or ctx ends.
func (q *Queue) Next(ctx context.Context, output string, max int) ([]Item, error) {
	for {
		changed := q.waker()
		var items []Item
		err := q.view(func(tx *bbolt.Tx) (err error) {
			items, err = pendingItems(tx, output, max)
			return err
		})
		if err != nil || len(items) > 0 {
			return items, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		}
	}
}

func pendingItems(tx *bbolt.Tx, output string, max int) ([]Item, error) {
	position, err := positionOf(tx, output)
	if err != nil {
		return nil, err
	}
	var items []Item
	take := func(c *bbolt.Cursor, from uint64) error {
		for k, v := c.Seek(number(from)); k != nil && len(items) < max; k, v = c.Next() {
			r, err := decodeRecord(k, v)
			if err != nil {
				return err
			}
			items = append(items, Item{numbered(k), r.Event})
		}
		return nil
	}
	if again := tx.Bucket(bucketAgain).Bucket([]byte(output)); again != nil {
		if err := take(again.Cursor(), 0); err != nil {
			return nil, err
		}
	}
	return items, take(tx.Bucket(bucketEvents).Cursor(), position+1)
}

// Settle moves output's position past the items in s, which must be the first ones that Next gave, in its order. An
// event that every output is past is deleted.
func (q *Queue) Settle(output string, s []Settled) error {
	if len(s) == 0 {
		return nil
	}
	return q.write(context.Background(), 256*len(s), func(t *txn) error {
		for _, one := range s {
			if err := t.settle(output, one); err != nil {
				return fmt.Errorf("settle event %d of output %q: %w", one.Seq, output, err)
			}
		}
		return t.forgetPassed()
	})
}

func (t *txn) settle(output string, s Settled) error {
	position, err := positionOf(t.Tx, output)
	if err != nil {
		return err
	}
	key := number(s.Seq)
	again := t.Bucket(bucketAgain).Bucket([]byte(output))
	var stored []byte
	if again != nil {
		stored = again.Get(key)
	}
	retried := stored != nil
	if !retried {
		var next []byte
		next, stored = t.Bucket(bucketEvents).Cursor().Seek(number(position + 1))
		if next == nil || numbered(next) != s.Seq {
			return fmt.Errorf("out of order: %d is next", numbered(next))
		}
	}
	t.count(outputCounter(output, Word(s.Outcome)), 1)
	switch s.Outcome {
	case Sent, NotSent:
	case Dead:
		if err := t.setDead(output, key, stored, s.Answer); err != nil {
			return err
		}
	default:
		return fmt.Errorf("no such outcome: %q", s.Outcome)
	}
	if retried {
		return again.Delete(key)
	}
	return putSealed(t.Bucket(bucketOutputs), []byte(output), key)
}

// positionOf gives the seq of the last event that output settled.
func positionOf(tx *bbolt.Tx, output string) (uint64, error) {
	v := tx.Bucket(bucketOutputs).Get([]byte(output))
	if v == nil {
		return 0, fmt.Errorf("the queue knows no output %q", output)
	}
	return unsealNumber([]byte(output), v)
}

// passed gives the lowest position of all outputs; the highest number if there are none.
func (t *txn) passed() (uint64, error) {
	lowest := ^uint64(0)
	err := t.Bucket(bucketOutputs).ForEach(func(k, v []byte) error {
		position, err := unsealNumber(k, v)
		lowest = min(lowest, position)
		return err
	})
	return lowest, err
}

// forgetPassed deletes the events that every output is past.
func (t *txn) forgetPassed() error {
	passed, err := t.passed()
	if err != nil {
		return err
	}
	events := t.Bucket(bucketEvents)
	var keys [][]byte // not deleted on the way: a cursor would step over every emptied page again and again
	c := events.Cursor()
	for k, _ := c.First(); k != nil && numbered(k) <= passed; k, _ = c.Next() {
		keys = append(keys, slices.Clone(k))
	}
	for _, k := range keys {
		if err := events.Delete(k); err != nil {
			return err
		}
	}
	return nil
}
