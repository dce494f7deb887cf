package queue

import (
	"context"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"bouncefeed/internal/event"
)

// Item is an event on its way to one output. Seq names it in Accept and Settle.
type Item struct {
	Seq     uint64
	Event   event.Event
	Outcome Outcome // what Accept said of it, of those that Accepted gives

	again bool
	of    uint64 // of one that is there again: the number that it has in its group; 0: none
}

// Again says whether it was queued for this output alone: a dead letter, say, that somebody wants sent once more.
func (i *Item) Again() bool { return i.again }

// Outcome is what became of an Item; also the word under which it is counted.
type Outcome string

// The ends of an Item. Anything else is "later": it is simply not settled.
const (
	Sent    Outcome = "sent"
	NotSent Outcome = "not_sent"                // the output's `send:` filter
	Unfit   Outcome = "no_address_for_receiver" // it names nobody whom the receiver could find
	Unknown Outcome = "unknown"                 // the receiver says that it knows no such contact
	Dead    Outcome = "dead"                    // the receiver will never take it: kept as a dead letter

	Discarded Outcome = "discarded" // somebody dropped it before it was sent (Discard): nothing that Settle takes
)

// Settled says what became of an Item.
type Settled struct {
	Seq     uint64
	Outcome Outcome
	Answer  string // the receiver's, for Dead
}

// Mark is how far somebody has read ahead for an output; the zero Mark is where the output stands.
type Mark struct{ again, seq uint64 }

// Next gives up to max events that output's receiver has not answered for, oldest first, those retried before all others;
// the same ones again until they are settled. It blocks until there is one, or ctx ends.
func (q *Queue) Next(ctx context.Context, output string, max int) ([]Item, error) {
	items, _, err := q.next(ctx, output, Mark{}, max, func() bool { return false })
	return items, err
}

// NextAfter is Next for who has not yet settled what it was given before: it gives what comes behind after, and the mark
// behind that. While the output is paused there is none.
func (q *Queue) NextAfter(ctx context.Context, output string, after Mark, max int) ([]Item, Mark, error) {
	return q.next(ctx, output, after, max, func() bool { return q.isPaused(output) })
}

func (q *Queue) next(ctx context.Context, output string, after Mark, max int, paused func() bool) ([]Item, Mark, error) {
	for {
		changed := q.waker()
		var items []Item
		var err error
		if !paused() {
			items, err = q.pending(output, after, max)
		}
		if err != nil || len(items) > 0 {
			for _, i := range items {
				if i.again {
					after.again = i.Seq
				} else {
					after.seq = i.Seq
				}
			}
			return items, after, err
		}
		select {
		case <-ctx.Done():
			return nil, after, ctx.Err()
		case <-changed:
		}
	}
}

func (q *Queue) pending(output string, after Mark, most int) (items []Item, err error) {
	var groups []storedGroup
	var decided spans
	from := uint64(0)
	if err := q.view(func(tx *bbolt.Tx) error {
		p, err := positionOf(tx, output)
		if err != nil {
			return err
		}
		if again := tx.Bucket(bucketAgain).Bucket([]byte(output)); again != nil {
			c := again.Cursor()
			for k, v := c.Seek(number(after.again + 1)); k != nil && len(items) < most; k, v = c.Next() {
				r, err := decodeRecord(k, v)
				if err != nil {
					return err
				}
				items = append(items, Item{Seq: numbered(k), Event: r.Event, again: true, of: r.Of})
			}
		}
		if from = undecided(tx, output, max(p.accepted, after.seq)+1); from == 0 {
			return nil
		}
		if groups, err = groupsFrom(tx, from, most-len(items)); err != nil {
			return err
		}
		decided = decidedFrom(tx, output, from)
		return nil
	}); err != nil {
		return nil, err
	}
	ahead, err := q.unpack(groups, from, most-len(items))
	return append(items, slices.DeleteFunc(ahead, func(i Item) bool { return decided.has(i.Seq) })...), err
}

// unpack takes groups apart, without the lock: max events from seq on.
func (q *Queue) unpack(groups []storedGroup, seq uint64, max int) (items []Item, err error) {
	for i := range groups {
		part, err := groups[i].records(seq, max-len(items))
		if err != nil {
			return nil, q.damaged(err)
		}
		items = append(items, part...)
	}
	return items, nil
}

// Accept notes what output's receiver has answered for: s are the first items that Next gave, in its order. Delivery goes
// on behind them, after a restart too; they stay, for Accepted to give, until Confirm says that the receiver has them
// stored. What was not sent, and what is retried, needs no confirming.
func (q *Queue) Accept(output string, s []Settled) error { return q.settle(output, s, false) }

// Settle is Accept for an output whose answer is trusted: what it has answered for is done with. An event that every
// output is done with is deleted.
func (q *Queue) Settle(output string, s []Settled) error { return q.settle(output, s, true) }

func (q *Queue) settle(output string, s []Settled, confirmed bool) error {
	if len(s) == 0 {
		return nil
	}
	return q.write(context.Background(), 64*len(s), func(t *txn) error {
		p, err := positionOf(t.Tx, output)
		if err != nil {
			return fmt.Errorf("settle events of output %q: %w", output, err)
		}
		for _, one := range s {
			if err := t.accept(output, &p, one, confirmed); err != nil {
				return fmt.Errorf("settle event %d of output %q: %w", one.Seq, output, err)
			}
		}
		if confirmed {
			return t.confirm(output, p, p.accepted)
		}
		return t.setPosition(output, p)
	})
}

// accept moves p past one item.
func (t *txn) accept(output string, p *position, s Settled, confirmed bool) error {
	again := t.Bucket(bucketAgain).Bucket([]byte(output))
	retried := again != nil && again.Get(number(s.Seq)) != nil
	if !retried {
		next := undecided(t.Tx, output, p.accepted+1)
		if s.Seq <= p.accepted || s.Seq > t.Bucket(bucketGroups).Sequence() || next != 0 && next < s.Seq {
			return fmt.Errorf("out of order: %d is next", next)
		}
		p.accepted = s.Seq
		if next != s.Seq { // it was discarded or erased while it was being sent
			return nil
		}
	}
	of := s.Seq
	if retried {
		r, err := decodeRecord(number(s.Seq), again.Get(number(s.Seq)))
		if err != nil {
			return err
		}
		of = r.Of
	}
	t.noteOutcome(output, of, s)
	t.count(outputCounter(output, Word(s.Outcome)), 1)
	switch s.Outcome {
	case Sent:
	case NotSent, Unfit, Unknown, Dead:
		if !retried && !confirmed {
			if err := t.exempt(output, s); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("no such outcome: %q", s.Outcome)
	}
	if s.Outcome == Dead {
		if err := t.setDead(output, s.Seq, retried, s.Answer); err != nil {
			return err
		}
	}
	if retried {
		return again.Delete(number(s.Seq))
	}
	return nil
}

// exempt notes that an item was accepted and not sent.
func (t *txn) exempt(output string, s Settled) error {
	b, err := t.Bucket(bucketAccepted).CreateBucketIfNotExists([]byte(output))
	if err != nil {
		return err
	}
	return putSealed(b, number(s.Seq), []byte(s.Outcome))
}

// Accepted gives up to max of the events that output's receiver has answered for and that are not confirmed, behind
// after, oldest first, with what Accept said of each.
func (q *Queue) Accepted(output string, after uint64, most int) (items []Item, err error) {
	var groups []storedGroup
	var from, to uint64
	var discarded spans
	outcomes := map[uint64]Outcome{}
	if err := q.view(func(tx *bbolt.Tx) error {
		p, err := positionOf(tx, output)
		if err != nil {
			return err
		}
		from, to = max(p.settled, after)+1, p.accepted
		if from > to {
			return nil
		}
		if b := tx.Bucket(bucketAccepted).Bucket([]byte(output)); b != nil {
			c := b.Cursor()
			for k, v := c.Seek(number(from)); k != nil && len(outcomes) < most; k, v = c.Next() {
				word, err := unseal(k, v)
				if err != nil {
					return err
				}
				outcomes[numbered(k)] = Outcome(word)
			}
		}
		if groups, err = groupsFrom(tx, from, most); err != nil || len(groups) == 0 {
			return err
		}
		last := groups[len(groups)-1]
		discarded = stretchesOf(tx, output, from, last.first+groupCount(last.sealed), Discarded)
		return nil
	}); err != nil {
		return nil, err
	}
	items, err = q.unpack(groups, from, most)
	for i := range items {
		if items[i].Seq > to {
			return items[:i], err
		}
		switch seq := items[i].Seq; {
		case discarded.has(seq):
			items[i].Outcome = Discarded
		case outcomes[seq] != "":
			items[i].Outcome = outcomes[seq]
		default:
			items[i].Outcome = Sent
		}
	}
	return items, err
}

// Confirm notes that what output's receiver has answered for is stored there, up to event upTo, and adds counts to the
// output's counters. An event that every output is done with is deleted.
func (q *Queue) Confirm(output string, upTo uint64, counts map[Word]uint64) error {
	return q.write(context.Background(), 1024, func(t *txn) error {
		p, err := positionOf(t.Tx, output)
		if err == nil && upTo > p.accepted {
			err = fmt.Errorf("the receiver has answered for no more than %d", p.accepted)
		}
		if err != nil {
			return fmt.Errorf("confirm up to event %d of output %q: %w", upTo, output, err)
		}
		for word, n := range counts {
			t.count(outputCounter(output, word), n)
		}
		return t.confirm(output, p, max(upTo, p.settled))
	})
}

func (t *txn) confirm(output string, p position, upTo uint64) error {
	p.settled = upTo
	if err := t.setPosition(output, p); err != nil {
		return err
	}
	if b := t.Bucket(bucketAccepted).Bucket([]byte(output)); b != nil {
		var keys [][]byte
		c := b.Cursor()
		for k, _ := c.First(); k != nil && numbered(k) <= upTo; k, _ = c.Next() {
			keys = append(keys, slices.Clone(k))
		}
		for _, k := range keys {
			if err := b.Delete(k); err != nil {
				return err
			}
		}
	}
	return t.notePassed()
}

// SendAgain queues events that output's receiver has answered for and not stored, for this output only, as new items. It
// tells how many: those that are no longer there are passed over. They are counted as "resent".
func (q *Queue) SendAgain(output string, seqs []uint64) (n int, err error) {
	err = q.write(context.Background(), 1024*len(seqs), func(t *txn) error {
		n = 0
		for _, seq := range seqs {
			r, err := t.record(seq)
			if err != nil {
				return err
			}
			if r == nil {
				continue
			}
			r.Of = seq
			if err := t.retry(output, r); err != nil {
				return err
			}
			t.count(outputCounter(output, CountResent), 1)
			n++
		}
		return nil
	})
	return n, err
}

// retry queues an event for one output only.
func (t *txn) retry(output string, r *record) error {
	again, err := t.Bucket(bucketAgain).CreateBucketIfNotExists([]byte(output))
	if err != nil {
		return err
	}
	seq, err := t.Bucket(bucketGroups).NextSequence()
	if err != nil {
		return err
	}
	return putRecord(again, seq, r)
}
