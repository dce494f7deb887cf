package text

import (
	"math"
	"math/bits"
	"slices"
	"strings"
)

// An Index finds all of its phrases in one pass over a text: every phrase is filed under a key, four bytes of each spelling
// of one of its pieces, the piece whose keys the fewest others share, so that most places of a text cost one look at a few
// kilobytes. It takes 32 bytes and its letters for each spelling that is filed, and 72 KiB at most besides. It is safe for concurrent use.
//
// An automaton over all spellings, as Aho and Corasick have it, would need a state for nearly each of their letters: for
// the rules of replies 58,000 of them, which no cache holds.
type Index struct {
	phrases []Phrase
	coarse  int      // of a hash: how many bits the filter does without
	shift   int      // of a hash: how many bits its bucket does without
	filter  []uint64 // a bit for each hash that a key has
	heads   []uint32 // where the anchors of a bucket begin; they end where the next one's begin
	anchors []anchor
	threes  bool     // there are keys of three bytes as well, of spellings that have no more
	short   []anchor // of phrases of which each piece has a spelling without a key: one for each of the first piece's
}

// An anchor says that a key stands at offset in a spelling of a phrase's piece.
type anchor struct {
	key           uint32
	offset, piece int16 // piece is wholePhrase for a phrase of one
	phrase, group int32
	word          string // the spelling
}

const wholePhrase = -1

const (
	keySize    = 4
	threeBytes = 1<<24 - 1 // of a key
	hashBits   = 16
	bucketBits = 14 // of them that a bucket has, at most
)

// NewIndex makes an index of phrases; they are told by their place in the list. typical are texts like those that will be
// searched: what is rare in them is what a phrase is filed under.
func NewIndex(phrases []Phrase, typical ...string) *Index {
	groups := make([][]Phrase, len(phrases))
	for i := range phrases {
		groups[i] = phrases[i : i+1]
	}
	return NewGroups(groups, typical...)
}

// NewGroups is NewIndex of all the groups' phrases, in their order.
func NewGroups(groups [][]Phrase, typical ...string) *Index {
	x := &Index{phrases: slices.Concat(groups...)}
	uses := x.countUses(typical)
	x.anchors = make([]anchor, 0, 2*len(x.phrases))
	phrase := 0
	for group, phrases := range groups {
		for range phrases {
			piece := x.rarestPiece(phrase, uses)
			for _, word := range x.phrases[phrase].pieces[max(piece, 0)] {
				a := anchor{phrase: int32(phrase), group: int32(group), word: word}
				if piece < 0 {
					x.short = append(x.short, a)
					continue
				}
				if len(word) < keySize {
					a.key, x.threes = keyAt(word+"\x00", 0), true
				} else {
					offset, _ := uses.rarestKey(word)
					a.key, a.offset = keyAt(word, offset), int16(offset)
				}
				if a.piece = int16(piece); len(x.phrases[phrase].pieces) == 1 {
					a.piece = wholePhrase
				}
				x.anchors = append(x.anchors, a)
			}
			phrase++
		}
	}
	x.file()
	return x
}

// typicalWeight is how much more a key's place in a typical text counts than one in another phrase.
const typicalWeight = 4

// useCount is how often the keys of each hash stand in phrases and in typical texts.
type useCount struct {
	n     []uint32
	shift int
}

func (x *Index) countUses(typical []string) useCount {
	size := 0
	for i := range x.phrases {
		for _, spellings := range x.phrases[i].pieces {
			for _, word := range spellings {
				size += len(word)
			}
		}
	}
	width := min(bits.Len(uint(size))+1, hashBits)
	uses := useCount{make([]uint32, 1<<width), hashBits - width}
	for i := range x.phrases {
		for _, spellings := range x.phrases[i].pieces {
			for _, word := range spellings {
				uses.add(word, 1)
			}
		}
	}
	for _, s := range typical {
		uses.add(s, typicalWeight)
	}
	return uses
}

func (u *useCount) add(s string, weight uint32) {
	for o := 0; o+keySize <= len(s); o++ {
		u.n[hashOf(keyAt(s, o))>>u.shift] += weight
	}
}

// rarestPiece is the piece of a phrase whose keys have the fewest uses, -1 if each has a spelling without a key.
func (x *Index) rarestPiece(phrase int, uses useCount) int {
	best, least := -1, uint64(math.MaxUint64)
	for i, spellings := range x.phrases[phrase].pieces {
		cost := uint64(0)
		for _, word := range spellings {
			_, n := uses.rarestKey(word)
			cost += uint64(n)
			if len(word) < keySize-1 {
				cost = math.MaxUint64
				break
			}
		}
		if cost < least {
			best, least = i, cost
		}
	}
	return best
}

// rarestKey is the place of the key in word that has the fewest uses.
func (u *useCount) rarestKey(word string) (offset int, least uint32) {
	least = math.MaxUint32
	for o := 0; o+keySize <= len(word) && o <= math.MaxInt16; o++ {
		if n := u.n[hashOf(keyAt(word, o))>>u.shift]; n < least {
			offset, least = o, n
		}
	}
	return offset, least
}

// file sorts the anchors by their buckets.
func (x *Index) file() {
	size := bits.Len(uint(len(x.anchors)))
	x.coarse = max(hashBits-size-4, 0)
	x.filter = make([]uint64, 1<<(hashBits-x.coarse)/64+1)
	size = min(size, bucketBits)
	x.shift = hashBits - size
	x.heads = make([]uint32, 1<<size+1)
	for _, a := range x.anchors {
		hash := hashOf(a.key)
		x.filter[hash>>x.coarse>>6] |= 1 << (hash >> x.coarse & 63)
		x.heads[hash>>x.shift+1]++
	}
	for i := range x.heads[1:] {
		x.heads[i+1] += x.heads[i]
	}
	sorted := make([]anchor, len(x.anchors))
	next := slices.Clone(x.heads)
	for _, a := range x.anchors {
		bucket := hashOf(a.key) >> x.shift
		sorted[next[bucket]] = a
		next[bucket]++
	}
	x.anchors = sorted
	x.gather()
}

// gather puts the spellings of the anchors side by side, in their order: where one is looked at, the next are at hand.
func (x *Index) gather() {
	var all strings.Builder
	for i := range x.anchors {
		all.WriteString(x.anchors[i].word)
	}
	rest := all.String()
	for i := range x.anchors {
		a := &x.anchors[i]
		a.word, rest = rest[:len(a.word)], rest[len(a.word):]
	}
}

func keyAt(s string, i int) uint32 {
	_ = s[i+3]
	return uint32(s[i]) | uint32(s[i+1])<<8 | uint32(s[i+2])<<16 | uint32(s[i+3])<<24
}

func hashOf(key uint32) uint32 { return key * 2654435761 >> (32 - hashBits) }

// Each calls f with each phrase that stands in s, until f returns false: in no order, and several times for a phrase that
// stands there several times. at and length are of the phrase's first spelling that was met, of whichever piece.
func (x *Index) Each(s string, f func(phrase, at, length int) bool) {
	x.search(s, nil, f)
}

// Mark sets the bit of each group in found of which a phrase stands in s.
func (x *Index) Mark(s string, found []uint64) {
	x.search(s, found, nil)
}

// search goes through s for Each or for Mark, whichever gave what it needs.
func (x *Index) search(s string, found []uint64, f func(phrase, at, length int) bool) {
	for i := 0; i+keySize <= len(s); i++ {
		key := keyAt(s, i)
		if x.mayFile(key) && !x.try(s, i, key, found, f) || x.threes && x.mayFile(key&threeBytes) && !x.try(s, i, key&threeBytes, found, f) {
			return
		}
	}
	if i := len(s) - keySize + 1; x.threes && i >= 0 && !x.try(s, i, keyAt(s[i:]+"\x00", 0), found, f) {
		return
	}
	for i := range x.short {
		a := &x.short[i]
		for at := strings.Index(s, a.word); at >= 0; at = indexFrom(s, a.word, at+1) {
			if !x.meet(a, s, at, found, f) {
				return
			}
		}
	}
}

func indexFrom(s, word string, from int) int {
	i := strings.Index(s[from:], word)
	if i < 0 {
		return -1
	}
	return from + i
}

// mayFile says whether something may be filed under key.
func (x *Index) mayFile(key uint32) bool {
	hash := hashOf(key) >> x.coarse
	return x.filter[hash>>6]&(1<<(hash&63)) != 0
}

// try looks at what is filed under key, which stands at i in s; false: f wants no more.
func (x *Index) try(s string, i int, key uint32, found []uint64, f func(phrase, at, length int) bool) bool {
	bucket := hashOf(key) >> x.shift
	anchors := x.anchors[x.heads[bucket]:x.heads[bucket+1]]
	for j := range anchors {
		if a := &anchors[j]; a.key == key && !x.meet(a, s, i-int(a.offset), found, f) {
			return false
		}
	}
	return true
}

// meet notes the phrase of a if it stands in s with a's spelling at start; false: f wants no more.
func (x *Index) meet(a *anchor, s string, start int, found []uint64, f func(phrase, at, length int) bool) bool {
	bit := uint64(1) << (a.group & 63)
	end := start + len(a.word)
	if found != nil && found[a.group>>6]&bit != 0 || start < 0 || end > len(s) || s[start:end] != a.word {
		return true
	}
	if a.piece != wholePhrase && !x.phrases[a.phrase].surrounds(s, int(a.piece), start, end) {
		return true
	}
	if found == nil {
		return f(int(a.phrase), start, len(a.word))
	}
	found[a.group>>6] |= bit
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
