package parsertest

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
)

// A mutator makes inputs of seeds. The nth input depends on nothing but the seed of its random numbers and n, so that any
// can be made again.
type mutator struct {
	*fuzzPool
	seed uint64
	pcg  rand.PCG
	rnd  *rand.Rand
	out  []byte
}

// A fuzzPool is what the mutators of one target share.
type fuzzPool struct {
	seeds [][]byte
	found [][]byte // what guided runs kept: mostly short and broken
	words [][]byte // what all of them are made of
}

// fuzzSyntax is what formats, charsets and numbers trip over.
var fuzzSyntax = []string{
	"\n", "\r\n", "\r", "\n\n", "\r\n\r\n", "\n ", "\x00", "\x7f", "\x1b[0m", "\t", " ", "  ", "\"", "\\\"", "\\", "\\\\", "'", "`",
	"<", ">", "<>", "<<", "<a@b>", "(", ")", "()", "[", "]", "[]", "[[", "{", "}", "{}", ":", ": ", "::", ";", "; ", ",", ", ", ",,", "=", "==",
	"=?utf-8?q?=41?=", "=?utf-8?b?QQ==?=", "=\n", "=0A", "=00", "%", "%00", "%0a", "%s", "&", "&amp;", "+", "-", "--", "/", "//", "*", "|", "#",
	"@", "a@b", "a@b.example", "\"a b\"@c.example", "@@", ".", "..", "0", "1", "-1", "00", "255", "256", "65536", "2147483648",
	"9223372036854775807", "18446744073709551616", "1e309", "-0", "0.1", "NaN", "null", "true", "false", "\"\"", "\"a\":1,", "\\u0000",
	"\\ud83d", "\\ud83d\\ude00", "\\n", "\\303\\244", "550", "421", "5.1.1", "4.2.2", "999", "ä", "\u202e", "\u2028", "\ufeff", "\ufffd",
	"😀", "日本", "\xff", "\xc3", "\xe2\x82", "\xf0\x9f", "\xed\xa0\x80", "\xc0\x80", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59-08:00", "+24:06", "+2406", "Feb 30 25:61:61",
	"From ", "\n.\n", "\n--", "<a><b>", "<!--", "</", "00000000-0000-0000-0000-000000000000", "3f2a1b4c-5d6e-4f70-8a9b-0c1d2e3f4a5b",
}

const (
	fuzzDelimiters = "\n\t ,;:=<>()[]{}\"'&|@/"
	fuzzMaxRun     = 16 << 10 // bytes
)

func newFuzzPool(seeds, found [][]byte) *fuzzPool {
	pool, known := &fuzzPool{seeds: seeds, found: found}, map[string]bool{}
	add := func(word []byte) {
		if len(word) > 1 && len(word) <= 80 && !known[string(word)] {
			known[string(word)] = true
			pool.words = append(pool.words, bytes.Clone(word))
		}
	}
	for _, seed := range slices.Concat(seeds, found) {
		for line := range bytes.SplitSeq(seed, []byte("\n")) {
			for field := range bytes.FieldsSeq(line) {
				add(field)
			}
			for _, word := range bytes.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(fuzzDelimiters, r) }) {
				add(word)
			}
		}
	}
	return pool
}

func newMutator(pool *fuzzPool, seed uint64) *mutator {
	m := &mutator{fuzzPool: pool, seed: seed}
	m.rnd = rand.New(&m.pcg)
	return m
}

// input makes the nth input, valid until the next call.
func (m *mutator) input(n int64) []byte {
	m.pcg.Seed(m.seed, uint64(n))
	m.out = append(m.out[:0], m.start()...)
	for {
		m.mutate()
		if m.rnd.IntN(3) == 0 {
			return m.out
		}
	}
}

// start is an input as it is, as often a seed as a find.
func (m *mutator) start() []byte {
	if len(m.found) > 0 && m.rnd.IntN(2) == 0 {
		return pick(m.rnd, m.found)
	}
	return pick(m.rnd, m.seeds)
}

// mutate changes one thing.
func (m *mutator) mutate() {
	from, to := m.span()
	switch what := m.rnd.IntN(24); {
	case what < 2 && len(m.out) > 0:
		m.out[m.rnd.IntN(len(m.out))] ^= 1 << m.rnd.IntN(8)
	case what < 4 && len(m.out) > 0:
		m.out[m.rnd.IntN(len(m.out))] = byte(m.rnd.IntN(256))
	case what < 6:
		m.out = slices.Delete(m.out, from, to)
	case what < 8:
		m.out = slices.Insert(m.out, m.place(), bytes.Clone(m.out[from:to])...)
	case what < 9:
		chunk := bytes.Clone(m.out[from:to])
		m.out = slices.Delete(m.out, from, to)
		m.out = slices.Insert(m.out, m.place(), chunk...)
	case what < 11:
		m.splice()
	case what < 15:
		m.out = slices.Insert(m.out, m.place(), m.token()...)
	case what < 20:
		m.out = slices.Replace(m.out, from, to, m.token()...)
	case what < 21:
		m.out = m.out[:m.place()]
	case what < 22 && to > from: // a number of the same length
		for i := from; i < to; i++ {
			if m.out[i] >= '0' && m.out[i] <= '9' {
				m.out[i] = '0' + byte(m.rnd.IntN(10))
			}
		}
	case what < 23:
		m.swap()
	case m.rnd.IntN(8) == 0:
		m.out = slices.Insert(m.out, m.place(), m.run()...)
	}
}

// span is a part: a word or some of them, seldom more.
func (m *mutator) span() (from, to int) {
	from = m.place()
	size := 1 + m.rnd.IntN(1<<(1+m.rnd.IntN(9)))
	to = min(len(m.out), from+size)
	if m.rnd.IntN(2) == 0 {
		for from > 0 && strings.IndexByte(fuzzDelimiters, m.out[from-1]) < 0 {
			from--
		}
		for to < len(m.out) && strings.IndexByte(fuzzDelimiters, m.out[to]) < 0 {
			to++
		}
	} else if m.rnd.IntN(2) == 0 { // whole lines
		from = bytes.LastIndexByte(m.out[:from], '\n') + 1
		if i := bytes.IndexByte(m.out[to:], '\n'); i >= 0 {
			to += i + 1
		}
	}
	return from, to
}

func (m *mutator) place() int { return m.rnd.IntN(len(m.out) + 1) }

// splice goes on with another seed, or takes a part of it over.
func (m *mutator) splice() {
	other := m.start()
	at := m.rnd.IntN(len(other) + 1)
	if m.rnd.IntN(2) == 0 {
		m.out = append(m.out[:m.place()], other[at:]...)
		return
	}
	m.out = slices.Insert(m.out, m.place(), other[at:at+m.rnd.IntN(min(256, len(other)-at)+1)]...)
}

// swap lets two parts change places.
func (m *mutator) swap() {
	a, b := m.span()
	c, d := m.span()
	if a > c {
		a, b, c, d = c, d, a, b
	}
	if b <= c {
		m.out = slices.Concat(m.out[:a], m.out[c:d], m.out[b:c], m.out[a:b], m.out[d:])
	}
}

func (m *mutator) token() []byte {
	if len(m.words) > 0 && m.rnd.IntN(2) == 0 {
		return pick(m.rnd, m.words)
	}
	return []byte(pick(m.rnd, fuzzSyntax))
}

// run is a token over and over.
func (m *mutator) run() []byte {
	unit := m.token()
	return bytes.Repeat(unit, m.rnd.IntN(1<<(1+m.rnd.IntN(14)))%(fuzzMaxRun/len(unit)+1))
}

func pick[T any](rnd *rand.Rand, from []T) T { return from[rnd.IntN(len(from))] }
