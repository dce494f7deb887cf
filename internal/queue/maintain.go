package queue

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// Maintain forgets what is older than the retention, merges runs and small groups, and makes the file smaller when much
// of it is free. Call it every minute or so: with nothing to do it reads a few pages, otherwise it works in short
// transactions.
func (q *Queue) Maintain() error {
	q.lock <- struct{}{}
	q.tight = false
	<-q.lock
	for {
		more, err := q.maintainOnce()
		if err != nil {
			return fmt.Errorf("maintain queue %s: %w", q.path, err)
		}
		if !more {
			break
		}
	}
	if err := q.forgetIdle(); err != nil {
		return fmt.Errorf("maintain queue %s: %w", q.path, err)
	}
	if err := q.shrink(); err != nil {
		return fmt.Errorf("compact queue %s: %w", q.path, err)
	}
	return q.view(func(tx *bbolt.Tx) error {
		unmapIdle(tx)
		return nil
	})
}

// How much one step of Maintain does: a few milliseconds' work.
const (
	maintainEntries = 4 * runSegment
	maintainBlocks  = 2000
	maintainGroups  = 2000 // looked at
	joinGroups      = 200  // joined
)

// maintainOnce does one step of work, if there is any.
func (q *Queue) maintainOnce() (more bool, err error) {
	q.lock <- struct{}{}
	defer func() { <-q.lock }()
	now := q.ownTime()
	var step func(*txn) error
	if err := q.guarded(func() error {
		return q.db.View(func(tx *bbolt.Tx) (err error) {
			step, more, err = q.nextStep(tx, now)
			return err
		})
	}); err != nil {
		return false, err
	}
	if step == nil {
		return more, nil
	}
	return true, q.update(step)
}

// nextStep gives the next piece of work to be done in a transaction, if any. more without one: call again.
func (q *Queue) nextStep(tx *bbolt.Tx, now time.Time) (step func(*txn) error, more bool, err error) {
	for _, of := range []struct {
		parent []byte
		shape  runShape
		step   time.Duration
	}{{bucketKeys, indexShape, q.indexStep()}, {bucketSent, ledgerShape, ledgerStep}} {
		parent := tx.Bucket(of.parent)
		if stamp := expired(parent, now, of.step, q.o.Retain); stamp != nil {
			return func(t *txn) error { return forgetDay(t.Bucket(of.parent), stamp) }, true, nil
		}
		newest, _ := parent.Cursor().Last()
		c := parent.Cursor()
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			stamp, over := slices.Clone(k), !bytes.Equal(k, newest)
			day, err := openRuns(parent.Bucket(k), of.shape)
			if err != nil {
				return nil, false, err
			}
			if day.idle(over) {
				continue
			}
			return func(t *txn) error {
				day, err := openRuns(t.Bucket(of.parent).Bucket(stamp), of.shape)
				if err == nil {
					_, err = day.work(maintainEntries, over)
				}
				return err
			}, true, nil
		}
	}
	if step = q.nextStats(tx, now); step != nil {
		return step, true, nil
	}
	if step, more = q.nextJoin(tx); step != nil || more {
		return step, more, nil
	}
	if last := tx.Bucket(bucketGroups).Sequence(); q.dayIsOver(tx, now, last) {
		return func(t *txn) error { return t.noteDay(last + 1) }, true, nil
	}
	past, err := (&txn{Tx: tx, q: q, own: now}).past()
	if err != nil {
		return nil, false, err
	}
	if k, v := tx.Bucket(bucketGroups).Cursor().First(); k != nil && numbered(k)+groupCount(v)-1 <= past {
		return (*txn).forgetPassed, true, nil
	}
	if now.Sub(q.clock.stored) >= storeClockIdle {
		return func(*txn) error { return nil }, true, nil // the clock is stored
	}
	return nil, false, nil
}

// idle says whether work would find nothing to do.
func (d *runDay) idle(over bool) bool {
	for _, r := range d.list {
		if r.state != runWhole {
			return false
		}
	}
	return d.plan(over) == nil
}

// forgetDay deletes a day's bucket, or some of it if it is large.
func forgetDay(parent *bbolt.Bucket, stamp []byte) error {
	for _, name := range [][]byte{bucketBlocks, bucketFilters} {
		b := parent.Bucket(stamp).Bucket(name)
		if b == nil {
			continue
		}
		var keys [][]byte
		c := b.Cursor()
		k, _ := c.First()
		for ; k != nil && len(keys) < maintainBlocks; k, _ = c.Next() {
			keys = append(keys, slices.Clone(k))
		}
		if k == nil {
			continue // the rest goes with the bucket
		}
		for _, k := range keys {
			if err := b.Delete(k); err != nil {
				return err
			}
		}
		return nil
	}
	return parent.DeleteBucket(stamp)
}

// nextJoin finds small groups, of events that came alone, which joined take less room. It remembers how far it has looked:
// more says that it has not seen all.
func (q *Queue) nextJoin(tx *bbolt.Tx) (step func(*txn) error, more bool) {
	c := tx.Bucket(bucketGroups).Cursor()
	from, end, size, n := uint64(0), uint64(0), 0, 0
	flush := func() bool { return n >= 8 || n >= 2 && size > groupBytes }
	days := dayBounds(tx) // what is forgotten on another day is another group's
	k, v := c.Seek(number(q.joined))
	for looked := 0; k != nil; k, v = c.Next() {
		if looked++; looked > maintainGroups {
			return nil, true
		}
		small := len(v) < groupBytes*2/3
		if n > 0 && (!small || numbered(k) != end || n >= joinGroups || days[end-1]) {
			if flush() {
				break
			}
			n = 0
		}
		if !small {
			q.joined = numbered(k) + groupCount(v)
			continue
		}
		if n == 0 {
			from, size = numbered(k), 0
			q.joined = from
		}
		n++
		size += len(v)
		end = numbered(k) + groupCount(v)
	}
	if !flush() {
		return nil, false
	}
	return func(t *txn) error { return t.join(from, end) }, true
}

// join puts the events from seq on, below end, into as few groups as they need.
func (t *txn) join(from, end uint64) error {
	groups := t.Bucket(bucketGroups)
	groups.FillPercent = 1
	var records [][]byte
	var keys [][]byte
	c := groups.Cursor()
	for k, v := c.Seek(number(from)); k != nil && numbered(k) < end; k, v = c.Next() {
		if err := checkGroup(k, v); err != nil {
			return err
		}
		some, err := unpackGroup(v)
		if err != nil {
			return err
		}
		records, keys = append(records, some...), append(keys, slices.Clone(k))
	}
	if len(keys) == 0 || numbered(keys[0]) != from || uint64(len(records)) != end-from {
		return nil // others have come meanwhile
	}
	packs := packAll(records)
	if len(packs) >= len(keys) { // large ones: nothing is won
		t.q.joined = end
		return nil
	}
	for _, k := range keys {
		if err := groups.Delete(k); err != nil {
			return err
		}
	}
	for _, p := range packs {
		if err := groups.Put(number(from), seal(number(from), p.group)); err != nil {
			return err
		}
		t.q.joined = from // the last one may be small
		from += uint64(p.n)
	}
	return nil
}
