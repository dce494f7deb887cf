package queue

import "encoding/binary"

// A filter says of most keys that a segment of a run does not have them, without a search (Bloom, 1970). It is made of
// pieces, each with a seal of its own, of which a question reads one: 4 bytes CRC-32C, then 992 bits. Keys are hashes
// already, so that their bytes serve as the filter's hashes.
const (
	filterPiece  = 128                   // bytes
	filterBits   = 8 * (filterPiece - 4) // of a piece
	filterPerKey = 10                    // bits: one key in some seventy is searched in vain
	filterProbes = 6
)

// makeFilter makes the filter of keys, which lie one behind the other.
func makeFilter(keys []byte, key int) []byte {
	n := len(keys) / key
	filter := make([]byte, max(1, (n*filterPerKey+filterBits-1)/filterBits)*filterPiece)
	for ; len(keys) >= key; keys = keys[key:] {
		piece, a, b := filterHashes(filter, keys)
		for range filterProbes {
			piece[4+a/8] |= 1 << (a % 8)
			a = (a + b) % filterBits
		}
	}
	for at := 0; at < len(filter); at += filterPiece {
		seal(nil, filter[at:at+filterPiece])
	}
	return filter
}

// filterHas says whether the key may be there. A piece that does not make sense denies nothing.
func filterHas(filter, key []byte) bool {
	if len(filter) < filterPiece || len(filter)%filterPiece != 0 {
		return true
	}
	piece, a, b := filterHashes(filter, key)
	if binary.BigEndian.Uint32(piece) != checksum(nil, piece[4:]) {
		return true
	}
	for range filterProbes {
		if piece[4+a/8]&(1<<(a%8)) == 0 {
			return false
		}
		a = (a + b) % filterBits
	}
	return true
}

// filterHashes gives a key's piece and by which bits it is known. The key's first bytes say in which segment it is.
func filterHashes(filter, key []byte) (piece []byte, a, b uint32) {
	n := uint64(len(filter) / filterPiece)
	at := int(uint64(binary.BigEndian.Uint32(key[4:]))*n>>32) * filterPiece
	return filter[at : at+filterPiece], binary.BigEndian.Uint32(key[8:]) % filterBits, 1 + binary.BigEndian.Uint32(key[12:])%(filterBits-1)
}

// filterSound says whether all of filter is as it was made.
func filterSound(filter []byte) bool {
	for at := 0; at+filterPiece <= len(filter); at += filterPiece {
		if _, err := unseal(nil, filter[at:at+filterPiece]); err != nil {
			return false
		}
	}
	return len(filter) > 0 && len(filter)%filterPiece == 0
}
