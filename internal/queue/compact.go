package queue

import (
	"errors"
	"fmt"
	"os"
	"time"

	"go.etcd.io/bbolt"
)

const (
	compactAbove = 8 << 20  // smaller files are left as they are
	compactQuick = 32 << 20 // what Maintain copies at most: Commit waits meanwhile
)

// Maintain forgets what is older than the retention, sorts the ledger, and makes the file smaller when much of it is
// free. Call it every minute or so: with nothing to do it reads a few pages, otherwise it works in short transactions.
func (q *Queue) Maintain() error {
	for {
		more, err := q.maintainOnce()
		if err != nil {
			return fmt.Errorf("maintain queue %s: %w", q.path, err)
		}
		if !more {
			break
		}
	}
	q.lock <- struct{}{}
	defer func() { <-q.lock }()
	if q.broken != nil {
		return q.broken
	}
	if err := q.compact(compactQuick); err != nil {
		return fmt.Errorf("compact queue %s: %w", q.path, err)
	}
	return q.guarded(func() error {
		return q.db.View(func(tx *bbolt.Tx) error {
			unmapIdle(tx)
			return nil
		})
	})
}

// maintainOnce does one step of work, if there is any.
func (q *Queue) maintainOnce() (more bool, err error) {
	q.lock <- struct{}{}
	defer func() { <-q.lock }()
	var keys, day, tail []byte
	now := q.ownTime()
	idle := now.Sub(q.clock.stored) >= storeClockIdle
	if err := q.guarded(func() error {
		return q.db.View(func(tx *bbolt.Tx) error {
			keys = expired(tx.Bucket(bucketIndex), now, q.indexStep(), q.o.Retain)
			day = expired(tx.Bucket(bucketLedger), now, ledgerStep, q.o.Retain)
			tail = unsorted(tx.Bucket(bucketLedger))
			return nil
		})
	}); err != nil || keys == nil && day == nil && tail == nil && !idle {
		return false, err
	}
	return true, q.update(func(t *txn) error {
		switch {
		case keys != nil:
			return t.Bucket(bucketIndex).DeleteBucket(keys)
		case day != nil:
			return t.Bucket(bucketLedger).DeleteBucket(day)
		case tail == nil:
			return nil // the clock is stored
		}
		return sortTail(t.Bucket(bucketLedger).Bucket(tail))
	})
}

// compact puts a copy without free pages in the file's place if more than half is free and at most most bytes are to
// be copied. By the holder of the lock. A crash at any step leaves either file whole, and a leftover that Open removes.
func (q *Queue) compact(most int64) error {
	var size int64
	if err := q.guarded(func() error {
		return q.db.View(func(tx *bbolt.Tx) error {
			size = tx.Size()
			return nil
		})
	}); err != nil {
		return err
	}
	q.mu.Lock()
	used := q.used
	q.mu.Unlock()
	if size < compactAbove || used > size/2 || used > most {
		return nil
	}
	began := time.Now()
	err := q.guarded(q.replace)
	if errors.Is(err, ErrDamaged) {
		return err
	}
	if err != nil { // no space for the copy, most likely: a large file is no reason to stop
		q.log.Warn("the queue file keeps its size", "path", q.path, "cause", err)
		return nil
	}
	q.log.Info("the queue file was compacted", "path", q.path, "from", size, "to", used, "took", time.Since(began))
	return q.guarded(q.measure)
}

// replace puts a copy in the file's place.
func (q *Queue) replace() error {
	temp := q.path + suffixCompact
	db, file, err := openTemp(temp)
	if err != nil {
		return err
	}
	if err = copyFile(db, q.file); err == nil {
		err = os.Rename(temp, q.path)
	}
	if err != nil {
		return errors.Join(err, db.Close(), os.Remove(temp))
	}
	old := q.db
	q.db, q.file = db, file
	return errors.Join(q.syncDir(), old.Close())
}

// copyFile copies all of a sound file to which nothing is written meanwhile; db's transactions are on disk then.
func copyFile(db *bbolt.DB, from *os.File) error {
	info, err := from.Stat()
	if err != nil {
		return err
	}
	p, err := openPages(from, info.Size())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	c, err := newCopier(db)
	if err != nil {
		return err
	}
	defer c.abandon()
	p.bucket = c.bucket
	p.entry = func(path [][]byte, k, v []byte) error {
		if err := c.put(path, k, v); err != nil {
			return err
		}
		return c.flush()
	}
	p.damage = func(_ [][]byte, err error) error { return fmt.Errorf("%w: %w", ErrDamaged, err) }
	if err := p.walk(); err != nil {
		return err
	}
	return c.finish()
}
