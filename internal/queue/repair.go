package queue

import (
	"errors"
	"fmt"
	"os"

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
	p.bucket, p.entry = checkBucket, checkEntry
	p.damage = func(path [][]byte, err error) error { return fmt.Errorf("%w: bucket %q: %w", ErrDamaged, path, err) }
	if err := p.walk(); err != nil {
		return err
	}
	return p.checkFree()
}

// depths says how deep buckets nest under each top-level one; their entries are in the deepest.
var depths = map[string]int{"meta": 1, "checkpoints": 1, "state": 2, "events": 1, "outputs": 1, "again": 2, "dead": 2,
	"held": 1, "refused": 2, "counters": 1, "index": 2, "ledger": 4}

func checkBucket(path [][]byte, _ uint64) error {
	if len(path) > depths[string(path[0])] {
		return fmt.Errorf("%w: a bucket where none belongs", ErrDamaged)
	}
	return nil
}

// checkEntry says whether an entry is what its bucket holds.
func checkEntry(path [][]byte, k, v []byte) error {
	if len(path) == 0 {
		return fmt.Errorf("%w: a value beside the buckets", ErrDamaged)
	}
	name := string(path[0])
	if len(path) != depths[name] && (name != "ledger" || len(path) != 3) { // a day's tail is not nested once more
		return fmt.Errorf("%w: a value where none belongs", ErrDamaged)
	}
	switch name {
	case "events", "again", "dead", "held", "refused":
		if len(k) != 8 {
			return fmt.Errorf("%w: a key of %d bytes", ErrDamaged, len(k))
		}
	case "counters":
		if _, err := ParseCounter(string(k)); err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	}
	switch name {
	case "events", "again", "dead", "held", "refused", "checkpoints", "outputs", "counters":
		_, err := unseal(k, v)
		return err
	case "index":
		_, err := unsealReference(k, v)
		return err
	}
	return nil
}

// repair puts the damaged file f aside and in its place a new one with what can be read of it. A crash midway leaves
// the damaged file where it is, to be repaired again.
func (q *Queue) repair(f *os.File, cause error) error {
	defer f.Close()
	q.log.Error("the queue file is damaged", "path", q.path, "cause", cause)
	temp := q.path + suffixRepair
	db, _, err := openTemp(temp)
	if err != nil {
		return err
	}
	s := &salvage{q: q, damaged: map[string]int{}}
	err = s.run(f, db)
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
		"aside", aside, "kept", s.entries, "damage", s.damaged, "sources_start_over", s.startOver())
	return q.syncDir()
}

// salvage copies what can be read of a damaged file.
type salvage struct {
	*copier
	q       *Queue
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

func (s *salvage) run(f *os.File, db *bbolt.DB) (err error) {
	if s.copier, err = newCopier(db); err != nil {
		return err
	}
	defer s.abandon()
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
	return s.finish()
}

func (s *salvage) damage(path [][]byte, _ error) error {
	name := ""
	if len(path) > 0 && depths[string(path[0])] > 0 {
		name = string(path[0])
	}
	s.damaged[name]++
	return nil
}

func (s *salvage) bucket(path [][]byte, sequence uint64) error {
	err := checkBucket(path, sequence)
	if err == nil {
		err = s.copier.bucket(path, sequence)
	}
	if err != nil {
		return s.damage(path, err)
	}
	return nil
}

func (s *salvage) entry(path [][]byte, k, v []byte) error {
	err := checkEntry(path, k, v)
	if err == nil {
		err = s.put(path, k, v)
	}
	if err != nil {
		return s.damage(path, err)
	}
	return s.flush()
}
