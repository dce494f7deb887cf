package queue

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Events are stored in groups, compressed together: what one says of server, sender and rule the others say too. A group
// is closed when it is just under a page, so that a damaged page loses no more than one. Under the number of its first
// event, of which the others' follow without a gap, it is
//
//	seal, 4 bytes · layout, 1 byte · how many events, uvarint · a zstd frame
//
// and in the frame each event's JSON stands behind its length (uvarint). The frame refers to a dictionary, without which
// a lone event would be of the size of its JSON. The dictionary belongs to the layout and never changes.
const (
	groupLayout  = 1
	groupBytes   = 4060      // of a sealed group at most: two, bbolt's least, fill two pages. A larger event is alone.
	groupEvents  = 256       // at most
	groupRaw     = 128 << 10 // bytes of JSON at most
	groupLargest = 16 << 20  // bytes of JSON: more is no group of ours
)

//go:embed dictionary.txt
var dictionary []byte

// zstd's two halves; both may be used by many at once.
var (
	compressor = sync.OnceValue(func() *zstd.Encoder {
		w, err := zstd.NewWriter(nil, zstd.WithEncoderDictRaw(groupLayout, dictionary), zstd.WithEncoderLevel(zstd.SpeedFastest),
			zstd.WithEncoderCRC(false), zstd.WithEncoderConcurrency(2), zstd.WithWindowSize(groupRaw), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic(err)
		}
		return w
	})
	decompressor = sync.OnceValue(func() *zstd.Decoder {
		r, err := zstd.NewReader(nil, zstd.WithDecoderDictRaw(groupLayout, dictionary), zstd.WithDecoderConcurrency(2),
			zstd.WithDecoderMaxMemory(groupLargest), zstd.WithDecoderLowmem(true))
		if err != nil {
			panic(err)
		}
		return r
	})
)

// packGroup gives a group of the first of records, as many as fit; ratio is what it guesses of how many these are, and
// learns. The group is stored under the number of its first event, which seals it: see seal.
func packGroup(records [][]byte, ratio *float64) (group []byte, n int) {
	if *ratio <= 0 {
		*ratio = 0.16
	}
	var raw []byte
	ends := make([]int, 0, min(len(records), groupEvents))
	room := int(0.97 * groupBytes / *ratio)
	for _, r := range records[:min(len(records), groupEvents)] {
		if len(raw)+len(r) > groupRaw && len(raw) > 0 {
			break
		}
		if len(raw) >= room && len(raw) > 0 {
			break
		}
		raw = append(binary.AppendUvarint(raw, uint64(len(r))), r...)
		ends = append(ends, len(raw))
	}
	for n = len(ends); ; {
		group = append(make([]byte, 4, groupBytes+groupBytes/4), groupLayout)
		group = binary.AppendUvarint(group, uint64(n))
		group = compressor().EncodeAll(raw[:ends[n-1]], group)
		if n > 4 {
			*ratio = 0.5**ratio + 0.5*float64(len(group))/float64(ends[n-1])
		}
		if len(group) <= groupBytes || n == 1 {
			return group, n
		}
		n = max(1, min(n-1, n*groupBytes*19/20/len(group)))
	}
}

// seal writes the seal of what is stored under key in its first 4 bytes, which were left free for it.
func seal(key, stored []byte) []byte {
	binary.BigEndian.PutUint32(stored, checksum(key, stored[4:]))
	return stored
}

// groupCount tells how many events a group has that was found sound; 0 of none.
func groupCount(stored []byte) uint64 {
	if len(stored) < 6 {
		return 0
	}
	n, _ := binary.Uvarint(stored[5:])
	return n
}

// checkGroup says whether what is stored under key is a group as it was written.
func checkGroup(key, stored []byte) error {
	if _, err := unseal(key, stored); err != nil {
		return err
	}
	if len(key) != 8 || len(stored) < 6 || stored[4] != groupLayout || groupCount(stored) == 0 || groupCount(stored) > groupEvents {
		return fmt.Errorf("%w: no group of events", ErrDamaged)
	}
	return nil
}

// unpackGroup gives the events' JSON. stored was found sound by checkGroup.
func unpackGroup(stored []byte) (records [][]byte, err error) {
	n, used := binary.Uvarint(stored[5:])
	raw, err := decompressor().DecodeAll(stored[5+used:], nil)
	if err != nil {
		return nil, fmt.Errorf("%w: a group of events: %w", ErrDamaged, err)
	}
	records = make([][]byte, 0, n)
	for len(raw) > 0 {
		size, used := binary.Uvarint(raw)
		if used <= 0 || size > uint64(len(raw)-used) {
			return nil, fmt.Errorf("%w: a group's event is longer than the group", ErrDamaged)
		}
		records = append(records, raw[used:used+int(size)])
		raw = raw[used+int(size):]
	}
	if uint64(len(records)) != n {
		return nil, fmt.Errorf("%w: a group of %d events has %d", ErrDamaged, n, len(records))
	}
	return records, nil
}
