package queue

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"bouncefeed/internal/event"
)

// Formats 1 and 2 had a bucket "events", seq → sealed record; "index", stamp → identity key → reference, in format 2 with
// a seal behind it; and "ledger", stamp → "tail" → chunks of hashes, and stamp → "runs" → run → sorted blocks of hashes.
// Format 3 lacked what history.go keeps, and is this one otherwise.
//
// Whatever walks over such a file, to convert it or to save what is left of it, hands these to a converter.
type converter struct {
	*copier
	shift, now time.Duration // of a generation's stamp: see stamp

	first   uint64 // number of the first of records
	records [][]byte
	ratio   float64

	parent, day []byte
	shape       runShape
	entries     []byte
}

const (
	convertRecords = 512
	convertEntries = 1 << 20 // bytes
)

// newConverter is for a file in whose meta bucket meta stands.
func (q *Queue) newConverter(c *copier, meta map[string][]byte) *converter {
	now := q.o.Now()
	if n, err := unsealNumber(keyClock, meta[string(keyClock)]); err == nil {
		now = time.Unix(int64(n), 0)
	}
	return &converter{copier: c, shift: q.o.Retain/5 - q.indexStep(), now: time.Duration(now.Unix()) * time.Second}
}

// formerly gives the name that a bucket's content has now.
func formerly(name []byte) []byte {
	switch string(name) {
	case "events":
		return bucketGroups
	case "index":
		return bucketKeys
	case "ledger":
		return bucketSent
	}
	return name
}

func isFormer(path [][]byte) bool { return len(path) > 0 && !bytes.Equal(formerly(path[0]), path[0]) }

// bucket takes the sequence of the events' numbers over; the others of old have none that counts.
func (c *converter) bucket(path [][]byte, sequence uint64) error {
	switch {
	case !isFormer(path):
		return c.copier.bucket(path, sequence)
	case string(path[0]) == "events":
		return c.copier.bucket([][]byte{bucketGroups}, sequence)
	}
	return nil
}

// entry takes what was found sound.
func (c *converter) entry(path [][]byte, k, v []byte) error {
	if !isFormer(path) {
		return c.put(path, k, v)
	}
	switch string(path[0]) {
	case "events":
		if len(c.records) >= convertRecords || len(c.records) > 0 && numbered(k) != c.first+uint64(len(c.records)) {
			if err := c.storeRecords(); err != nil {
				return err
			}
		}
		if len(c.records) == 0 {
			c.first = numbered(k)
		}
		text, err := unseal(k, v)
		c.records = append(c.records, slices.Clone(text))
		return err
	case "index":
		ref, err := unsealReference(k, v)
		if err != nil {
			return err
		}
		return c.add(bucketKeys, c.stamp(path[1]), indexShape, binary.BigEndian.AppendUint64(slices.Clone(k), ref))
	default:
		return c.add(bucketSent, path[1], ledgerShape, v)
	}
}

// stamp is a generation's in this format: they are shorter now, so that the last of what the old one holds decides.
func (c *converter) stamp(old []byte) []byte {
	at := time.Duration(numbered(old)) * time.Second
	return number(uint64(max(at, min(at+c.shift, c.now)) / time.Second))
}

func (c *converter) add(parent, day []byte, shape runShape, entries []byte) error {
	if !bytes.Equal(parent, c.parent) || !bytes.Equal(day, c.day) || len(c.entries) >= convertEntries {
		if err := c.storeEntries(); err != nil {
			return err
		}
		c.parent, c.day, c.shape = parent, slices.Clone(day), shape
	}
	c.entries = append(c.entries, entries...)
	return nil
}

func (c *converter) storeRecords() error {
	for len(c.records) > 0 {
		group, n := packGroup(c.records, &c.ratio)
		if err := c.put([][]byte{bucketGroups}, number(c.first), seal(number(c.first), group)); err != nil {
			return err
		}
		c.records, c.first = c.records[n:], c.first+uint64(n)
	}
	return nil
}

func (c *converter) storeEntries() error {
	if len(c.entries) == 0 {
		return nil
	}
	b, err := c.at([][]byte{c.parent, c.day})
	if err != nil {
		return err
	}
	day, err := openRuns(b, c.shape)
	if err != nil {
		return err
	}
	var all [][]byte
	for part := range slices.Chunk(c.entries[:len(c.entries)/c.shape.width*c.shape.width], c.shape.width) {
		all = append(all, part)
	}
	same := func(a, b []byte) int { return bytes.Compare(a[:c.shape.key], b[:c.shape.key]) }
	slices.SortFunc(all, same)
	all = slices.CompactFunc(all, func(a, b []byte) bool { return same(a, b) == 0 })
	c.size += len(c.entries)
	err = day.add(bytes.Join(all, nil))
	c.entries = c.entries[:0]
	return err
}

// finish stores what is left.
func (c *converter) finish() error { return errors.Join(c.storeRecords(), c.storeEntries()) }

// unsealReference reads what formats 1 and 2 stored of an identity key: the reference, and behind it in format 2 4 bytes
// CRC-32C over both.
func unsealReference(key, stored []byte) (uint64, error) {
	switch ref := stored[:min(8, len(stored))]; {
	case len(key) != len(event.Key{}):
	case len(stored) == 8,
		len(stored) == 12 && binary.BigEndian.Uint32(stored[8:]) == checksum(key, ref):
		return numbered(ref), nil
	}
	return 0, fmt.Errorf("%w: an identity key's checksum is wrong", ErrDamaged)
}

// convert puts in the place of a file of an older format, which is sound, one of this.
func (q *Queue) convert() error {
	began := time.Now()
	info, err := q.file.Stat()
	if err != nil {
		return err
	}
	meta := readHead(q.file, info.Size()).meta
	if err := q.replaceBy(suffixFormat, func(c *copier, p *pages) error {
		v := q.newConverter(c, meta)
		p.bucket = v.bucket
		p.entry = func(path [][]byte, k, b []byte) error {
			if err := v.entry(path, k, b); err != nil {
				return err
			}
			return c.flush()
		}
		if err := p.walk(); err != nil {
			return err
		}
		if err := v.finish(); err != nil {
			return err
		}
		return createBuckets(c.tx)
	}); err != nil {
		return fmt.Errorf("convert it to this version's format: %w", err)
	}
	q.log.Info("the queue file was converted to this version's format", "path", q.path,
		"from", numbered(meta[string(keyFormat)]), "to", format, "took", time.Since(began))
	return nil
}
