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
	heads   [1<<hashBits + 1]uint32 // where the anchors of a hash begin; they end where the next one's begin
	anchors []anchor
	short   []int // phrases without a piece of keySize bytes
}

// anchor says that a key stands at offset in pieces[piece] of a phrase.
type anchor struct {
	hash                  uint16
	phrase, piece, offset int
}

const (
	keySize  = 4
	hashBits = 14
)

func newIndex(rules []rule) *index {
	x := &index{}
	var uses [1 << hashBits]int
	for i, r := range rules {
		for _, p := range r.phrases {
			p.rule = i
			x.phrases = append(x.phrases, p)
			p.eachKey(func(hash uint16, _, _ int) { uses[hash]++ })
		}
	}
	found := make([]anchor, 0, len(x.phrases))
	for i, p := range x.phrases {
		if a, ok := p.rarest(&uses); ok {
			a.phrase = i
			found = append(found, a)
			x.heads[a.hash+1]++
		} else {
			x.short = append(x.short, i)
		}
	}
	for i := range x.heads[1:] {
		x.heads[i+1] += x.heads[i]
	}
	x.anchors = make([]anchor, len(found))
	next := x.heads
	for _, a := range found {
		x.anchors[next[a.hash]] = a
		next[a.hash]++
	}
	return x
}

// rarest picks the key of p that the fewest phrases have.
func (p phrase) rarest(uses *[1 << hashBits]int) (best anchor, ok bool) {
	p.eachKey(func(hash uint16, piece, offset int) {
		if !ok || uses[hash] < uses[best.hash] {
			best, ok = anchor{hash: hash, piece: piece, offset: offset}, true
		}
	})
	return best, ok
}

func (p phrase) eachKey(f func(hash uint16, piece, offset int)) {
	for i, piece := range p.pieces {
		for o := 0; o+keySize <= len(piece); o++ {
			f(hashAt(piece, o), i, o)
		}
	}
}

func hashAt(s string, i int) uint16 {
	_ = s[i+3]
	key := uint32(s[i]) | uint32(s[i+1])<<8 | uint32(s[i+2])<<16 | uint32(s[i+3])<<24
	return uint16(key * 2654435761 >> (32 - hashBits))
}

// find marks every rule that has a phrase in text.
func (x *index) find(text string, m *marks) {
	for i := 0; i+keySize <= len(text); i++ {
		hash := hashAt(text, i)
		for _, a := range x.anchors[x.heads[hash]:x.heads[hash+1]] {
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
