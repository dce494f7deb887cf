package queue

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"

	"go.etcd.io/bbolt"
)

// check reads the whole file and tells the first thing that makes no sense.
func check(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	p, err := openPages(f, info.Size())
	if err != nil {
		return err
	}
	if p.size < int64(p.high)*p.page {
		return fmt.Errorf("it is cut off: %d of %d bytes are left", p.size, int64(p.high)*p.page)
	}
	p.bucket = func([][]byte, uint64) error { return nil }
	p.entry = checkEntry
	p.damage = func(path [][]byte, err error) error {
		return fmt.Errorf("bucket %q: %w", bytes.Join(path, []byte("/")), err)
	}
	if err := p.walk(); err != nil {
		return err
	}
	return p.checkFree()
}

// checkEntry says whether an entry is what its bucket holds.
func checkEntry(path [][]byte, k, v []byte) error {
	if len(path) == 0 {
		return errors.New("a value beside the buckets")
	}
	switch string(path[0]) {
	case "events", "again", "dead", "held", "refused":
		if len(k) != 8 {
			return fmt.Errorf("bucket %s: a key of %d bytes", path[0], len(k))
		}
		fallthrough
	case "checkpoints", "outputs":
		if _, err := unseal(v); err != nil {
			return fmt.Errorf("bucket %s: %w", path[0], err)
		}
	}
	return nil
}

// repair puts the damaged file f aside and in its place a new one with what can be read of it. A crash midway leaves
// the damaged file where it is, to be repaired again.
func (q *Queue) repair(f *os.File, cause error) error {
	defer f.Close()
	q.log.Error("the queue file is damaged", "path", q.path, "cause", cause)
	temp := q.path + suffixRepair
	db, err := openTemp(temp)
	if err != nil {
		return err
	}
	s := &salvage{q: q, db: db, damaged: map[string]int{}}
	err = s.run(f)
	if err = errors.Join(err, db.Close()); err != nil {
		return errors.Join(fmt.Errorf("repair the damaged file: %w", err), os.Remove(temp))
	}
	aside := q.path + ".damaged-" + q.o.Now().UTC().Format("20060102T150405")
	for i := 1; ; i++ {
		if err = os.Link(q.path, aside); !errors.Is(err, os.ErrExist) {
			break
		}
		aside = fmt.Sprintf("%s.damaged-%s-%d", q.path, q.o.Now().UTC().Format("20060102T150405"), i)
	}
	if err != nil { // a file system without links: not atomic, but complete
		err = os.Rename(q.path, aside)
	}
	if err == nil {
		err = os.Rename(temp, q.path)
	}
	if err != nil {
		return fmt.Errorf("move the damaged file aside: %w", err)
	}
	q.log.Error("the damaged queue file was moved aside and a new one begun from what could be read of it",
		"aside", aside, "kept", s.kept, "damage", s.damaged, "sources_start_over", s.startOver())
	return syncDir(q.path)
}

// salvage copies what can be read of a damaged file.
type salvage struct {
	q       *Queue
	db      *bbolt.DB
	tx      *bbolt.Tx
	size    int            // of the running transaction
	kept    int            // entries
	damaged map[string]int // top-level bucket → unreadable pages and entries; "": we cannot know what is lost
}

// startOver says whether something was lost that the sources may still hold. They then read from their beginning;
// identity keys keep them from telling anew what was not lost.
func (s *salvage) startOver() bool {
	for _, name := range []string{"", "events", "held", "state", "checkpoints", "outputs"} {
		if s.damaged[name] > 0 {
			return true
		}
	}
	return false
}

func (s *salvage) run(f *os.File) (err error) {
	if s.tx, err = s.db.Begin(true); err != nil {
		return err
	}
	defer func() {
		if s.tx != nil {
			s.tx.Rollback()
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	p, err := openPages(f, info.Size())
	if err != nil {
		s.damaged[""]++
	} else {
		p.bucket, p.entry, p.damage = s.bucket, s.entry, s.damage
		if err := p.walk(); err != nil {
			return err
		}
	}
	if err := s.mend(); err != nil {
		return err
	}
	return s.tx.Commit()
}

func (s *salvage) damage(path [][]byte, _ error) error {
	if len(path) == 0 {
		s.damaged[""]++
	} else {
		s.damaged[string(path[0])]++
	}
	return nil
}

// at gives the bucket at path in the new file; nil, and damage noted, where there cannot be one.
func (s *salvage) at(path [][]byte) *bbolt.Bucket {
	known := len(path) > 0 && slices.ContainsFunc(buckets, func(b []byte) bool { return bytes.Equal(b, path[0]) })
	if !known {
		s.damaged[""]++
		return nil
	}
	b, err := s.tx.CreateBucketIfNotExists(path[0])
	for i := 1; i < len(path) && err == nil; i++ {
		b, err = b.CreateBucketIfNotExists(path[i])
	}
	if err != nil {
		s.damage(path, err)
		return nil
	}
	return b
}

func (s *salvage) bucket(path [][]byte, sequence uint64) error {
	if b := s.at(path); b != nil {
		return b.SetSequence(sequence)
	}
	return nil
}

func (s *salvage) entry(path [][]byte, k, v []byte) error {
	if err := checkEntry(path, k, v); err != nil {
		return s.damage(path, err)
	}
	b := s.at(path)
	if b == nil {
		return nil
	}
	if err := b.Put(k, slices.Clone(v)); err != nil {
		return s.damage(path, err)
	}
	s.kept++
	if s.size += len(k) + len(v); s.size < 1<<20 {
		return nil
	}
	s.size = 0
	err := s.tx.Commit()
	if err == nil {
		s.tx, err = s.db.Begin(true)
	}
	return err
}
