package queue

import (
	"bytes"
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
	if p.lone {
		return errors.New("one of its two meta pages is damaged: what was stored last may be gone")
	}
	head := readHead(f, info.Size())
	if head.empty() {
		return errors.New("nothing is in it, not even the number of its format")
	}
	if err := head.checkSeals(); err != nil {
		return err
	}
	p.bucket, p.entry = head.checkBucket, checkEntry
	p.damage = func(path [][]byte, err error) error { return fmt.Errorf("%w: bucket %q: %w", ErrDamaged, path, err) }
	if err := p.walk(); err != nil {
		return err
	}
	return p.checkFree()
}

// depths says how deep buckets nest under each top-level one; their entries are in the deepest.
var depths = map[string]int{"meta": 1, "checkpoints": 1, "state": 2, "groups": 1, "completed": 1, "outputs": 1,
	"accepted": 2, "outcomes": 2, "days": 1, "again": 2, "dead": 2, "held": 1, "refused": 2,
	"counters": 1, "keys": 3, "sent": 3, "stats": 2, "guard": 1,
	"events": 1, "index": 2, "ledger": 4} // of formats 1 and 2

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
	case "groups":
		return checkGroup(k, v)
	case "outputs":
		_, err := decodePosition(k, v)
		return err
	case "keys":
		return indexShape.check(path[2], k, v)
	case "sent":
		return ledgerShape.check(path[2], k, v)
	case "index":
		_, err := unsealReference(k, v)
		return err
	case "counters":
		if _, err := ParseCounter(string(k)); err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
	case "outcomes":
		_, err := decodeStretch(k, v)
		return err
	case "events", "completed", "accepted", "days", "again", "dead", "held", "refused":
		if len(k) != 8 {
			return fmt.Errorf("%w: a key of %d bytes", ErrDamaged, len(k))
		}
	case "checkpoints", "stats", "guard":
	default:
		return nil
	}
	_, err := unseal(k, v)
	return err
}

// check says whether an entry of one of a day's buckets is as it was written.
func (s runShape) check(bucket, k, v []byte) error {
	switch {
	case bytes.Equal(bucket, bucketRuns):
		_, err := decodeRun(k, v)
		return err
	case bytes.Equal(bucket, bucketBlocks):
		block, err := unseal(k, v)
		if err == nil && (len(k) != runName+s.key || len(block)%s.width != 0) {
			err = fmt.Errorf("%w: no block of a run", ErrDamaged)
		}
		return err
	case bytes.Equal(bucket, bucketFilters) && len(k) == runName+4 && filterSound(v):
		return nil
	}
	return fmt.Errorf("%w: no filter of a run", ErrDamaged)
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
	s := &salvage{q: q, cause: cause, aside: q.freeAside(), damaged: map[string]int{}}
	err = s.run(f, db)
	if err = errors.Join(err, db.Close()); err != nil {
		return errors.Join(fmt.Errorf("repair the damaged file: %w", err), os.Remove(temp))
	}
	if err = os.Link(q.path, s.aside); err != nil { // a file system without links: not atomic, but complete
		err = os.Rename(q.path, s.aside)
	}
	if err == nil {
		err = os.Rename(temp, q.path)
	}
	if err != nil {
		return fmt.Errorf("move the damaged file aside: %w", err)
	}
	q.log.Error("the damaged queue file was moved aside and a new one begun from what could be read of it",
		"aside", s.aside, "kept", s.copier.entries, "damage", s.damaged, "events_missing", s.missing, "sources_start_over", s.repeats())
	return q.syncDir()
}

// freeAside is a name for the damaged file that no other has.
func (q *Queue) freeAside() string {
	stem := q.path + ".damaged-" + q.o.Now().UTC().Format("20060102T150405")
	name := stem
	for i := 1; ; i++ {
		if _, err := os.Lstat(name); err != nil {
			return name
		}
		name = fmt.Sprintf("%s-%d", stem, i)
	}
}

// salvage copies what can be read of a damaged file.
type salvage struct {
	*converter
	q       *Queue
	cause   error
	aside   string // where the damaged file goes
	head    head
	damaged map[string]int // top-level bucket → unreadable pages and entries; "": we cannot know what is lost
	missing string         // numbers of events that are neither there nor settled
}

// startOver says whether something was lost that the sources may still hold. They then read from their beginning;
// identity keys keep them from telling anew what was not lost.
func (s *salvage) startOver() bool {
	for _, name := range []string{"", "groups", "held", "state", "checkpoints", "outputs"} {
		if s.damaged[name] > 0 {
			return true
		}
	}
	return false
}

// repeats says whether the sources tell it again.
func (s *salvage) repeats() bool { return s.startOver() && !s.q.o.Skip }

func (s *salvage) run(f *os.File, db *bbolt.DB) error {
	c, err := newCopier(db)
	if err != nil {
		return err
	}
	defer c.abandon()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	s.head = readHead(f, info.Size())
	s.converter = s.q.newConverter(c, s.head.meta)
	p, err := openPages(f, info.Size())
	if err != nil || p.lone || s.head.empty() {
		s.damaged[""]++
	}
	if err == nil {
		p.bucket, p.entry, p.damage = s.bucket, s.entry, s.damage
		if err := p.walk(); err != nil {
			return err
		}
	}
	if err := s.converter.finish(); err != nil {
		return err
	}
	if err := s.mend(); err != nil {
		return err
	}
	return c.finish()
}

func (s *salvage) damage(path [][]byte, _ error) error {
	name := ""
	if len(path) > 0 && depths[string(path[0])] > 0 {
		name = string(formerly(path[0]))
	}
	s.damaged[name]++
	return nil
}

func (s *salvage) bucket(path [][]byte, sequence uint64) error {
	err := s.head.checkBucket(path, sequence)
	if err == nil {
		err = s.converter.bucket(path, sequence)
	}
	if err != nil {
		return s.damage(path, err)
	}
	return nil
}

func (s *salvage) entry(path [][]byte, k, v []byte) error {
	err := checkEntry(path, k, v)
	if err == nil && len(path) > 1 {
		err = s.head.checkBucket(path[:2], 0)
	}
	if err == nil && bytes.Equal(path[0], bucketMeta) {
		err = s.head.checkSeal(k, v)
	}
	if err == nil {
		err = s.converter.entry(path, k, v)
	}
	if err != nil {
		return s.damage(path, err)
	}
	return s.flush()
}
