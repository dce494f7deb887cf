package queue

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"

	"go.etcd.io/bbolt"
)

// Identity keys and the ledger are what most is written of, and hashes: in a tree by key, each would change a page of its
// own. They are stored in runs, then, each sorted, appended as they come and merged later. A bucket per day has
//
//	runs     run → its description
//	blocks   run, first key → seal, sorted entries: about a page
//	filters  run, segment → see filter.go
//
// A run's name is its order, 8 bytes, and its level, 1 byte. Of one key in several runs the highest order's entry is the
// right one. A run that is merged from others has the order of the newest of them and a higher level. A segment is the
// keys of a run with the same first bits; merging goes on segment by segment, so that it can stop anywhere.
//
// A commit's few entries go into the newest run, a single block, as long as there is room.
var (
	bucketRuns    = []byte("runs")
	bucketBlocks  = []byte("blocks")
	bucketFilters = []byte("filters")
)

// runShape is what the entries of runs look like.
type runShape struct {
	width    int  // bytes of an entry
	key      int  // bytes of it by which it is sorted, and of which a newer one replaces it
	perBlock int  // entries: two blocks, bbolt's least, fill two pages
	filtered bool // is asked for often
}

var (
	indexShape  = runShape{width: 24, key: 16, perBlock: 168, filtered: true}
	ledgerShape = runShape{width: 8, key: 8, perBlock: 506}
)

const (
	runName    = 9
	runFan     = 8       // runs of a level that are merged into one
	runSegment = 8 << 10 // entries
)

// What state a run is in.
const (
	runWhole   = 1
	runGrowing = 2 // is being merged from the whole ones from oldest to its order; not asked
	runGone    = 3 // was merged, and is being deleted; not asked
)

// run is what is stored of one.
type run struct {
	name    [runName]byte
	state   uint8
	bits    uint8  // it has 1<<bits segments
	entries uint64 // about how many
	oldest  uint64 // order of the oldest run that it was merged from
	done    uint32 // segments, while it grows

	segments map[uint32][]byte // filters read in this transaction
}

func (r *run) order() uint64 { return binary.BigEndian.Uint64(r.name[:8]) }
func (r *run) level() uint8  { return r.name[8] }

func nameRun(order uint64, level uint8) (name [runName]byte) {
	binary.BigEndian.PutUint64(name[:], order)
	name[8] = level
	return name
}

// segment tells in which segment of r key belongs.
func (r *run) segment(key []byte) uint32 {
	return uint32(uint64(binary.BigEndian.Uint32(key)) >> (32 - r.bits))
}

func (r *run) encode() []byte {
	b := append(make([]byte, 0, 22), r.state, r.bits)
	b = binary.BigEndian.AppendUint64(b, r.entries)
	b = binary.BigEndian.AppendUint64(b, r.oldest)
	return binary.BigEndian.AppendUint32(b, r.done)
}

func decodeRun(key, stored []byte) (*run, error) {
	b, err := unseal(key, stored)
	if err == nil && (len(key) != runName || len(b) != 22 || b[0] < runWhole || b[0] > runGone || b[1] > 31) {
		err = fmt.Errorf("%w: no description of a run", ErrDamaged)
	}
	if err != nil {
		return nil, err
	}
	return &run{name: [runName]byte(key), state: b[0], bits: b[1], entries: binary.BigEndian.Uint64(b[2:]),
		oldest: binary.BigEndian.Uint64(b[10:]), done: binary.BigEndian.Uint32(b[18:])}, nil
}

// segmentBits tells into how many segments, as a power of two, a run of n entries is divided.
func segmentBits(n uint64) uint8 { return uint8(bits.Len64((max(n, 1) - 1) / runSegment)) }

// levelOf is the level at which a run of n entries begins.
func (s runShape) levelOf(n int) (level uint8) {
	for size := s.perBlock; n > size; size *= runFan {
		level++
	}
	return level
}

// runDay is a day's runs in a transaction.
type runDay struct {
	runShape
	bucket, blocks, filters *bbolt.Bucket
	list                    []*run // by order, and level
}

// openRuns opens a day. It may have no run yet; then a read transaction finds none.
func openRuns(b *bbolt.Bucket, shape runShape) (*runDay, error) {
	d := &runDay{runShape: shape}
	for _, part := range []struct {
		to   **bbolt.Bucket
		name []byte
	}{{&d.bucket, bucketRuns}, {&d.blocks, bucketBlocks}, {&d.filters, bucketFilters}} {
		if *part.to = b.Bucket(part.name); *part.to == nil {
			if !b.Writable() {
				return d, nil
			}
			var err error
			if *part.to, err = b.CreateBucket(part.name); err != nil {
				return nil, err
			}
		}
		(*part.to).FillPercent = 1 // appended to in order
	}
	c := d.bucket.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		r, err := decodeRun(k, v)
		if err != nil {
			return nil, err
		}
		d.list = append(d.list, r)
	}
	return d, nil
}

func (d *runDay) store(r *run) error { return putSealed(d.bucket, r.name[:], r.encode()) }

// newest gives the run to which a few entries may be added; nil: none.
func (d *runDay) newest() *run {
	if len(d.list) == 0 {
		return nil
	}
	r := d.list[len(d.list)-1]
	if r.state != runWhole || r.level() != 0 {
		return nil
	}
	for _, other := range d.list {
		if other.state == runGrowing && other.order() >= r.order() {
			return nil
		}
	}
	return r
}

// blockKey is where a block of r that begins with key is stored.
func blockKey(r *run, key []byte) []byte {
	return append(append(make([]byte, 0, runName+len(key)), r.name[:]...), key...)
}

// add stores entries, which are sorted and have each key once. They replace what there is of the same keys.
func (d *runDay) add(entries []byte) error {
	n := len(entries) / d.width
	if n == 0 {
		return nil
	}
	if r := d.newest(); r != nil && n < d.perBlock {
		k, v := d.blocks.Cursor().Seek(r.name[:])
		if k == nil || !bytes.HasPrefix(k, r.name[:]) {
			return fmt.Errorf("%w: a run without its block", ErrDamaged)
		}
		there, err := unseal(k, v)
		if err != nil {
			return err
		}
		if both := d.merge(there, entries); len(both) <= d.perBlock*d.width {
			r.entries = uint64(len(both) / d.width)
			if err := putSealed(d.blocks, slices.Clone(k), both); err != nil {
				return err
			}
			return d.store(r)
		}
	}
	order, err := d.bucket.NextSequence()
	if err != nil {
		return err
	}
	r := &run{name: nameRun(order, d.levelOf(n)), state: runWhole, bits: segmentBits(uint64(n)), entries: uint64(n), oldest: order}
	w := runWriter{day: d, run: r}
	for ; len(entries) >= d.width; entries = entries[d.width:] {
		w.put(entries[:d.width])
	}
	if err := w.flush(); err != nil {
		return err
	}
	d.list = append(d.list, r)
	return d.store(r)
}

// merge joins two sorted lists; of a key in both, newer has the right entry.
func (d *runDay) merge(older, newer []byte) []byte {
	all := make([]byte, 0, len(older)+len(newer))
	for len(older) > 0 && len(newer) > 0 {
		switch c := bytes.Compare(older[:d.key], newer[:d.key]); {
		case c < 0:
			all, older = append(all, older[:d.width]...), older[d.width:]
		case c == 0:
			older = older[d.width:]
		default:
			all, newer = append(all, newer[:d.width]...), newer[d.width:]
		}
	}
	return append(append(all, older...), newer...)
}

// runWriter makes the blocks and filters of a run. Nothing is stored before flush: cursors of the day stay valid.
type runWriter struct {
	day  *runDay
	run  *run
	puts []blockPut

	block   []byte
	segment uint32
	keys    []byte // of the segment, for its filter
}

type blockPut struct {
	filter  bool
	key     []byte
	content []byte
}

// put takes the next entry, which it copies.
func (w *runWriter) put(entry []byte) {
	if s := w.run.segment(entry); s != w.segment {
		w.endSegment()
		w.segment = s
	}
	if len(w.block) >= w.day.perBlock*w.day.width {
		w.endBlock()
	}
	if w.block == nil {
		w.block = make([]byte, 0, w.day.perBlock*w.day.width)
	}
	w.block = append(w.block, entry...)
	if w.day.filtered && w.run.level() > 0 {
		w.keys = append(w.keys, entry[:w.day.key]...)
	}
}

func (w *runWriter) endBlock() {
	if len(w.block) == 0 {
		return
	}
	first := w.block[:w.day.key]
	if w.run.level() == 0 {
		first = make([]byte, w.day.key) // more may come before it
	}
	w.puts = append(w.puts, blockPut{false, blockKey(w.run, first), w.block})
	w.block = nil
}

func (w *runWriter) endSegment() {
	w.endBlock()
	if len(w.keys) > 0 {
		w.puts = append(w.puts, blockPut{true, filterKey(w.run, w.segment), makeFilter(w.keys, w.day.key)})
	}
	w.keys = w.keys[:0]
}

func filterKey(r *run, segment uint32) []byte {
	return binary.BigEndian.AppendUint32(append(make([]byte, 0, runName+4), r.name[:]...), segment)
}

// flush stores what was put.
func (w *runWriter) flush() error {
	w.endSegment()
	for _, p := range w.puts {
		var err error
		if p.filter {
			err = w.day.filters.Put(p.key, p.content)
		} else {
			err = putSealed(w.day.blocks, p.key, p.content)
		}
		if err != nil {
			return err
		}
	}
	w.puts = nil
	return nil
}
