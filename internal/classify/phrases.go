package classify

import "strings"

// A phrase is literal pieces that follow each other with at most gap bytes between them: "user * unknown".
type phrase struct {
	rule   int
	pieces []string
	gap    int
}

// index finds all phrases in one pass over a text: every phrase is filed under four of its bytes, those that the
// fewest other phrases have, so that most positions of a text cost one look at a small table.
type index struct {
	phrases []phrase
	seen    [1 << 16 / 64]uint64 // hashes of the keys, so that most look-ups end here
	anchors map[uint32][]anchor
	short   []int // phrases without a piece of keySize bytes
}

// anchor says that a key stands at offset in pieces[piece] of a phrase.
type anchor struct{ phrase, piece, offset int }

const keySize = 4

func newIndex(rules []rule) index {
	x := index{anchors: map[uint32][]anchor{}}
	uses := map[uint32]int{}
	for i, r := range rules {
		for _, p := range r.phrases {
			p.rule = i
			x.phrases = append(x.phrases, p)
			p.eachKey(func(key uint32, _, _ int) { uses[key]++ })
		}
	}
	for i, p := range x.phrases {
		x.file(i, p, uses)
	}
	return x
}

func (x *index) file(i int, p phrase, uses map[uint32]int) {
	var best uint32
	at, fewest := anchor{phrase: i}, 0
	p.eachKey(func(key uint32, piece, offset int) {
		if n := uses[key]; fewest == 0 || n < fewest {
			best, fewest = key, n
			at.piece, at.offset = piece, offset
		}
	})
	if fewest == 0 {
		x.short = append(x.short, i)
		return
	}
	x.anchors[best] = append(x.anchors[best], at)
	h := hash(best)
	x.seen[h/64] |= 1 << (h % 64)
}

func (p phrase) eachKey(f func(key uint32, piece, offset int)) {
	for i, piece := range p.pieces {
		for o := 0; o+keySize <= len(piece); o++ {
			f(keyAt(piece, o), i, o)
		}
	}
}

func keyAt(s string, i int) uint32 {
	_ = s[i+3]
	return uint32(s[i]) | uint32(s[i+1])<<8 | uint32(s[i+2])<<16 | uint32(s[i+3])<<24
}

func hash(key uint32) uint16 { return uint16(key * 2654435761 >> 16) }

// find marks every rule that has a phrase in text.
func (x *index) find(text string, m *marks) {
	for i := 0; i+keySize <= len(text); i++ {
		key := keyAt(text, i)
		h := hash(key)
		if x.seen[h/64]&(1<<(h%64)) == 0 {
			continue
		}
		for _, a := range x.anchors[key] {
			x.try(text, i, a, m)
		}
	}
	for _, i := range x.short {
		if p := &x.phrases[i]; p.in(text) {
			m.hit(p.rule)
		}
	}
}

func (x *index) try(text string, at int, a anchor, m *marks) {
	p := &x.phrases[a.phrase]
	if m.has(p.rule) {
		return
	}
	piece, start := p.pieces[a.piece], at-a.offset
	if start < 0 || start+len(piece) > len(text) || text[start:start+len(piece)] != piece {
		return
	}
	if len(p.pieces) == 1 || m.first(a.phrase) && p.in(text) {
		m.hit(p.rule)
	}
}

// in looks for the pieces in order. Each * takes as little as it can.
func (p *phrase) in(text string) bool {
	for {
		i := strings.Index(text, p.pieces[0])
		if i < 0 {
			return false
		}
		if p.follows(text[i+len(p.pieces[0]):]) {
			return true
		}
		if p.gap >= len(text) { // a later start can not do better
			return false
		}
		text = text[i+1:]
	}
}

func (p *phrase) follows(text string) bool {
	for _, piece := range p.pieces[1:] {
		window := text[:min(len(text), p.gap+len(piece))]
		i := strings.Index(window, piece)
		if i < 0 {
			return false
		}
		text = text[i+len(piece):]
	}
	return true
}

// marks remembers, for one text, which rules have a phrase in it and which phrases were looked at; a new text begins
// a new round instead of clearing them.
type marks struct {
	round   uint32
	rules   []uint32
	phrases []uint32
}

func newMarks(rules, phrases int) marks {
	return marks{rules: make([]uint32, rules), phrases: make([]uint32, phrases)}
}

func (m *marks) next() {
	if m.round++; m.round == 0 { // 2^32 texts later
		clear(m.rules)
		clear(m.phrases)
		m.round = 1
	}
}

func (m *marks) hit(rule int)      { m.rules[rule] = m.round }
func (m *marks) has(rule int) bool { return m.rules[rule] == m.round }

// first says whether a phrase was not looked at before in this text.
func (m *marks) first(phrase int) bool {
	again := m.phrases[phrase] == m.round
	m.phrases[phrase] = m.round
	return !again
}
