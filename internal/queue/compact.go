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
	compactStart = 64 << 20 // what Open copies at most: Maintain does it without anybody waiting
)

// worthCompacting says whether more than half of the file is free, and how large it is. By the holder of the lock.
func (q *Queue) worthCompacting() (worth bool, size, used int64, err error) {
	err = q.guarded(func() error {
		return q.db.View(func(tx *bbolt.Tx) error {
			size = tx.Size()
			return nil
		})
	})
	q.mu.Lock()
	used = q.used
	q.mu.Unlock()
	return err == nil && size >= compactAbove && used <= size/2, size, used, err
}

// compact puts a copy without free pages in the file's place if more than half of it is free and little is to be copied.
// By the holder of the lock. A crash at any step leaves either file whole, and a leftover that Open removes.
func (q *Queue) compact() error {
	worth, size, used, err := q.worthCompacting()
	if err != nil || !worth || used > compactStart {
		return err
	}
	began := time.Now()
	if err := q.compacted(q.guarded(q.replace), size, used, began); err != nil {
		return err
	}
	return q.guarded(q.measure)
}

// compacted tells how it went. Only damage is an error.
func (q *Queue) compacted(err error, size, used int64, began time.Time) error {
	switch {
	case errors.Is(err, ErrDamaged), errors.Is(err, ErrClosed):
		return err
	case err != nil: // no space for the copy, most likely: a large file is no reason to stop
		q.log.Warn("the queue file keeps its size", "path", q.path, "cause", err)
	default:
		q.log.Info("the queue file was compacted", "path", q.path, "from", size, "to", used, "took", time.Since(began))
	}
	return nil
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
