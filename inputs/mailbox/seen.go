package mailbox

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
)

// hash64 stands for a message's name on the server: 8 bytes of its SHA-256. With 100,000 messages the chance that a new
// one is taken for a known one is 5 in 10^15.
func hash64(parts ...[]byte) uint64 {
	h := sha256.New()
	for _, p := range parts {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(p)))
		h.Write(size[:])
		h.Write(p)
	}
	return binary.BigEndian.Uint64(h.Sum(nil))
}

// hashSet is a sorted set of hashes: 8 bytes a message in memory, 11 in a checkpoint.
type hashSet []uint64

func (s hashSet) has(h uint64) bool {
	_, found := slices.BinarySearch(s, h)
	return found
}

// with is s and hashes, which are in any order.
func (s hashSet) with(hashes ...uint64) hashSet {
	s = append(s, hashes...)
	slices.Sort(s)
	return slices.Compact(s)
}

// only keeps what is also in o.
func (s hashSet) only(o hashSet) hashSet {
	return slices.DeleteFunc(s, func(h uint64) bool { return !o.has(h) })
}

func (s hashSet) encode() string { return encodeHashes(s) }

func encodeHashes(hashes []uint64) string {
	b := make([]byte, 0, 8*len(hashes))
	for _, h := range hashes {
		b = binary.BigEndian.AppendUint64(b, h)
	}
	return base64.RawStdEncoding.EncodeToString(b)
}

// decodeHashes is the inverse of encodeHashes.
func decodeHashes(key, s string) ([]uint64, error) {
	b, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil || len(b)%8 != 0 {
		return nil, fmt.Errorf("read checkpoint: %s: %d bytes that are no hashes", key, len(s))
	}
	hashes := make([]uint64, len(b)/8)
	for i := range hashes {
		hashes[i] = binary.BigEndian.Uint64(b[8*i:])
	}
	return hashes, nil
}

func encodePairs(pairs map[uint64]uint64) string {
	var all []uint64
	for name, value := range pairs {
		all = append(all, name, value)
	}
	return encodeHashes(all)
}

// decodePairs is the inverse of encodePairs.
func decodePairs(key, s string) (map[uint64]uint64, error) {
	all, err := decodeHashes(key, s)
	if err == nil && len(all)%2 != 0 {
		err = fmt.Errorf("read checkpoint: %s: hashes that are no pairs", key)
	}
	if err != nil {
		return nil, err
	}
	pairs := map[uint64]uint64{}
	for i := 0; i < len(all); i += 2 {
		pairs[all[i]] = all[i+1]
	}
	return pairs, nil
}
