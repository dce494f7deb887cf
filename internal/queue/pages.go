package queue

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/bits"
	"syscall"
)

// bbolt trusts its file: over a damaged page it panics, faults, or recurses until the process dies, and none of that
// can be caught for certain. So the pages are walked here first, with plain reads, each length, order and reference
// checked. The format is bbolt's (internal/common/page.go, meta.go, bucket.go), in the machine's byte order:
//
//	page    id u64 · flags u16 · count u16 · overflow u32 · elements, keys, values
//	leaf    element: flags u32 · pos u32 · key size u32 · value size u32; pos counts from the element
//	branch  element: pos u32 · key size u32 · page u64
//	bucket  value of a leaf element flagged 1: root page u64 · sequence u64 · if root is 0, its only page
//	meta    magic u32 · version u32 · page size u32 · flags u32 · root bucket · freelist u64 · pages u64 · tx u64 · FNV-1a
const (
	pageHeader   = 16
	pageElement  = 16
	bucketHeader = 16
	metaLength   = 64

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagFreelist = 0x10

	maxDepth    = 64
	maxNodeSize = 64 << 20 // a page with its overflow: enough for the list of 32 GiB of free pages
	boltMagic   = 0xED0CDAED
)

var native = binary.NativeEndian

// pages walks a bbolt file.
type pages struct {
	file io.ReaderAt
	size int64

	lone     bool   // the other meta page is damaged: it may have been the newer one
	page     int64  // bytes
	high     uint64 // pages below this number may be in use
	root     uint64
	freelist uint64
	seen     []uint64 // one bit per page: referenced
	buffers  [][]byte // one per depth

	// bucket and entry are told what is found; all they are given is theirs until they return. damage is told what
	// cannot be read; the walk goes on behind it if it returns nil.
	bucket func(path [][]byte, sequence uint64) error
	entry  func(path [][]byte, k, v []byte) error
	damage func(path [][]byte, err error) error
	skip   func(path [][]byte) bool // passes over a bucket with all in it; nil: none
	same   []uint64                 // passes over these pages, in bits as seen, with all that hangs on them; met are those
	met    []uint64
}

// openPages finds the newest valid meta page. bbolt writes the two by turns: transaction n stands in page n mod 2, and
// the other has that before.
func openPages(file io.ReaderAt, size int64) (*pages, error) {
	p := &pages{file: file, size: size}
	var found []uint64 // transactions
	for slot := range uint64(2) {
		m := make([]byte, metaLength)
		if p.readAt(m, int64(slot)*pageSize+pageHeader) != nil {
			continue
		}
		sum := fnv.New64a()
		sum.Write(m[:metaLength-8])
		tx := native.Uint64(m[48:])
		if native.Uint32(m) != boltMagic || native.Uint64(m[56:]) != sum.Sum64() || native.Uint32(m[8:]) != pageSize || tx%2 != slot {
			continue
		}
		found = append(found, tx)
		if len(found) == 2 && tx < found[0] {
			continue
		}
		p.page = pageSize
		p.root, p.freelist, p.high = native.Uint64(m[16:]), native.Uint64(m[32:]), native.Uint64(m[40:])
	}
	if len(found) == 0 {
		return nil, errors.New("no valid meta page: it is no queue file, or its beginning is gone")
	}
	p.lone = len(found) == 1 || max(found[0], found[1])-min(found[0], found[1]) != 1
	p.seen = make([]uint64, min(p.high, uint64(size/p.page))/64+1)
	return p, nil
}

// walk visits every bucket and entry.
func (p *pages) walk() error { return p.tree(nil, p.root, 0, nil, nil) }

// tree visits the page id and what hangs on it; all its keys lie in [low, high). What is out of order is told as damage
// and visited all the same: which of two neighbours is wrong nobody knows.
func (p *pages) tree(path [][]byte, id uint64, depth int, low, high []byte) error {
	if p.same != nil && id/64 < uint64(len(p.same)) && p.same[id/64]&(1<<(id%64)) != 0 {
		p.met[id/64] |= 1 << (id % 64)
		return nil
	}
	b, err := p.read(id, depth)
	if err != nil {
		return p.damage(path, err)
	}
	return p.node(path, b, depth, low, high)
}

func (p *pages) node(path [][]byte, b []byte, depth int, low, high []byte) error {
	flags, n := native.Uint16(b[8:]), int(native.Uint16(b[10:]))
	if flags != flagLeaf && flags != flagBranch || pageHeader+n*pageElement > len(b) || flags == flagBranch && n == 0 {
		return p.damage(path, fmt.Errorf("page %d is neither leaf nor branch", native.Uint64(b)))
	}
	bad := func(i int, err error) error {
		return p.damage(path, fmt.Errorf("page %d, element %d: %w", native.Uint64(b), i, err))
	}
	for i, before := 0, []byte(nil); i < n; i++ {
		key, rest, err := element(b, flags, i)
		if err != nil {
			if err := bad(i, err); err != nil {
				return err
			}
			continue
		}
		if bytes.Compare(key, low) < 0 || before != nil && bytes.Compare(key, before) <= 0 ||
			high != nil && bytes.Compare(key, high) >= 0 {
			if err := bad(i, errors.New("out of order")); err != nil {
				return err
			}
		}
		before = key
		switch e := b[pageHeader+i*pageElement:]; {
		case flags == flagBranch:
			end := high
			if i+1 < n {
				if end, _, err = element(b, flags, i+1); err != nil {
					end = high
				}
			}
			err = p.tree(path, native.Uint64(e[8:]), depth+1, key, end)
		case native.Uint32(e)&1 != 0:
			err = p.nested(append(path[:len(path):len(path)], key), rest, depth+1)
		default:
			err = p.entry(path, key, rest)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// element gives the key, and in a leaf the value, of the i-th element.
func element(b []byte, flags uint16, i int) (key, value []byte, err error) {
	at := pageHeader + i*pageElement
	e := b[at:]
	pos, keySize, valueSize := uint64(native.Uint32(e)), uint64(native.Uint32(e[4:])), uint64(0)
	if flags == flagLeaf {
		pos, keySize, valueSize = keySize, uint64(native.Uint32(e[8:])), uint64(native.Uint32(e[12:]))
	}
	start := uint64(at) + pos
	if keySize == 0 || pos < pageElement || start+keySize+valueSize > uint64(len(b)) {
		return nil, nil, errors.New("beyond its page")
	}
	return b[start : start+keySize : start+keySize], b[start+keySize : start+keySize+valueSize], nil
}

func (p *pages) nested(path [][]byte, header []byte, depth int) error {
	if len(header) < bucketHeader {
		return p.damage(path, errors.New("a bucket without header"))
	}
	if p.skip != nil && p.skip(path) {
		return nil
	}
	root, sequence := native.Uint64(header), native.Uint64(header[8:])
	if err := p.bucket(path, sequence); err != nil {
		return err
	}
	if root != 0 {
		return p.tree(path, root, depth, nil, nil)
	}
	if len(header) < bucketHeader+pageHeader || depth > maxDepth {
		return p.damage(path, errors.New("an inline bucket without page"))
	}
	return p.node(path, header[bucketHeader:], depth, nil, nil)
}

// read gives the page id with its overflow, whole, and marks it.
func (p *pages) read(id uint64, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, errors.New("pages nest too deep")
	}
	for len(p.buffers) <= depth {
		p.buffers = append(p.buffers, make([]byte, p.page))
	}
	b := p.buffers[depth][:p.page]
	if err := p.mark(id); err != nil {
		return nil, err
	}
	if err := p.readAt(b, int64(id)*p.page); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	if native.Uint64(b) != id {
		return nil, fmt.Errorf("page %d calls itself %d", id, native.Uint64(b))
	}
	more := uint64(native.Uint32(b[12:]))
	if more == 0 {
		return b, nil
	}
	whole := int64(more+1) * p.page
	if whole > maxNodeSize || int64(id)*p.page+whole > p.size {
		return nil, fmt.Errorf("page %d goes on beyond the file", id)
	}
	for i := range more {
		if err := p.mark(id + 1 + i); err != nil {
			return nil, err
		}
	}
	if int64(cap(b)) < whole {
		b = make([]byte, whole)
		p.buffers[depth] = b
	}
	b = b[:whole]
	if err := p.readAt(b, int64(id)*p.page); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	return b, nil
}

// readAt reads again what the disk does not give: what it gives at the second or third time is not lost.
func (p *pages) readAt(b []byte, at int64) (err error) {
	for range 4 {
		if _, err = p.file.ReadAt(b, at); !errors.Is(err, syscall.EIO) {
			return err
		}
	}
	return err
}

// mark notes that page id is in use; each is used once.
func (p *pages) mark(id uint64) error {
	if id < 2 || id >= p.high || int64(id+1)*p.page > p.size {
		return fmt.Errorf("page %d does not exist", id)
	}
	if p.seen[id/64]&(1<<(id%64)) != 0 {
		return fmt.Errorf("page %d is used twice", id)
	}
	p.seen[id/64] |= 1 << (id % 64)
	return nil
}

// checkFree reads the list of free pages, after walk: none of them may be in use.
func (p *pages) checkFree() error {
	b, err := p.read(p.freelist, 0)
	if err != nil {
		return fmt.Errorf("freelist: %w", err)
	}
	count, ids := uint64(native.Uint16(b[10:])), b[pageHeader:]
	if count == 0xFFFF {
		count, ids = native.Uint64(ids), ids[8:]
	}
	if native.Uint16(b[8:]) != flagFreelist || count > uint64(len(ids)/8) {
		return fmt.Errorf("freelist: page %d is none", p.freelist)
	}
	for i := range count {
		if err := p.mark(native.Uint64(ids[8*i:])); err != nil {
			return fmt.Errorf("freelist: %w", err)
		}
	}
	return nil
}

func countBits(set []uint64) (n int) {
	for _, word := range set {
		n += bits.OnesCount64(word)
	}
	return n
}
