package maillog

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"

	"bouncefeed/parsers"
)

// The parser's memory as the queue stores it: one value for each message, under "m", host, instance and queue id; and
// "e" in place of "m" those that the memory has no room for; under "first" the time of the first line ever read.

const (
	firstLineKey = "first"
	storeVersion = 2
)

func (m *message) storedKey() string {
	b := make([]byte, 0, 9+len(m.key.id))
	b = append(b, 'm')
	b = binary.BigEndian.AppendUint32(b, m.key.host)
	b = binary.BigEndian.AppendUint32(b, m.instance)
	return string(append(b, m.key.String()...))
}

// Changes implements Stateful. A message that came and went since the last call is in none of it.
func (t *tracker) Changes() map[string][]byte {
	mem := t.memory
	changes := make(map[string][]byte, len(mem.changed)+len(mem.gone)+1)
	if t.firstChanged {
		changes[firstLineKey] = binary.AppendVarint(binary.AppendVarint(binary.AppendVarint(nil, t.first), mem.flooded), mem.forgot)
		t.firstChanged = false
	}
	for _, key := range mem.gone {
		changes[key] = nil
	}
	for _, m := range mem.changed {
		if !m.has(msgChanged) { // forgotten
			if len(mem.free) < maxFree {
				mem.free = append(mem.free, m)
			}
			continue
		}
		m.flags = m.flags&^msgChanged | msgStored
		changes[m.storedKey()] = m.encode()
	}
	mem.spill.changes(changes)
	mem.changed, mem.gone = mem.changed[:0], mem.gone[:0]
	if cap(mem.changed) > 1<<16 {
		mem.changed, mem.gone = nil, nil
	}
	return changes
}

// KeepStored implements parsers.Recaller.
func (t *tracker) KeepStored(stored parsers.Stored) { t.memory.spill.stored = stored }

// Load implements Stateful. A value that cannot be read is an error: it would lose what the checkpoint relies on.
func (t *tracker) Load(state iter.Seq2[string, []byte]) error {
	stored := t.memory.spill.stored
	t.memory = newMemory(t.memory.limit, t.memory.maxAge)
	t.memory.spill, t.found = newSpill(stored), nil
	t.first, t.firstChanged = 0, false
	var all []*message
	for key, value := range state {
		if key == firstLineKey {
			r := stateReader{b: value}
			t.first, t.memory.flooded, t.memory.forgot = r.int(), r.int(), r.int() // the last two are missing since before version 2
			continue
		}
		if isSpilled(key) && len(value) > 1 {
			t.memory.spill.count(value, 1)
			continue
		}
		m, err := decodeMessage(key, value)
		if err != nil {
			return fmt.Errorf("read the memory of queue id %q: %w", key[min(len(key), 9):], err)
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b *message) int {
		return cmp.Or(cmp.Compare(a.seen, b.seen), cmp.Compare(a.arrived, b.arrived), slices.Compare(a.key.id[:], b.key.id[:]))
	})
	for _, m := range all {
		m.sibling = t.memory.messages[m.key]
		t.memory.insert(m)
	}
	return nil
}

func (m *message) encode() []byte {
	b := make([]byte, 0, 64+len(m.sender)+len(m.id))
	b = append(b, storeVersion)
	b = binary.AppendUvarint(b, uint64(m.flags))
	b = binary.AppendVarint(b, m.arrived)
	b = binary.AppendVarint(b, m.active)
	b = binary.AppendVarint(b, m.seen)
	b = binary.AppendVarint(b, int64(m.left))
	b = appendStrings(b, m.sender, m.id, m.got)
	b = binary.AppendUvarint(b, uint64(len(m.pending)))
	for i := range m.pending {
		o := &m.pending[i]
		b = o.encode(b)
	}
	if d := m.more; d != nil {
		b = appendStrings(b, d.origin, d.campaign, d.subscriber)
		for _, list := range d.lists() {
			b = binary.AppendUvarint(b, uint64(len(*list)))
			b = appendStrings(b, *list...)
		}
		b = binary.AppendUvarint(b, uint64(len(d.failed)))
		for i := range d.failed {
			b = d.failed[i].encode(b)
		}
	}
	return b
}

// lists are what d stores under no name of its own, in order; the last ones since version 2.
func (d *details) lists() []*[]string {
	return []*[]string{&d.others, &d.passed, &d.aliases, &d.delivered, &d.copies}
}

const (
	listsBefore2    = 3
	storedNoMailbox = 1
	storedNeverHard = 2
)

func (o *outcome) encode(b []byte) []byte {
	b = appendStrings(b, o.to, o.origTo, o.remote, o.status, o.diagnostic)
	b = binary.AppendUvarint(b, uint64(o.code))
	flags := uint64(0)
	if o.noMailbox {
		flags |= storedNoMailbox
	}
	if o.neverHard {
		flags |= storedNeverHard
	}
	b = binary.AppendUvarint(b, flags)
	b = binary.AppendVarint(b, o.at)
	return appendStrings(b, o.returnPath)
}

func (r *stateReader) outcome(version byte) outcome {
	o := outcome{to: r.string(), origTo: r.string(), remote: r.string(), status: r.string(), diagnostic: r.string()}
	if o.code = int(r.uint()); version > 1 {
		flags := r.uint()
		o.noMailbox, o.neverHard = flags&storedNoMailbox != 0, flags&storedNeverHard != 0
		o.at, o.returnPath = r.int(), r.string()
	}
	return o
}

func appendStrings(b []byte, list ...string) []byte {
	for _, s := range list {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

func decodeMessage(key string, value []byte) (*message, error) {
	m := new(message)
	if len(key) < 10 || key[0] != 'm' || len(key)-9 > len(m.key.id) {
		return nil, errors.New("not a key of this parser")
	}
	m.key.host = binary.BigEndian.Uint32([]byte(key[1:5]))
	m.instance = binary.BigEndian.Uint32([]byte(key[5:9]))
	copy(m.key.id[:], key[9:])
	r := stateReader{b: value}
	version := r.byte()
	if version < 1 || version > storeVersion {
		return nil, fmt.Errorf("version %d, this program knows %d", version, storeVersion)
	}
	if m.flags = uint32(r.uint()) | msgStored; version == 1 { // which did not note whether the beginning was seen
		m.flags |= msgBegun
	}
	m.arrived, m.active, m.seen, m.left = r.int(), r.int(), r.int(), int(r.int())
	if m.sender, m.id = r.string(), r.string(); version > 1 {
		m.got = r.string()
	}
	for n := r.count(); n > 0; n-- {
		m.pending = append(m.pending, r.outcome(version))
	}
	if len(r.b) > 0 && !r.bad {
		m.more = &details{origin: r.string(), campaign: r.string(), subscriber: r.string()}
		lists := m.more.lists()
		if version == 1 {
			lists = lists[:listsBefore2]
		}
		for _, list := range lists {
			for n := r.count(); n > 0; n-- {
				*list = append(*list, r.string())
			}
		}
		for n := r.countIf(version > 1); n > 0; n-- {
			m.more.failed = append(m.more.failed, r.outcome(version))
		}
	}
	if r.bad || len(r.b) > 0 {
		return nil, errors.New("the stored value is damaged")
	}
	return m, nil
}

// A stateReader takes values off b; bad: b ended too early.
type stateReader struct {
	b   []byte
	bad bool
}

func (r *stateReader) fail() {
	r.b, r.bad = nil, true
}

func (r *stateReader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *stateReader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *stateReader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *stateReader) countIf(stored bool) int {
	if !stored {
		return 0
	}
	return r.count()
}

// count is a number of things of at least one byte each.
func (r *stateReader) count() int {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *stateReader) string() string {
	n := r.count()
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}
