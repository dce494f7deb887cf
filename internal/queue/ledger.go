package queue

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"bouncefeed/internal/event"
)

// The ledger is a bucket per day with two things in it. "tail" takes the hashes as they come: chunks of packed 8-byte
// hashes, its bucket sequence their number. Maintain sorts a tail that is long, or whose day is over, into a run: a
// bucket of blocks that fill a page each, under their first hash. A lookup scans one day's tail and makes one search in
// each run, so that nothing of it is held in memory and a message takes little more than its 8 bytes.

var (
	bucketTail = []byte("tail")
	bucketRuns = []byte("runs")
)

const (
	ledgerStep   = 24 * time.Hour
	ledgerChunk  = 8 * 166         // bytes a tail chunk grows to: three fill a page
	ledgerBlock  = 8 * 503         // bytes of a run's block: two, bbolt's least, fill two pages
	ledgerRun    = 128 << 10       // hashes sorted at a time: 1 MiB of memory
	ledgerLittle = ledgerChunk / 8 // a tail of a day gone by as short as this needs no run
)

// appendLedger stores t.sent.
func (t *txn) appendLedger() error {
	if len(t.sent) == 0 {
		return nil
	}
	days, err := openGeneration(t.Bucket(bucketLedger), t.own, ledgerStep)
	if err != nil {
		return err
	}
	tail, err := days.newest.CreateBucketIfNotExists(bucketTail)
	if err != nil {
		return err
	}
	tail.FillPercent = 1 // appended to in order
	key, last := tail.Cursor().Last()
	next := numbered(key)
	if len(last) >= ledgerChunk || key == nil {
		last = nil
		next++
	}
	chunk := append(make([]byte, 0, ledgerChunk), last...)
	for i, h := range t.sent {
		chunk = append(chunk, h[:]...)
		if len(chunk) < ledgerChunk && i < len(t.sent)-1 {
			continue
		}
		if err := tail.Put(number(next), chunk); err != nil {
			return err
		}
		next++
		chunk = make([]byte, 0, ledgerChunk)
	}
	return tail.SetSequence(tail.Sequence() + uint64(len(t.sent)))
}

// WasSent says whether the ledger has h (event.Sent): did we send this message to this address within the retention, and
// to no other? Whoever knows a Message-ID that several recipients were sent has seen the message of one of them, not of
// which.
func (q *Queue) WasSent(h [8]byte) (bool, error) {
	s := sentSearch{entry: h}
	err := q.view(func(tx *bbolt.Tx) error {
		days := tx.Bucket(bucketLedger)
		c := days.Cursor()
		for k, _ := c.Last(); k != nil && !s.others; k, _ = c.Prev() {
			s.day(days.Bucket(k))
		}
		return nil
	})
	return s.found && !s.others, err
}

// sentSearch looks for an entry, and for others of the same Message-ID.
type sentSearch struct {
	entry         [8]byte
	found, others bool
}

func (s *sentSearch) day(day *bbolt.Bucket) {
	if tail := day.Bucket(bucketTail); tail != nil {
		c := tail.Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			s.chunk(v)
		}
	}
	if runs := day.Bucket(bucketRuns); runs != nil {
		c := runs.Cursor()
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			s.run(runs.Bucket(k))
		}
	}
}

func (s *sentSearch) chunk(chunk []byte) {
	want := binary.NativeEndian.Uint32(s.entry[:])
	for ; len(chunk) >= 8; chunk = chunk[8:] {
		if binary.NativeEndian.Uint32(chunk) == want {
			s.compare(chunk)
		}
	}
}

func (s *sentSearch) compare(entry []byte) {
	if string(entry[:8]) == string(s.entry[:]) {
		s.found = true
	} else if string(entry[:event.SentID]) == string(s.entry[:event.SentID]) {
		s.others = true
	}
}

// run reads those blocks of a run that may hold entries of the same Message-ID.
func (s *sentSearch) run(run *bbolt.Bucket) {
	var first [8]byte
	copy(first[:], s.entry[:event.SentID])
	c := run.Cursor()
	var k, block []byte
	if next, _ := c.Seek(first[:]); next == nil {
		k, block = c.Last()
	} else if k, block = c.Prev(); k == nil {
		k, block = c.First()
	}
	for ; k != nil && bytes.Compare(k[:event.SentID], first[:event.SentID]) <= 0; k, block = c.Next() {
		s.chunk(block)
	}
}

// unsorted gives the name of a day whose tail is to be sorted.
func unsorted(days *bbolt.Bucket) []byte {
	c := days.Cursor()
	newest, _ := c.Last()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		tail := days.Bucket(k).Bucket(bucketTail)
		if tail == nil {
			continue
		}
		if n := tail.Sequence(); n >= ledgerRun || n > ledgerLittle && !bytes.Equal(k, newest) {
			return slices.Clone(k)
		}
	}
	return nil
}

// sortTail moves the first hashes of a day's tail, at most ledgerRun and a chunk, into a new run.
func sortTail(day *bbolt.Bucket) error {
	tail := day.Bucket(bucketTail)
	var hashes []uint64
	var done [][]byte
	c := tail.Cursor()
	for k, v := c.First(); k != nil && len(hashes) < ledgerRun; k, v = c.Next() {
		for ; len(v) >= 8; v = v[8:] {
			hashes = append(hashes, binary.BigEndian.Uint64(v))
		}
		done = append(done, slices.Clone(k))
	}
	left := tail.Sequence() - min(tail.Sequence(), uint64(len(hashes)))
	for _, k := range done {
		if err := tail.Delete(k); err != nil {
			return err
		}
	}
	if err := tail.SetSequence(left); err != nil {
		return err
	}
	slices.Sort(hashes)
	return addRun(day, slices.Compact(hashes))
}

func addRun(day *bbolt.Bucket, hashes []uint64) error {
	runs, err := day.CreateBucketIfNotExists(bucketRuns)
	if err != nil {
		return err
	}
	n, err := runs.NextSequence()
	if err != nil {
		return err
	}
	run, err := runs.CreateBucket(number(n))
	if err != nil {
		return err
	}
	run.FillPercent = 1
	for part := range slices.Chunk(hashes, ledgerBlock/8) {
		block := make([]byte, 0, ledgerBlock)
		for _, h := range part {
			block = binary.BigEndian.AppendUint64(block, h)
		}
		if err := run.Put(number(part[0]), block); err != nil {
			return err
		}
	}
	return nil
}
