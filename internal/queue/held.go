package queue

import (
	"encoding/json"
	"time"

	"go.etcd.io/bbolt"

	"bouncefeed/internal/event"
)

// HeldEvent is an event that waits for somebody to release or drop it.
type HeldEvent struct {
	Seq   uint64      `json:"seq"`
	Time  time.Time   `json:"time"` // since when
	Why   string      `json:"why"`
	Event event.Event `json:"event"`
}

// Strangers can make both grow: the newest are kept. Refused records are counted per input.
const (
	maxHeld        = 10_000
	maxRefused     = 1000
	maxRefusedBody = 4 << 10
)

func heldBucket(tx *bbolt.Tx) *bbolt.Bucket { return tx.Bucket(bucketHeld) }

func (t *txn) holdNew(input string, e item) error {
	if seen, held, err := t.seen(e.keys); seen || held != nil || err != nil {
		t.countRepeat(input)
		return err
	}
	held := t.Bucket(bucketHeld)
	seq, err := held.NextSequence()
	if err != nil {
		return err
	}
	t.count(inputCounter(input, CountHeld), 1)
	if err := putSealed(held, number(seq), e.record); err != nil {
		return err
	}
	if seq > maxHeld {
		if err := t.unhold([]uint64{seq - maxHeld}, CountPushedOut); err != nil {
			return err
		}
	}
	return t.refer(e.keys, heldReference|seq)
}

// supersede forgets held events whose proof has come: the event itself is queued instead.
func (t *txn) supersede(seqs []uint64) error { return t.unhold(seqs, CountSuperseded) }

// unhold removes held events, as far as they still are, and counts them under word.
func (t *txn) unhold(seqs []uint64, word Word) error {
	_, err := takePart(t, t.Bucket(bucketHeld), seqs, func(t *txn, _ uint64, r *record) error {
		t.count(inputCounter(r.Input, word), 1)
		return nil
	})
	return err
}

// Held lists what is held, oldest first.
func (q *Queue) Held() ([]HeldEvent, error) {
	var all []HeldEvent
	err := q.records(heldBucket, func(seq uint64, r *record) {
		all = append(all, HeldEvent{seq, r.Since, r.Why, r.Event})
	})
	return all, err
}

// ReleaseHeld queues held events for every output. nil seqs: all of them. It tells how many.
func (q *Queue) ReleaseHeld(seqs []uint64) (int, error) {
	return q.take(heldBucket, seqs, func(t *txn, _ uint64, r *record) error {
		b, err := encodeRecord(&r.Event, time.Time{}, "")
		if err != nil {
			return err
		}
		t.count(inputCounter(r.Input, CountReleased), 1)
		seq, err := t.store(b)
		if err != nil {
			return err
		}
		return t.refer(r.Keys(), seq)
	})
}

// DropHeld forgets held events; told again without proof, they are repeats. nil seqs: all of them. It tells how many.
func (q *Queue) DropHeld(seqs []uint64) (int, error) {
	return q.take(heldBucket, seqs, func(t *txn, _ uint64, r *record) error {
		t.count(inputCounter(r.Input, CountDropped), 1)
		return nil
	})
}

// refuse keeps the newest refused records of input.
func (t *txn) refuse(input string, refused []Refused) error {
	if len(refused) == 0 {
		return nil
	}
	ring, err := t.Bucket(bucketRefused).CreateBucketIfNotExists([]byte(input))
	if err != nil {
		return err
	}
	for _, r := range refused[max(0, len(refused)-maxRefused):] {
		r.Body = r.Body[:min(len(r.Body), maxRefusedBody)]
		b, err := json.Marshal(r)
		if err != nil {
			return err
		}
		seq, err := ring.NextSequence()
		if err != nil {
			return err
		}
		if err := putSealed(ring, number(seq), b); err != nil {
			return err
		}
		if seq > maxRefused {
			if err := ring.Delete(number(seq - maxRefused)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Refused lists the newest 1000 refused records of input, oldest first.
func (q *Queue) Refused(input string) ([]Refused, error) {
	var all []Refused
	err := q.view(func(tx *bbolt.Tx) error {
		ring := tx.Bucket(bucketRefused).Bucket([]byte(input))
		if ring == nil {
			return nil
		}
		return ring.ForEach(func(k, v []byte) error {
			var r Refused
			if err := unsealJSON(k, v, &r); err != nil {
				return err
			}
			all = append(all, r)
			return nil
		})
	})
	return all, err
}
