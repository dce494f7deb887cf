package queue

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"bouncefeed/internal/event"
)

// Past is an event that is there, waiting or history, with what became of it.
type Past struct {
	Seq   uint64      `json:"number"`
	Event event.Event `json:"event"`
	Fates []Fate      `json:"outputs,omitempty"` // of each output as far as it is known, in the order of time
}

// Fate is what became of an event at an output.
type Fate struct {
	Output  string    `json:"output"`
	Outcome Outcome   `json:"outcome"`
	At      time.Time `json:"at,omitzero"`
	Answer  string    `json:"answer,omitempty"` // the receiver's, if it refused
	Again   uint64    `json:"again,omitempty"`  // the number under which it was queued once more, for this output alone
}

// Pending is the outcome of what waits to be sent.
const Pending Outcome = "pending"

// Search says which events are wanted.
type Search struct {
	From, To uint64                  // their numbers; zero: no bound
	Word     string                  // stands in what is stored of them, in letters of either case; empty: whatever does
	Wanted   func(*event.Event) bool // nil: all
	Pending  bool                    // of what waits to be sent only; what is queued once more counts for itself
}

// searchEvents is how many events are looked at between two looks at what others want.
const searchEvents = 20_000

// Search gives the events that are wanted, oldest first. It reads them in slices and holds up nobody.
func (q *Queue) Search(s Search, each func(Past) error) error {
	var again map[string]map[uint64]Item
	if err := q.view(func(tx *bbolt.Tx) (err error) {
		if s.Pending {
			s.From = max(s.From, firstPending(tx))
		}
		again, err = againByEvent(tx, s.Pending)
		return err
	}); err != nil {
		return err
	}
	for next := max(s.From, 1); next != 0 && (s.To == 0 || next <= s.To); {
		groups, err := q.groupsToSearch(&next)
		if err != nil {
			return err
		}
		items, err := q.searchIn(groups, &s)
		if err != nil {
			return err
		}
		past, err := q.fatesOf(items, again)
		if err != nil {
			return err
		}
		for i := range past {
			if s.Pending {
				past[i].Fates = slices.DeleteFunc(past[i].Fates, func(f Fate) bool { return f.Outcome != Pending })
				if len(past[i].Fates) == 0 {
					continue
				}
			}
			if err := each(past[i]); err != nil {
				return err
			}
		}
	}
	return q.searchAgain(&s, again, each)
}

// groupsToSearch copies some groups from an event on, and gives the event behind them; 0: there is none.
func (q *Queue) groupsToSearch(next *uint64) (groups []storedGroup, err error) {
	err = q.view(func(tx *bbolt.Tx) (err error) {
		if groups, err = groupsFrom(tx, *next, searchEvents); err != nil {
			return err
		}
		for i := range groups {
			q.touched += pageSize
			*next = groups[i].first + groupCount(groups[i].sealed)
		}
		if len(groups) == 0 {
			*next = 0
		}
		return nil
	})
	return groups, err
}

// searchIn takes groups apart, without the lock.
func (q *Queue) searchIn(groups []storedGroup, s *Search) (items []Item, err error) {
	word := storedForm(s.Word)
	for i := range groups {
		found, err := groups[i].search(s, word)
		if err != nil {
			return nil, q.damaged(err)
		}
		items = append(items, found...)
	}
	return items, nil
}

// damaged notes damage that was found without the lock.
func (q *Queue) damaged(err error) error {
	q.lock <- struct{}{}
	defer func() { <-q.lock }()
	return q.guarded(func() error { return err })
}

// storedForm is how a word stands in JSON, in lower case; nil: that is not known.
func storedForm(word string) []byte {
	text, err := json.Marshal(word)
	if err != nil || word == "" || strings.IndexFunc(word, func(r rune) bool { return r >= 0x80 }) >= 0 {
		return nil
	}
	return lower(text[1 : len(text)-1])
}

// lower writes ASCII letters in lower case, in place.
func lower(text []byte) []byte {
	for i, c := range text {
		if 'A' <= c && c <= 'Z' {
			text[i] = c + 'a' - 'A'
		}
	}
	return text
}

func (g *storedGroup) search(s *Search, word []byte) (items []Item, err error) {
	texts, err := unpackGroup(g.sealed)
	if err != nil {
		return nil, err
	}
	var folded []byte
	for i, text := range texts {
		at := g.first + uint64(i)
		if at < s.From || s.To != 0 && at > s.To {
			continue
		}
		if c := g.completed[at]; c != nil {
			text = c
		}
		if word != nil {
			folded = lower(append(folded[:0], text...))
			if !bytes.Contains(folded, word) {
				continue
			}
		}
		r, err := parseRecord(text)
		if err != nil {
			return nil, fmt.Errorf("%w: a record is not JSON: %w", ErrDamaged, err)
		}
		if s.Wanted == nil || s.Wanted(&r.Event) {
			items = append(items, Item{Seq: at, Event: r.Event})
		}
	}
	return items, nil
}

// firstPending gives the number of the first event that some output has to decide about.
func firstPending(tx *bbolt.Tx) uint64 {
	lowest := ^uint64(0)
	if err := tx.Bucket(bucketOutputs).ForEach(func(k, v []byte) error {
		p, err := decodePosition(k, v)
		lowest = min(lowest, p.accepted+1)
		return err
	}); err != nil {
		return 1
	}
	return lowest
}

// againByEvent gives what is queued once more, by output and the number in the group; by its own where it has none, or if
// it is to count for itself.
func againByEvent(tx *bbolt.Tx, itself bool) (map[string]map[uint64]Item, error) {
	all := map[string]map[uint64]Item{}
	parent := tx.Bucket(bucketAgain)
	groups := tx.Bucket(bucketGroups)
	return all, parent.ForEachBucket(func(name []byte) error {
		items := map[uint64]Item{}
		all[string(name)] = items
		return parent.Bucket(name).ForEach(func(k, v []byte) error {
			r, err := decodeRecord(k, v)
			if err != nil {
				return err
			}
			item := Item{Seq: numbered(k), Event: r.Event, again: true, of: r.Of}
			if itself || r.Of == 0 || nextEvent(groups.Cursor(), r.Of) != r.Of {
				item.of = item.Seq
			}
			items[item.of] = item
			return nil
		})
	})
}

// fatesOf looks up what became of items.
func (q *Queue) fatesOf(items []Item, again map[string]map[uint64]Item) (past []Past, err error) {
	if len(items) == 0 {
		return nil, nil
	}
	err = q.view(func(tx *bbolt.Tx) error {
		for i := range items {
			one := Past{Seq: items[i].Seq, Event: items[i].Event}
			if err := tx.Bucket(bucketOutputs).ForEach(func(name, v []byte) error {
				p, err := decodePosition(name, v)
				one.Fates = append(one.Fates, fatesAt(tx, string(name), p, one.Seq)...)
				return err
			}); err != nil {
				return err
			}
			for output, queued := range again {
				if item, ok := queued[one.Seq]; ok {
					one.Fates = append(one.Fates, Fate{Output: output, Outcome: Pending, Again: item.Seq})
				}
			}
			past = append(past, one)
		}
		return nil
	})
	return past, err
}

// fatesAt gives what became of event seq at an output that stands at p.
func fatesAt(tx *bbolt.Tx, output string, p position, seq uint64) (fates []Fate) {
	if b := tx.Bucket(bucketOutcomes).Bucket([]byte(output)); b != nil {
		c := b.Cursor()
		add := func(k, v []byte, again uint64) {
			if s, err := decodeStretch(k, v); err == nil && (again != 0 || numbered(k)+s.n > seq) {
				fates = append(fates, Fate{output, s.outcome, s.at, s.answer, again})
			}
		}
		if k, v := seekStretch(c, seq); len(k) == 8 && numbered(k) <= seq {
			add(k, v, 0)
		}
		for k, v := c.Seek(append(number(seq), 0)); len(k) == 16 && numbered(k[:8]) == seq; k, v = c.Next() {
			add(k, v, numbered(k[8:]))
		}
	}
	if len(fates) == 0 && seq > p.accepted {
		fates = append(fates, Fate{Output: output, Outcome: Pending})
	}
	return fates
}

// searchAgain gives what is queued once more and whose event is in no group any longer.
func (q *Queue) searchAgain(s *Search, again map[string]map[uint64]Item, each func(Past) error) error {
	for output, queued := range again {
		for of, item := range queued {
			if of != item.Seq || !s.Pending && of < s.From || s.To != 0 && of > s.To || s.Wanted != nil && !s.Wanted(&item.Event) {
				continue
			}
			if err := each(Past{item.Seq, item.Event, []Fate{{Output: output, Outcome: Pending, Again: item.Seq}}}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Discard has output send no more what waits for it: events by their number, or the number of what is queued once more. It
// tells how many; what does not wait is passed over.
func (q *Queue) Discard(output string, seqs []uint64) (total int, err error) {
	for part := range slices.Chunk(slices.Sorted(slices.Values(seqs)), 10*slice) {
		n := 0
		if err := q.write(context.Background(), 64*len(part), func(t *txn) (err error) {
			n, err = t.discard(output, part)
			return err
		}); err != nil {
			return total, err
		}
		q.edits.Add(1)
		total += n
	}
	return total, nil
}

// Edits grows whenever events are taken away that Next may have given before: whoever reads ahead begins again.
func (q *Queue) Edits() uint64 { return q.edits.Load() }

func (t *txn) discard(output string, seqs []uint64) (n int, err error) {
	p, err := positionOf(t.Tx, output)
	if err != nil {
		return 0, err
	}
	again := t.Bucket(bucketAgain).Bucket([]byte(output))
	c := t.Bucket(bucketGroups).Cursor()
	decided := decidedFrom(t.Tx, output, p.accepted+1)
	for _, seq := range seqs {
		switch {
		case again != nil && again.Get(number(seq)) != nil:
			r, err := decodeRecord(number(seq), again.Get(number(seq)))
			if err != nil {
				return 0, err
			}
			if err := again.Delete(number(seq)); err != nil {
				return 0, err
			}
			t.noteOutcome(output, r.Of, Settled{Seq: seq, Outcome: Discarded})
		case seq > p.accepted && nextEvent(c, seq) == seq && !decided.has(seq):
			t.noteOutcome(output, seq, Settled{Seq: seq, Outcome: Discarded})
		default:
			continue
		}
		n++
	}
	t.count(outputCounter(output, CountDiscarded), uint64(n))
	return n, nil
}

// countUndecided counts the events from seq on that output has to decide about.
func countUndecided(tx *bbolt.Tx, output string, seq uint64) uint64 {
	groups := tx.Bucket(bucketGroups)
	n := countEvents(groups, seq)
	for _, s := range decidedFrom(tx, output, seq) {
		n -= countEvents(groups, s.first) - countEvents(groups, s.last+1)
	}
	return n
}
