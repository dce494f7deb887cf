package text

import (
	"math/bits"
	"strings"
)

// An Index finds all of its phrases in one pass over a text: every phrase is filed under four bytes of each spelling of one
// of its pieces, the piece whose bytes the fewest others share, so that most places of a text cost one look at a small
// table. It is safe for concurrent use.
type Index struct {
	phrases []Phrase
	bits    int      // of a hash
	maybe   []uint64 // a bit for each hash that has anchors
	heads   []uint32 // where the anchors of a hash begin; they end where the next one's begin
	anchors []anchor
	short   []int // phrases of which no piece has four bytes in every spelling
}

// An anchor says that a key stands at offset in a spelling of a phrase's piece.
type anchor struct {
	phrase                  int32
	hash                    uint16
	piece, spelling, offset int16
}

const keySize = 4

// NewIndex makes an index of phrases; they are told by their place in the list. typical are texts like those that will be
// searched: what is rare in them is what a phrase is filed under.
func NewIndex(phrases []Phrase, typical ...string) *Index {
	x := &Index{phrases: phrases}
	words := 0
	for i := range phrases {
		for _, spellings := range phrases[i].pieces {
			words += len(spellings)
		}
	}
	x.bits = min(max(bits.Len(uint(words))+2, 6), 14)
	uses := make([]int, 1<<x.bits)
	for i := range phrases {
		for _, spellings := range phrases[i].pieces {
			for _, word := range spellings {
				x.eachKey(word, func(hash uint16, _ int) { uses[hash]++ })
			}
		}
	}
	for _, s := range typical {
		x.eachKey(s, func(hash uint16, _ int) { uses[hash] += typicalWeight })
	}
	for i := range phrases {
		if anchors := x.rarest(i, uses); anchors != nil {
			x.anchors = append(x.anchors, anchors...)
		} else {
			x.short = append(x.short, i)
		}
	}
	x.file()
	return x
}

// typicalWeight is how much more a key's place in a typical text counts than one in another phrase.
const typicalWeight = 4

// rarest anchors a phrase by the piece whose keys have the fewest uses; nil: each piece has a spelling without a key.
func (x *Index) rarest(phrase int, uses []int) (best []anchor) {
	least := 0
	for i, spellings := range x.phrases[phrase].pieces {
		var anchors []anchor
		cost := 0
		for j, word := range spellings {
			a := anchor{phrase: int32(phrase), piece: int16(i), spelling: int16(j), offset: -1}
			x.eachKey(word, func(hash uint16, offset int) {
				if a.offset < 0 || uses[hash] < uses[a.hash] {
					a.hash, a.offset = hash, int16(offset)
				}
			})
			if a.offset < 0 {
				anchors = nil
				break
			}
			cost += uses[a.hash]
			anchors = append(anchors, a)
		}
		if anchors != nil && (best == nil || cost < least) {
			best, least = anchors, cost
		}
	}
	return best
}

// file sorts the anchors by their hashes.
func (x *Index) file() {
	x.heads = make([]uint32, 1<<x.bits+1)
	for _, a := range x.anchors {
		x.heads[a.hash+1]++
	}
	for i := range x.heads[1:] {
		x.heads[i+1] += x.heads[i]
	}
	sorted := make([]anchor, len(x.anchors))
	next := append([]uint32(nil), x.heads...)
	for _, a := range x.anchors {
		sorted[next[a.hash]] = a
		next[a.hash]++
	}
	x.anchors = sorted
	x.maybe = make([]uint64, (1<<x.bits+63)/64)
	for _, a := range sorted {
		x.maybe[a.hash>>6] |= 1 << (a.hash & 63)
	}
}

func (x *Index) eachKey(word string, f func(hash uint16, offset int)) {
	for o := 0; o+keySize <= len(word); o++ {
		f(x.hash(word, o), o)
	}
}

func (x *Index) hash(s string, i int) uint16 {
	_ = s[i+3]
	key := uint32(s[i]) | uint32(s[i+1])<<8 | uint32(s[i+2])<<16 | uint32(s[i+3])<<24
	return uint16(key * 2654435761 >> (32 - x.bits))
}

// Each calls f with each phrase that stands in s, until f returns false: in no order, and several times for a phrase that
// stands there several times. at and length are of the phrase's first spelling that was met, of whichever piece.
func (x *Index) Each(s string, f func(phrase, at, length int) bool) {
	for i := 0; i+keySize <= len(s); i++ {
		hash := x.hash(s, i)
		if x.maybe[hash>>6]&(1<<(hash&63)) == 0 {
			continue
		}
		for _, a := range x.anchors[x.heads[hash]:x.heads[hash+1]] {
			p, start := &x.phrases[a.phrase], i-int(a.offset)
			if p.holds(s, int(a.piece), int(a.spelling), start) && !f(int(a.phrase), start, len(p.pieces[a.piece][a.spelling])) {
				return
			}
		}
	}
	for _, i := range x.short {
		if !x.phrases[i].each(s, func(at, length int) bool { return f(i, at, length) }) {
			return
		}
	}
}

// each calls f for each place of s where p stands with one of its spellings of its first piece.
func (p *Phrase) each(s string, f func(at, length int) bool) bool {
	for j, word := range p.pieces[0] {
		for from := 0; ; from++ {
			i := strings.Index(s[from:], word)
			if i < 0 {
				break
			}
			if from += i; p.holds(s, 0, j, from) && !f(from, len(word)) {
				return false
			}
		}
	}
	return true
}

// In says whether one of the phrases stands in s.
func (x *Index) In(s string) bool {
	found := false
	x.Each(s, func(int, int, int) bool {
		found = true
		return false
	})
	return found
}

// First gives the place and the length of the first phrase in s, where each is of one piece; at is -1 if there is none. Of two at
// one place it is the one that comes first in the list.
func (x *Index) First(s string) (at, length int) {
	at, best := -1, 0
	x.Each(s, func(phrase, i, n int) bool {
		if at < 0 || i < at || i == at && phrase < best {
			at, length, best = i, n, phrase
		}
		return true
	})
	return at, length
}
