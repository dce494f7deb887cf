package maillog

import (
	"cmp"
	"encoding/binary"
	"iter"
	"slices"
	"strings"
	"time"

	"bouncefeed/parsers"
)

// What the memory has no room for is spilled: it stays stored, under a key of its own, and comes back with the next line
// about its queue id. That, too, is bounded, apart for foreign messages, whose number is a stranger's choice.

const (
	spillKey   = 'e'
	spillTimes = 4 // as much as the memory's limit, of foreign messages and of others each
	spillSweep = 24 * time.Hour
)

// spill is what is known of the spilled messages.
type spill struct {
	stored parsers.Stored // nil: nothing can be spilled
	others spillSum
	alien  spillSum          // foreign messages
	fresh  map[string][]byte // spilled since the last Changes
	taken  map[string]bool   // back in memory since then, though still stored
	swept  int64             // when what is too old was last dropped, Unix microseconds
}

// spillSum is how many there are, and the bytes they take.
type spillSum struct{ messages, bytes int }

func (s *spill) empty() bool { return s.stored == nil || s.others.messages+s.alien.messages == 0 }

func (s *spill) sum(value []byte) *spillSum {
	if flags, _ := binary.Uvarint(value[1:]); flags&msgForeign != 0 {
		return &s.alien
	}
	return &s.others
}

// count adds a stored value, or takes it off.
func (s *spill) count(value []byte, messages int) {
	sum := s.sum(value)
	sum.messages += messages
	sum.bytes += messages * len(value)
}

func spilledKey(storedKey string) string { return string(spillKey) + storedKey[1:] }

// spillOldest takes m out of the memory and leaves it to the queue. Failures that are not told yet are told now.
func (p *memory) spillOldest(m *message) {
	kept := *m
	kept.flags &^= msgChanged | msgStored
	if d := kept.more; d != nil && len(d.failed) > 0 {
		told := *d
		told.failed = nil
		kept.more = &told
	}
	if kept.has(msgForeign) { // of which only that is of interest
		kept.pending = slices.Clone(kept.pending)
		for i := range kept.pending {
			kept.pending[i] = outcome{to: kept.pending[i].to, origTo: kept.pending[i].origTo, at: kept.pending[i].at}
		}
	}
	key, value := spilledKey(m.storedKey()), kept.encode()
	p.forget(m)
	if old := p.spill.fresh[key]; old != nil {
		p.spill.count(old, -1)
	}
	p.spill.fresh[key] = value
	delete(p.spill.taken, key)
	p.spill.count(value, 1)
}

// take takes a spilled message from those that are; nil: it is none.
func (s *spill) take(key string) []byte {
	value := s.fresh[key]
	if value == nil && !s.taken[key] {
		value = s.stored.Value(key)
	}
	if value != nil {
		delete(s.fresh, key)
		s.taken[key] = true
		s.count(value, -1)
	}
	return value
}

// recall brings back the message that a line is about, if it was spilled.
func (t *tracker) recall(key *queueKey, instance uint32, now int64) *message {
	mem := t.memory
	if mem.spill.empty() {
		return nil
	}
	stored := (&message{key: *key, instance: instance}).storedKey()
	value := mem.spill.take(spilledKey(stored))
	if value == nil {
		return nil
	}
	m, err := decodeMessage(stored, value)
	if err != nil { // it is as good as forgotten
		return nil
	}
	wasFirst := m.has(msgFirst)
	m.flags &^= msgStored | msgFirst
	m.sibling = mem.messages[*key]
	mem.insert(m)
	if wasFirst {
		t.beFirst(m)
	}
	mem.touch(m, now)
	return m
}

// beFirst makes m again the first message with its Message-ID, before another one that came while it was spilled.
func (t *tracker) beFirst(m *message) {
	mem := t.memory
	other := mem.firsts[m.id]
	if other != nil {
		if other.arrived < m.arrived {
			return
		}
		mem.dropFirst(other)
		mem.touch(other, other.seen)
	}
	m.flags |= msgFirst
	mem.firsts[m.id] = m
	if other != nil {
		t.shareID(other)
	}
}

// changes adds what was spilled, and what came back, to the changes.
func (s *spill) changes(to map[string][]byte) {
	for key := range s.taken {
		to[key] = nil
	}
	for key, value := range s.fresh {
		to[key] = value
	}
	clear(s.fresh)
	clear(s.taken)
}

func newSpill(stored parsers.Stored) spill {
	return spill{stored: stored, fresh: map[string][]byte{}, taken: map[string]bool{}}
}

// isDue says whether sweep has something to do at a time.
func (s *spill) isDue(now int64, limit int) bool {
	return !s.empty() && (max(s.others.bytes, s.alien.bytes) > spillTimes*limit || now-s.swept > spillSweep.Microseconds())
}

// sweep drops the spilled messages that are too old, and of too many the oldest: of ours, then, forgot is told the time.
func (p *memory) sweep(now int64) {
	s := &p.spill
	s.swept = now
	tooOld := now - p.maxAge.Microseconds()
	for _, sum := range []*spillSum{&s.others, &s.alien} {
		oldest := tooOld
		if sum.bytes > spillTimes*p.limit {
			if oldest = max(oldest, p.cut(sum)); oldest > tooOld && sum == &s.others {
				p.forgot = now
			}
		}
		for key, value := range p.allSpilled() {
			if s.sum(value) == sum && spilledSeen(value) < oldest {
				delete(s.fresh, key)
				s.taken[key] = true
				s.count(value, -1)
			}
		}
	}
}

// cut is the time since which those were heard of that may stay: three quarters of what is allowed.
func (p *memory) cut(sum *spillSum) int64 {
	type one struct {
		seen int64
		size int
	}
	var all []one
	*sum = spillSum{}
	for _, value := range p.allSpilled() {
		if p.spill.sum(value) == sum {
			all = append(all, one{spilledSeen(value), len(value)})
			sum.messages, sum.bytes = sum.messages+1, sum.bytes+len(value)
		}
	}
	slices.SortFunc(all, func(a, b one) int { return cmp.Compare(b.seen, a.seen) })
	room := spillTimes * p.limit / 4 * 3
	for _, o := range all {
		if room -= o.size; room < 0 {
			return o.seen + 1
		}
	}
	return 0
}

// allSpilled gives the spilled messages' keys and values.
func (p *memory) allSpilled() iter.Seq2[string, []byte] {
	s := &p.spill
	return func(yield func(string, []byte) bool) {
		for key, value := range s.fresh {
			if !yield(key, value) {
				return
			}
		}
		for key, value := range s.stored.All() {
			if isSpilled(key) && s.fresh[key] == nil && !s.taken[key] && !yield(key, value) {
				return
			}
		}
	}
}

func isSpilled(key string) bool { return strings.HasPrefix(key, string(spillKey)) && len(key) > 9 }

// spilledSeen is when a spilled message was last heard of.
func spilledSeen(value []byte) int64 {
	r := stateReader{b: value}
	r.byte()
	r.uint()
	r.int()
	r.int()
	return r.int()
}
