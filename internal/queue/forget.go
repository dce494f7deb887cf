package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/bbolt"

	"bouncefeed/internal/event"
)

// Erasure says what to erase: all that is about one recipient.
type Erasure struct {
	Address string                  // as text; where replies to others name it, it is blotted out
	About   func(*event.Event) bool // whether an event is about its owner
	Outdate func()                  // called in the transaction that erases what parsers have stored: what they remember is no longer that
}

// Erased says how much was erased.
type Erased struct {
	Events   int `json:"events"`   // of history and of what waited, what was queued once more too
	Unsent   int `json:"unsent"`   // how often one of them waited: it will not be sent
	Held     int `json:"held"`     // and will not be
	Dead     int `json:"dead"`     // letters
	Refused  int `json:"refused"`  // records
	Messages int `json:"messages"` // under way, of parsers' memory: if one fails, nothing is known of it
	Blotted  int `json:"blotted"`  // others' events and answers in which the address stood
}

// blot stands where the address did.
const blot = "[erased]"

// Erase erases what is about one recipient, from everything that can be read. What stays are keyed hashes, of identity
// keys and of the ledger, which keep a bounce from being told twice; they go when the retention ends. The file's free
// pages have all of it until Rewrite.
func (q *Queue) Erase(e Erasure) (done Erased, err error) {
	b := &blotter{e, []byte(strings.ToLower(e.Address))}
	if err := q.eraseEvents(b, &done); err != nil {
		return done, err
	}
	defer q.edits.Add(1)
	err = q.write(context.Background(), groupSize, func(t *txn) error {
		before := done
		if err := errors.Join(t.eraseRecords(b, &done), t.eraseRefused(b, &done)); err != nil {
			done = before // it may run again
			return err
		}
		return nil
	})
	if err == nil {
		err = q.eraseState(b, &done)
	}
	if err == nil {
		err = q.blotAnswers(b, &done)
	}
	return done, err
}

// Rewrite puts a copy in the file's place that has nothing of what was erased.
func (q *Queue) Rewrite() error {
	if wideAddresses {
		return q.shrinkIf(true)
	}
	q.lock <- struct{}{}
	defer func() { <-q.lock }()
	return errors.Join(q.guarded(q.replace), q.guarded(q.measure))
}

// blotter knows the address.
type blotter struct {
	Erasure
	lower []byte
}

// blot gives text without the address.
func (b *blotter) blot(text string) string {
	folded := []byte(strings.ToLower(text))
	if len(folded) != len(text) { // letters that are longer in lower case: sought as it is
		folded = []byte(text)
	}
	var out strings.Builder
	from := 0
	for at := 0; ; {
		i := bytes.Index(folded[at:], b.lower)
		if i < 0 {
			out.WriteString(text[from:])
			return out.String()
		}
		start, end := at+i, at+i+len(b.lower)
		at = end
		if standsAlone(folded, start, end) {
			out.WriteString(text[from:start] + blot)
			from = end
		}
	}
}

// standsAlone says whether an address is not part of a longer one.
func standsAlone(text []byte, start, end int) bool {
	inAddress := func(c byte) bool {
		return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c >= 0x80 || bytes.IndexByte([]byte("!#$%&'*+-/=?^_`{|}~."), c) >= 0
	}
	inDomain := func(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c >= 0x80 || c == '-' }
	switch {
	case start > 0 && inAddress(text[start-1]) && !isDecoration(text, start-1):
		return false
	case end < len(text) && inDomain(text[end]):
		return false
	}
	return end+1 >= len(text) || text[end] != '.' || !inDomain(text[end+1])
}

// isDecoration says whether what stands before an address is an = or a quote, as in to=jo@example.org.
func isDecoration(text []byte, at int) bool {
	return text[at] == '=' || text[at] == '\'' || text[at] == '`'
}

// names says whether text has the address.
func (b *blotter) names(text string) bool { return b.blot(text) != text }

// edit gives the record as it is to be: erased, or changed, or neither.
func (b *blotter) edit(r *record) (erase, changed bool) {
	if b.About(&r.Event) {
		return true, false
	}
	diagnostic, why := b.blot(r.Diagnostic), b.blot(r.Why)
	changed = diagnostic != r.Diagnostic || why != r.Why
	r.Diagnostic, r.Why = diagnostic, why
	return false, changed
}

// eraseEvents erases from the groups.
func (q *Queue) eraseEvents(b *blotter, done *Erased) error {
	for next := uint64(1); next != 0; {
		groups, err := q.groupsToSearch(&next)
		if err != nil {
			return err
		}
		var seqs []uint64
		for i := range groups {
			found, err := groups[i].search(&Search{Wanted: func(e *event.Event) bool { return b.About(e) || b.names(e.Diagnostic) }}, nil)
			if err != nil {
				return q.damaged(err)
			}
			for _, item := range found {
				seqs = append(seqs, item.Seq)
			}
		}
		for part := range slices.Chunk(seqs, slice) {
			if err := q.write(context.Background(), 8192*len(part), func(t *txn) error {
				before := *done
				err := t.eraseFromGroups(b, part, done)
				if err != nil {
					*done = before
				}
				return err
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *txn) eraseFromGroups(b *blotter, seqs []uint64, done *Erased) error {
	for len(seqs) > 0 {
		groups, err := groupsFrom(t.Tx, seqs[0], 1)
		if err != nil {
			return err
		}
		if len(groups) == 0 {
			return nil
		}
		g := groups[0]
		end := g.first + groupCount(g.sealed)
		n, _ := slices.BinarySearch(seqs, end)
		if n == 0 || g.first > seqs[0] { // it went meanwhile
			n = 1
		} else if err := t.eraseFromGroup(b, &g, seqs[:n], done); err != nil {
			return err
		}
		seqs = seqs[n:]
	}
	return nil
}

// eraseFromGroup writes a group anew: what is left of it, and changed, in as many as there are gaps then.
func (t *txn) eraseFromGroup(b *blotter, g *storedGroup, seqs []uint64, done *Erased) error {
	texts, err := unpackGroup(g.sealed)
	if err != nil {
		return err
	}
	for _, seq := range seqs {
		text := texts[seq-g.first]
		if c := g.completed[seq]; c != nil {
			text = c
		}
		r, err := parseRecord(text)
		if err != nil {
			return fmt.Errorf("%w: a record is not JSON: %w", ErrDamaged, err)
		}
		text = nil
		if erase, _ := b.edit(r); !erase {
			if text, err = r.encode(); err != nil {
				return err
			}
			done.Blotted++
		} else {
			done.Events++
			if err := t.countUnsent(seq, done); err != nil {
				return err
			}
		}
		texts[seq-g.first] = text
		if err := t.Bucket(bucketCompleted).Delete(number(seq)); err != nil {
			return err
		}
	}
	groups := t.Bucket(bucketGroups)
	if err := groups.Delete(number(g.first)); err != nil {
		return err
	}
	t.q.joined = min(t.q.joined, g.first)
	for first := g.first; len(texts) > 0; {
		n := slices.IndexFunc(texts, func(text []byte) bool { return text == nil })
		if n < 0 {
			n = len(texts)
		}
		at := first
		for _, p := range packAll(texts[:n]) {
			if err := groups.Put(number(at), seal(number(at), p.group)); err != nil {
				return err
			}
			at += uint64(p.n)
		}
		n = min(n+1, len(texts))
		texts, first = texts[n:], first+uint64(n)
	}
	return nil
}

// countUnsent counts an event that goes before every output has sent it.
func (t *txn) countUnsent(seq uint64, done *Erased) error {
	return t.Bucket(bucketOutputs).ForEach(func(name, v []byte) error {
		p, err := decodePosition(name, v)
		if err == nil && seq > p.accepted && !decidedFrom(t.Tx, string(name), seq).has(seq) {
			t.count(outputCounter(string(name), CountDiscarded), 1)
			done.Unsent++
		}
		return err
	})
}

// eraseRecords erases what is queued once more, dead or held.
func (t *txn) eraseRecords(b *blotter, done *Erased) error {
	if err := t.eachNested(bucketAgain, func(output string, records *bbolt.Bucket) error {
		return t.eraseIn(b, records, done, func(*record) {
			t.count(outputCounter(output, CountDiscarded), 1)
			done.Events++
			done.Unsent++
		})
	}); err != nil {
		return err
	}
	if err := t.eachNested(bucketDead, func(output string, records *bbolt.Bucket) error {
		return t.eraseIn(b, records, done, func(*record) {
			t.count(outputCounter(output, CountDropped), 1)
			done.Dead++
		})
	}); err != nil {
		return err
	}
	return t.eraseIn(b, t.Bucket(bucketHeld), done, func(r *record) {
		t.count(inputCounter(r.Input, CountDropped), 1)
		done.Held++
	})
}

func (t *txn) eachNested(parent []byte, each func(name string, b *bbolt.Bucket) error) error {
	return t.Bucket(parent).ForEachBucket(func(name []byte) error { return each(string(name), t.Bucket(parent).Bucket(name)) })
}

func (t *txn) eraseIn(b *blotter, records *bbolt.Bucket, done *Erased, erased func(*record)) error {
	changes := map[string][]byte{} // nil: erase
	if err := records.ForEach(func(k, v []byte) error {
		r, err := decodeRecord(k, v)
		if err != nil {
			return err
		}
		erase, changed := b.edit(r)
		switch {
		case erase:
			changes[string(k)] = nil
			erased(r)
		case changed:
			done.Blotted++
			changes[string(k)], err = r.encode()
		}
		return err
	}); err != nil {
		return err
	}
	for k, text := range changes {
		if text == nil {
			if err := records.Delete([]byte(k)); err != nil {
				return err
			}
		} else if err := putSealed(records, []byte(k), text); err != nil {
			return err
		}
	}
	return nil
}

func (t *txn) eraseRefused(b *blotter, done *Erased) error {
	return t.eachNested(bucketRefused, func(_ string, ring *bbolt.Bucket) error {
		var keys [][]byte
		if err := ring.ForEach(func(k, v []byte) error {
			var r Refused
			if err := unsealJSON(k, v, &r); err != nil {
				return err
			}
			if b.names(string(r.Body)) || b.names(r.Detail) {
				keys = append(keys, slices.Clone(k))
			}
			return nil
		}); err != nil {
			return err
		}
		done.Refused += len(keys)
		return deleteAll(ring, keys)
	})
}

func deleteAll(b *bbolt.Bucket, keys [][]byte) error {
	for _, k := range keys {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// eraseState erases what parsers have stored of messages to the address. What else is about such a message goes with it.
func (q *Queue) eraseState(b *blotter, done *Erased) error {
	return q.write(context.Background(), groupSize, func(t *txn) error {
		n := 0
		if b.Outdate != nil {
			b.Outdate()
		}
		if err := t.eachNested(bucketState, func(_ string, state *bbolt.Bucket) error {
			var keys [][]byte
			if err := state.ForEach(func(k, v []byte) error {
				if b.isIn(k) || b.isIn(v) {
					keys = append(keys, slices.Clone(k))
				}
				return nil
			}); err != nil {
				return err
			}
			n += len(keys)
			return deleteAll(state, keys)
		}); err != nil {
			return err
		}
		done.Messages = n
		return nil
	})
}

// isIn says whether a parser's value has the address, which stands there behind a byte with its length, or as in text.
func (b *blotter) isIn(value []byte) bool {
	folded := lower(bytes.Clone(value))
	for at := 0; ; {
		i := bytes.Index(folded[at:], b.lower)
		if i < 0 {
			return false
		}
		start, end := at+i, at+i+len(b.lower)
		if start > 0 && int(value[start-1]) == len(b.lower) || standsAlone(folded, start, end) {
			return true
		}
		at = end
	}
}

// blotAnswers blots the address out of what receivers answered.
func (q *Queue) blotAnswers(b *blotter, done *Erased) error {
	return q.write(context.Background(), groupSize, func(t *txn) error {
		n := 0
		err := t.eachNested(bucketOutcomes, func(_ string, outcomes *bbolt.Bucket) error {
			changes := map[string][]byte{}
			if err := outcomes.ForEach(func(k, v []byte) error {
				if !bytes.Contains(lower(bytes.Clone(v)), b.lower) {
					return nil
				}
				s, err := decodeStretch(k, v)
				if err == nil && b.names(s.answer) {
					s.answer = b.blot(s.answer)
					changes[string(k)] = s.encode()
				}
				return err
			}); err != nil {
				return err
			}
			n += len(changes)
			for k, text := range changes {
				if err := putSealed(outcomes, []byte(k), text); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			done.Blotted += n
		}
		return err
	})
}
