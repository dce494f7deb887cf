package queue

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"bouncefeed/internal/event"
	"bouncefeed/internal/guard"
)

// holdExcess holds a bounce in place of queueing it.
func (t *txn) holdExcess(e *event.Event, keys []event.Key, shared []string, excess string) error {
	for _, name := range shared {
		s, err := t.scope(name, false)
		if err != nil {
			return err
		}
		if s != nil {
			s.Hold(failedAt(name, e, t.now), t.now)
		}
	}
	b, err := encodeRecord(e, t.now, whyExcess+strings.Replace(excess, "/", " ", 1))
	if err != nil {
		return err
	}
	held, numbers := t.Bucket(bucketHeld), t.Bucket(bucketGuard)
	n, err := numbers.NextSequence()
	if err != nil {
		return err
	}
	seq := guardedFrom + n
	if k, _ := held.Cursor().Last(); k != nil && numbered(k) >= seq { // the sequence was lost
		seq = numbered(k) + 1
		if err := numbers.SetSequence(seq - guardedFrom); err != nil {
			return err
		}
	}
	if err := putSealed(held, number(seq), b); err != nil {
		return err
	}
	if err := t.refer(keys, guardedReference|seq); err != nil {
		return err
	}
	if err := t.tell(e); err != nil { // it failed, whatever is made of that
		return err
	}
	if !isGuarded(seq - maxGuarded) {
		return nil
	}
	_, err = takePart(t, held, []uint64{seq - maxGuarded}, func(t *txn, _ uint64, r *record) error { return t.releaseExcess(r, true) })
	return err
}

// failedAt is the time by which a scope counts a failure that was told at another.
func failedAt(name string, e *event.Event, told time.Time) time.Time {
	if name == scopeLate || e.Time.After(told) {
		return told
	}
	return e.Time
}

// releaseExcess queues what the guard held: as it is, which says that so many are plausible, or as soft.
func (t *txn) releaseExcess(r *record, soft bool) error {
	if soft {
		r.Event.Type = event.Soft
	} else if g := t.q.o.Guard; g != nil {
		for _, name := range g.watchedBy(&r.Event, r.Ours, r.Since) {
			s, err := t.scope(name, false)
			if err != nil {
				return err
			}
			if s != nil {
				s.Release(failedAt(name, &r.Event, r.Since), t.now)
			}
		}
	}
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
}

// storeScopes stores what the guard has learned in this transaction.
func (t *txn) storeScopes() error {
	b := t.Bucket(bucketGuard)
	for _, name := range slices.Sorted(maps.Keys(t.watched.scopes)) {
		if s := t.watched.scopes[name]; s != nil && s.Touched.Equal(t.now) {
			if err := putSealed(b, []byte(name), s.Encode()); err != nil {
				return err
			}
		}
	}
	return nil
}

// SoftenHeld queues as soft what the guard has held since before a time. It tells how many.
func (q *Queue) SoftenHeld(before time.Time) (int, error) {
	var due []uint64
	if err := q.records(heldBucket, func(seq uint64, r *record) {
		if isGuarded(seq) && !r.Since.After(before) {
			due = append(due, seq)
		}
	}); err != nil || due == nil {
		return 0, err
	}
	return q.take(heldBucket, due, func(t *txn, _ uint64, r *record) error { return t.releaseExcess(r, true) })
}

// Excessive gives since when there have been more of something than is plausible, by Excess.Of; what ended an hour ago is
// over.
func (q *Queue) Excessive() (since map[string]time.Time, err error) {
	since = map[string]time.Time{}
	err = q.view(func(tx *bbolt.Tx) error {
		return q.eachScope(tx, func(name string, s *guard.Scope) {
			if !s.Last.IsZero() && q.o.Now().Sub(s.Last).Abs() <= time.Hour {
				since[name] = s.Since
			}
		})
	})
	return since, err
}

func (q *Queue) eachScope(tx *bbolt.Tx, each func(string, *guard.Scope)) error {
	return tx.Bucket(bucketGuard).ForEach(func(k, v []byte) error {
		text, err := unseal(k, v)
		if err != nil {
			return err
		}
		s, err := guard.Decode(text)
		if err == nil {
			each(string(k), s)
		}
		return err
	})
}

// forgetIdle forgets the scopes of which nothing was heard for a day.
func (q *Queue) forgetIdle() error {
	if q.o.Guard == nil {
		return nil
	}
	var idle [][]byte
	now, n := q.o.Now(), 0
	if err := q.view(func(tx *bbolt.Tx) error {
		return q.eachScope(tx, func(name string, s *guard.Scope) {
			if n++; s.Idle(now) && len(idle) < slice {
				idle = append(idle, []byte(name))
			}
		})
	}); err != nil || len(idle) == 0 {
		return err
	}
	return q.write(context.Background(), 64*len(idle), func(t *txn) error {
		for _, name := range idle {
			if err := t.Bucket(bucketGuard).Delete(name); err != nil {
				return err
			}
		}
		t.q.scopes = n - len(idle)
		return nil
	})
}
