package queue

import (
	"encoding/binary"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"bouncefeed/internal/event"
)

// Identity keys live in generations: a bucket for those stored within one fifth of the retention. A lookup asks each
// of them, forgetting is deleting the oldest, and no key needs a date of its own. A key that is seen again moves to
// the newest, so that what is told again and again stays known. The time is the queue's own (see clock.go).
//
// A key's value refers to what it stands for: the seq of an event or, with the high bit, of a held event; with the next
// one too it waits and is proven. settledReference is a failure's that is nobody's. Repair uses it: keys of an event that
// is lost must go, or it would be taken for a repeat when its source tells it again.
// Behind the reference stands its seal, 4 bytes CRC-32C over key and reference. What format 1 stored has none and is
// taken as it is until it expires. The seal comes last, so that a value cut to that length is still the right one.

const (
	heldReference    = 1 << 63
	waitingReference = heldReference | 1<<62
	settledReference = 1 << 61

	referenceMarks = waitingReference | settledReference
)

// generation is the buckets of a parent named by the time they were begun at; the newest takes what is stored now.
type generation struct {
	newest *bbolt.Bucket
	older  []*bbolt.Bucket // newest first
}

// openGeneration begins a new bucket when step has passed since the newest was begun.
func openGeneration(parent *bbolt.Bucket, now time.Time, step time.Duration) (generation, error) {
	var g generation
	c := parent.Cursor()
	for k, _ := c.Last(); k != nil; k, _ = c.Prev() {
		if b := parent.Bucket(k); g.newest == nil && now.Before(stamped(k).Add(step)) {
			g.newest = b
		} else {
			g.older = append(g.older, b)
		}
	}
	if g.newest != nil {
		return g, nil
	}
	var err error
	g.newest, err = parent.CreateBucketIfNotExists(number(uint64(now.Unix())))
	return g, err
}

func stamped(k []byte) time.Time { return time.Unix(int64(numbered(k)), 0) }

// expired gives the name of the oldest bucket in parent if all in it was stored more than retain ago.
func expired(parent *bbolt.Bucket, now time.Time, step, retain time.Duration) []byte {
	first, _ := parent.Cursor().First()
	if first == nil || stamped(first).Add(step).After(now.Add(-retain)) {
		return nil
	}
	return append([]byte(nil), first...)
}

func (q *Queue) indexStep() time.Duration { return q.o.Retain / 5 }

func (t *txn) openIndex() (err error) {
	if t.index.newest == nil {
		t.index, err = openGeneration(t.Bucket(bucketIndex), t.own, t.q.indexStep())
	}
	return err
}

// seen gives what an event is a repeat of, 0: nothing, and if it is one makes all of its keys known. Keys of held events
// do not count: what lacks proof must not stand in the way of what has it. held gives the references to held events that
// its keys are of, claimed those that only its claims are of.
func (t *txn) seen(e *item) (ref uint64, held, claimed []uint64, err error) {
	if err := t.openIndex(); err != nil {
		return 0, nil, nil, err
	}
	for _, part := range []struct {
		keys []event.Key
		to   *[]uint64
	}{{e.keys, &held}, {e.claims, &claimed}} {
		for i := range part.keys {
			ref, err := t.reference(part.keys[i][:])
			switch {
			case err != nil:
				return 0, nil, nil, err
			case ref == 0:
			case ref&heldReference != 0:
				*part.to = append(*part.to, ref)
			case ref == settledReference:
				return ref, nil, nil, nil
			default:
				return ref, nil, nil, t.remember(e.keys, ref)
			}
		}
	}
	return 0, held, claimed, nil
}

// reference gives what key stands for; 0: nothing known.
func (t *txn) reference(key []byte) (uint64, error) {
	v := t.index.newest.Get(key)
	for i := 0; v == nil && i < len(t.index.older); i++ {
		v = t.index.older[i].Get(key)
	}
	if v == nil {
		return 0, nil
	}
	return unsealReference(key, v)
}

func sealReference(key []byte, ref uint64) []byte {
	v := binary.BigEndian.AppendUint64(make([]byte, 0, 12), ref)
	return binary.BigEndian.AppendUint32(v, checksum(key, v))
}

func unsealReference(key, stored []byte) (uint64, error) {
	switch ref := stored[:min(8, len(stored))]; {
	case len(stored) == 8,
		len(stored) == 12 && binary.BigEndian.Uint32(stored[8:]) == checksum(key, ref):
		return numbered(ref), nil
	}
	return 0, fmt.Errorf("%w: an identity key's checksum is wrong", ErrDamaged)
}

// refer makes keys stand for ref from now on.
func (t *txn) refer(keys []event.Key, ref uint64) error {
	if err := t.openIndex(); err != nil {
		return err
	}
	for i := range keys {
		if err := t.index.newest.Put(keys[i][:], sealReference(keys[i][:], ref)); err != nil {
			return err
		}
	}
	return nil
}

// remember makes those of keys that are not in the newest generation stand for ref.
func (t *txn) remember(keys []event.Key, ref uint64) error {
	for i := range keys {
		if t.index.newest.Get(keys[i][:]) == nil {
			if err := t.refer(keys[i:i+1], ref); err != nil {
				return err
			}
		}
	}
	return nil
}
