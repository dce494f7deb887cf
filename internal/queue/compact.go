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
	return q.replaceBy(suffixCompact, func(c *copier, p *pages) error {
		p.bucket = c.bucket
		p.entry = func(path [][]byte, k, v []byte) error {
			if err := c.put(path, k, v); err != nil {
				return err
			}
			return c.flush()
		}
		return p.walk()
	})
}

// replaceBy puts in the file's place what write makes of it, which must be sound and to which nothing is written
// meanwhile.
func (q *Queue) replaceBy(suffix string, write func(*copier, *pages) error) error {
	temp := q.path + suffix
	db, file, err := openTemp(temp)
	if err != nil {
		return err
	}
	if err = copyFile(db, q.file, write); err == nil {
		err = os.Rename(temp, q.path)
	}
	if err != nil {
		return errors.Join(err, db.Close(), os.Remove(temp))
	}
	old := q.db
	q.db, q.file = db, file
	return errors.Join(q.syncDir(), old.Close())
}

// copyFile has write fill db from a file; db's transactions are on disk then.
func copyFile(db *bbolt.DB, from *os.File, write func(*copier, *pages) error) error {
	info, err := from.Stat()
	if err != nil {
		return err
	}
	p, err := openPages(from, info.Size())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	p.damage = func(_ [][]byte, err error) error { return fmt.Errorf("%w: %w", ErrDamaged, err) }
	c, err := newCopier(db)
	if err != nil {
		return err
	}
	defer c.abandon()
	if err := write(c, p); err != nil {
		return err
	}
	return c.finish()
}
