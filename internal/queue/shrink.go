package queue

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

// A large file is compacted beside the work that goes on. bbolt never changes a page of a state that somebody reads, so
// that the pages of such a state can be copied in peace; and what came since are the pages that only the newer state has,
// what went those that only the older one has. Such differences are made up for, each smaller than the one before, and
// only the last of them, and the change of files, with the lock held.

const (
	shrinkRounds = 6
	shrinkLittle = 256 // pages that differ: little enough for the last round
	shrinkMost   = mapping / 2
)

// errClosing ends a compaction when the queue is closed.
var errClosing = fmt.Errorf("give up compacting: %w", ErrClosed)

// state is one of the file's, kept from being overwritten.
type state struct {
	tx     *bbolt.Tx
	root   uint64
	high   uint64
	size   int64
	pages  []uint64 // that it consists of, in bits as of pages.seen
	walked int      // pages that were read to find this out
}

// shrink puts a copy without free pages in the file's place if more than half of it is free. Not to be called beside
// replace.
func (q *Queue) shrink() error { return q.shrinkIf(false) }

// shrinkIf does so in any case if it must, or tells why it can't.
func (q *Queue) shrinkIf(must bool) error {
	q.shrinks.Lock()
	defer q.shrinks.Unlock()
	if q.closing.Load() || !wideAddresses {
		return nil
	}
	q.lock <- struct{}{}
	worth, size, used, err := q.worthCompacting()
	var first *state
	switch {
	case err != nil:
	case must && size >= shrinkMost:
		err = fmt.Errorf("queue %s is too large to be written anew", q.path)
	case must, worth && size < shrinkMost:
		first, err = q.stateNow()
	}
	<-q.lock
	if err != nil || first == nil {
		return err
	}
	began := time.Now()
	temp := q.path + suffixCompact
	db, file, err := openTemp(temp)
	if err != nil {
		first.release()
		return cmp.Or(onlyIf(must, err), q.compacted(err, size, used, began))
	}
	s := &shrinking{q: q, db: db, file: file, temp: temp, from: q.file, last: first}
	err = s.run()
	if !s.done {
		s.last.release()
		err = errors.Join(err, db.Close(), os.Remove(temp))
	}
	if errors.Is(err, ErrDamaged) {
		q.lock <- struct{}{}
		defer func() { <-q.lock }()
		return q.guarded(func() error { return err })
	}
	return cmp.Or(onlyIf(must, err), q.compacted(err, size, used, began))
}

func onlyIf(must bool, err error) error {
	if must {
		return err
	}
	return nil
}

// stateNow keeps the newest state. By the holder of the lock.
func (q *Queue) stateNow() (s *state, err error) {
	err = q.guarded(func() error {
		info, err := q.file.Stat()
		if err != nil {
			return err
		}
		p, err := openPages(q.file, info.Size())
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		tx, err := q.db.Begin(false)
		s = &state{tx: tx, root: p.root, high: p.high, size: info.Size()}
		return err
	})
	return s, err
}

// release lets a state go.
func (s *state) release() {
	if s.tx != nil {
		s.tx.Rollback()
		s.tx = nil
	}
}

// shrinking is a compaction under way.
type shrinking struct {
	q    *Queue
	db   *bbolt.DB // the copy
	file *os.File
	temp string
	from *os.File
	last *state // which the copy is of
	done bool   // the copy has taken the file's place
}

func (s *shrinking) run() error {
	if err := s.copyAll(); err != nil {
		return err
	}
	for round := 0; ; round++ {
		s.q.lock <- struct{}{}
		next, err := s.q.stateNow()
		final := err == nil && (round >= shrinkRounds || round > 0 && s.last.walked <= shrinkLittle)
		if final {
			err = s.finish(next)
			<-s.q.lock
			return err
		}
		<-s.q.lock
		if err == nil {
			err = s.follow(next)
		}
		if err == nil {
			err = s.db.Sync()
		}
		if err != nil {
			return err
		}
	}
}

// walk goes over a state's pages but for those of same, which are told in met; seen are those that were read.
func (s *shrinking) walk(of *state, same []uint64, bucket func([][]byte, uint64) error, entry func(path [][]byte, k, v []byte) error) (seen, met []uint64, err error) {
	p := &pages{file: s.from, size: of.size, page: pageSize, high: of.high, root: of.root, same: same}
	p.seen = make([]uint64, of.high/64+1)
	p.met = make([]uint64, max(len(same), len(p.seen)))
	p.bucket, p.entry = bucket, entry
	p.damage = func(_ [][]byte, err error) error {
		if s.q.closing.Load() {
			return errClosing
		}
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return p.seen, p.met, p.walk()
}

// flush ends a transaction of the copy if it is large.
func (s *shrinking) flush(c *copier) error {
	if s.q.closing.Load() {
		return errClosing
	}
	return c.flush()
}

// copyAll copies the first state.
func (s *shrinking) copyAll() error {
	s.db.NoSync = true // until finish
	c, err := newCopier(s.db)
	if err != nil {
		return err
	}
	defer c.abandon()
	s.last.pages, _, err = s.walk(s.last, nil, c.bucket, func(path [][]byte, k, v []byte) error {
		if err := c.put(path, k, v); err != nil {
			return err
		}
		return s.flush(c)
	})
	if err != nil {
		return err
	}
	return errors.Join(c.finish(), s.db.Sync())
}

// follow makes the copy one of the next state, and lets the last one go.
func (s *shrinking) follow(next *state) (err error) {
	last := s.last
	defer func() {
		if err != nil {
			next.release()
		}
	}()
	c, err := newCopier(s.db)
	if err != nil {
		return err
	}
	defer c.abandon()
	// What both states have, the walk over the newer one finds without going into it.
	none := func([][]byte, uint64) error { return nil }
	fresh, both, err := s.walk(next, last.pages, none, func([][]byte, []byte, []byte) error { return nil })
	if err != nil {
		return err
	}
	gone := map[string][][]byte{} // buckets of the older pages
	stale, _, err := s.walk(last, both, func(path [][]byte, _ uint64) error {
		gone[bucketPath(path)] = clonePath(path)
		return nil
	}, func(path [][]byte, k, _ []byte) error {
		if err := c.remove(path, k); err != nil {
			return err
		}
		return s.flush(c)
	})
	if err != nil {
		return err
	}
	if _, _, err = s.walk(next, last.pages, func(path [][]byte, sequence uint64) error {
		delete(gone, bucketPath(path))
		return c.bucket(path, sequence)
	}, func(path [][]byte, k, v []byte) error {
		if err := c.put(path, k, v); err != nil {
			return err
		}
		return s.flush(c)
	}); err != nil {
		return err
	}
	for _, path := range gone {
		if err := c.removeBucket(path); err != nil {
			return err
		}
	}
	if err := c.finish(); err != nil {
		return err
	}
	next.pages = slices.Clone(fresh)
	for i := range last.pages {
		if i < len(next.pages) {
			left := last.pages[i]
			if i < len(stale) {
				left &^= stale[i]
			}
			next.pages[i] |= left
		}
	}
	next.walked = countBits(fresh) + countBits(stale)
	last.release()
	s.last = next
	return nil
}

// finish makes the copy one of the newest state and puts it in the file's place. By the holder of the lock.
func (s *shrinking) finish(next *state) error {
	if err := s.follow(next); err != nil {
		return err
	}
	s.db.NoSync = false
	if err := s.db.Sync(); err != nil {
		return err
	}
	if err := os.Rename(s.temp, s.q.path); err != nil {
		return err
	}
	s.done = true
	old := s.q.db
	s.q.db, s.q.file = s.db, s.file
	s.last.release()
	err := errors.Join(s.q.syncDir(), old.Close())
	return errors.Join(err, s.q.guarded(s.q.measure))
}

func bucketPath(path [][]byte) string {
	var b strings.Builder
	for _, name := range path {
		fmt.Fprintf(&b, "%d %s", len(name), name)
	}
	return b.String()
}

func clonePath(path [][]byte) [][]byte {
	all := make([][]byte, len(path))
	for i := range path {
		all[i] = slices.Clone(path[i])
	}
	return all
}
