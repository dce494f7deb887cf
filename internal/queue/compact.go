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
	q.unmapIdle()
	return nil
}

// maintainOnce does one step of work, if there is any.
func (q *Queue) maintainOnce() (more bool, err error) {
	q.lock <- struct{}{}
	defer func() { <-q.lock }()
	var keys, day, tail []byte
	now := q.o.Now()
	if err := q.guarded(func() error {
		return q.db.View(func(tx *bbolt.Tx) error {
			keys = expired(tx.Bucket(bucketIndex), now, q.indexStep(), q.o.Retain)
			day = expired(tx.Bucket(bucketLedger), now, ledgerStep, q.o.Retain)
			tail = unsorted(tx.Bucket(bucketLedger))
			return nil
		})
	}); err != nil || keys == nil && day == nil && tail == nil {
		return false, err
	}
	return true, q.update(func(t *txn) error {
		switch {
		case keys != nil:
			return t.Bucket(bucketIndex).DeleteBucket(keys)
		case day != nil:
			return t.Bucket(bucketLedger).DeleteBucket(day)
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

func (q *Queue) replace() error {
	temp := q.path + suffixCompact
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	var file *os.File
	o := boltOptions()
	o.OpenFile = func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
		file, err = os.OpenFile(name, flag, mode)
		return file, err
	}
	db, err := bbolt.Open(temp, 0o600, o)
	if err != nil {
		return err
	}
	db.AllocSize = allocSize
	err = bbolt.Compact(db, q.db, 1<<20)
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = os.Rename(temp, q.path)
	}
	if err != nil {
		return errors.Join(err, db.Close(), os.Remove(temp))
	}
	old := q.db
	q.db, q.file = db, file
	return errors.Join(syncDir(q.path), old.Close())
}
