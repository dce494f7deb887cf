package queue

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"bouncefeed/internal/event"
)

// Identity keys live in days, as runs (see runs.go): a lookup asks each day's, forgetting is deleting the oldest, and no
// key needs a date of its own. A key that is seen again moves to the newest, so that what is told again and again stays
// known. The time is the queue's own (see clock.go).
//
// An entry is the key and behind it, in 8 bytes, what it stands for: the seq of an event or, with the high bit, of a held
// event; with the next one too it waits and is proven. settledReference is a failure's that is nobody's. Repair uses it:
// keys of an event that is lost must go, or it would be taken for a repeat when its source tells it again.

const (
	heldReference    = 1 << 63
	waitingReference = heldReference | 1<<62
	settledReference = 1 << 61

	referenceMarks = waitingReference | settledReference | guardedReference
)

// indexDays is how many days' keys the retention has; with a shorter one they are shorter, too.
const indexDays = 15

func (q *Queue) indexStep() time.Duration { return q.o.Retain / indexDays }

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
	return slices.Clone(first)
}

// index is the identity keys as a transaction sees them.
type index struct {
	days  []*runDay // newest first
	added map[event.Key]uint64
}

func (t *txn) openIndex() error {
	if t.index.added != nil {
		return nil
	}
	g, err := openGeneration(t.Bucket(bucketKeys), t.own, t.q.indexStep())
	if err != nil {
		return err
	}
	for _, b := range append([]*bbolt.Bucket{g.newest}, g.older...) {
		d, err := openRuns(b, indexShape)
		if err != nil {
			return err
		}
		t.index.days = append(t.index.days, d)
	}
	t.index.added = map[event.Key]uint64{}
	return nil
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
			ref, err := t.reference(&part.keys[i])
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
func (t *txn) reference(key *event.Key) (uint64, error) { return t.referenceIn(key, t.index.days) }

func (t *txn) referenceIn(key *event.Key, days []*runDay) (uint64, error) {
	if ref, ok := t.index.added[*key]; ok {
		return ref, nil
	}
	for _, d := range days {
		entry, err := d.find(key[:])
		if err != nil {
			return 0, fmt.Errorf("an identity key: %w", err)
		}
		if entry != nil {
			return referenceOf(entry), nil
		}
	}
	return 0, nil
}

// referenceOf gives what the key of an entry stands for.
func referenceOf(entry []byte) uint64 { return binary.BigEndian.Uint64(entry[indexShape.key:]) }

// refer makes keys stand for ref from now on.
func (t *txn) refer(keys []event.Key, ref uint64) error {
	if err := t.openIndex(); err != nil {
		return err
	}
	for i := range keys {
		t.index.added[keys[i]] = ref
	}
	return nil
}

// remember makes those of keys that are not among the newest day's stand for ref.
func (t *txn) remember(keys []event.Key, ref uint64) error {
	for i := range keys {
		known, err := t.referenceIn(&keys[i], t.index.days[:1])
		if err != nil {
			return err
		}
		if known == 0 {
			t.index.added[keys[i]] = ref
		}
	}
	return nil
}

// mergeShare is how many entries a commit merges for each that it adds: as many as there are levels, or runs would become
// more and more. It merges once a segment's worth has come together; Maintain does what is left.
const mergeShare = 5

// storeIndex stores what became known in this transaction.
func (t *txn) storeIndex() error {
	if len(t.index.added) == 0 {
		return nil
	}
	entries := make([]byte, 0, len(t.index.added)*indexShape.width)
	for _, key := range slices.SortedFunc(maps.Keys(t.index.added), func(a, b event.Key) int { return bytes.Compare(a[:], b[:]) }) {
		entries = binary.BigEndian.AppendUint64(append(entries, key[:]...), t.index.added[key])
	}
	today := t.index.days[0]
	if err := today.add(entries); err != nil {
		return err
	}
	return t.pay(&t.q.indexDebt, today, len(t.index.added))
}

// debt is how many entries commits have left to be merged. A transaction that fails pays too much or too little.
type debt struct{ entries int }

// pay has a commit that added entries to day do its share of merging.
func (t *txn) pay(d *debt, day *runDay, added int) error {
	if t.q.tight {
		return nil
	}
	if d.entries += mergeShare * added; d.entries < runSegment {
		return nil
	}
	left, err := day.work(min(d.entries, 8*runSegment), false)
	d.entries = min(left, runSegment/2)
	return err
}
