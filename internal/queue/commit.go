package queue

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"bouncefeed/internal/event"
)

// Batch is what one call of a source's Commit stores: all of it or nothing.
type Batch struct {
	Input      string
	Events     []event.Event     // ID set by the caller; identity is Event.Keys
	Held       []Held            // not sent until released; found as repeats like any other
	Copies     []event.Event     // failures of recipients who have the message: reports of them are no bounces (Event.CopyKeys)
	Refused    []Refused         // kept aside
	State      map[string][]byte // the parser's changes; nil value = forget
	Checkpoint map[string]string // nil: leave as is
	Sent       [][8]byte         // ledger entries (event.Sent)
	Counts     map[Figure]uint64 // increments of the input's counters
	Valid      func() error      // asked in the transaction; an error: none of it is stored, and Commit gives it; nil: it is
	Counted    event.Counted     `json:"-"` // beside what Options.Counted says of Events: of what this process has read itself
	Mails      []Mail            // that did not fail, for the guard
	Log        bool              // a mail server's log tells it, and so when it happened and with whom that spoke
}

// Held is an event that somebody has to look at before it is sent.
type Held struct {
	Event event.Event
	Why   string
	Until time.Time // it waits for a log to tell the same, so long at least (see ReleaseWaiting); zero: for somebody's decision
}

// Refused is a record that was not believed.
type Refused struct {
	Time   time.Time `json:"time"`
	Why    string    `json:"why"`              // the word it is counted under
	Detail string    `json:"detail,omitempty"` // for a human
	Body   []byte    `json:"body"`             // its first 4 KiB
}

// Result says what became of a Batch.
type Result struct {
	Repeat []bool // parallel to Events: dropped, one of its keys was seen before
	Held   []bool // parallel to Events: the guard holds it
}

// Commit stores b in one transaction, shared with concurrent callers: nil only after fsync. Repeats are dropped, and
// their other keys remembered, so that the next one to tell is known by any of them. It counts what is queued, held and
// ignored as a repeat itself.
//
// It blocks while the queue is full, until ctx ends. An error: none of b is done with, and its source tells it again.
func (q *Queue) Commit(ctx context.Context, b Batch) (Result, error) {
	r, err := q.commitWhole(ctx, b)
	if IsFull(err) {
		if part, rest, ok := b.split(); ok {
			return q.commitInParts(ctx, part, rest)
		}
	}
	return r, err
}

func (q *Queue) commitWhole(ctx context.Context, b Batch) (Result, error) {
	p, err := prepare(&b, q.o.Now(), q.o.Guard)
	if err != nil {
		return Result{}, err
	}
	if err := q.awaitRoom(ctx); err != nil {
		return Result{}, err
	}
	if err := q.write(ctx, p.size, p.apply); err != nil {
		return Result{}, err
	}
	return Result{p.repeat, p.excess}, nil
}

// prepared is a Batch with its work done that needs no transaction.
type prepared struct {
	*Batch
	events     []item
	held       []item
	checkpoint []byte
	packs      []*pack // of events, if they are many
	size       int     // about how many bytes it stores
	repeat     []bool
	excess     []bool
	shared     [][]string // of Mails: their scopes
}

// packFrom is how many events a batch has that are compressed beforehand: fewer share a group with other callers'.
const packFrom = 16

type item struct {
	event  *event.Event
	keys   []event.Key
	claims []event.Key
	until  time.Time // of a held event that waits
	record []byte    // encoded
	shared []string  // scopes in which the guard judges it
}

func newItem(e *event.Event, record []byte) item {
	return item{event: e, keys: e.Keys(), claims: e.Claims(), record: record}
}

func prepare(b *Batch, now time.Time, g *Guard) (*prepared, error) {
	p := &prepared{Batch: b, size: 8*len(b.Sent) + 64*len(b.State), repeat: make([]bool, len(b.Events)), excess: make([]bool, len(b.Events))}
	if g != nil {
		for i := range b.Mails {
			p.shared = append(p.shared, g.shared(b.Mails[i].Domain, b.Mails[i].Relay))
		}
	}
	add := func(to *[]item, e event.Event, since, until time.Time, why string) error {
		if e.Input == "" {
			e.Input = b.Input
		}
		record, err := encodeWaiting(&e, since, until, why)
		if err != nil {
			return err
		}
		one := newItem(&e, record)
		one.until = until
		*to = append(*to, one)
		p.size += len(record) + 52*(len(one.keys)+len(one.claims))
		return nil
	}
	for i := range b.Events {
		if err := add(&p.events, b.Events[i], time.Time{}, time.Time{}, ""); err != nil {
			return nil, err
		}
		p.events[i].shared = g.watchedBy(&b.Events[i], b.Log, now)
	}
	for i := range b.Held {
		h := &b.Held[i]
		if err := add(&p.held, h.Event, now, h.Until, h.Why); err != nil {
			return nil, err
		}
	}
	if len(p.events) >= packFrom {
		records := make([][]byte, len(p.events))
		for i := range p.events {
			records[i] = p.events[i].record
		}
		p.packs = packAll(records)
	}
	if b.Checkpoint != nil {
		var err error
		if p.checkpoint, err = json.Marshal(b.Checkpoint); err != nil {
			return nil, fmt.Errorf("encode checkpoint of %s: %w", b.Input, err)
		}
	}
	return p, nil
}

// apply may run more than once: a transaction that another caller's part spoils is done again without it.
func (p *prepared) apply(t *txn) error {
	if p.Valid != nil {
		if err := p.Valid(); err != nil {
			return err
		}
	}
	for i := range p.Copies {
		if err := t.settleCopy(&p.Copies[i]); err != nil {
			return err
		}
	}
	if err := t.expect(p); err != nil {
		return err
	}
	packs, at := p.packs, 0
	for i := range p.events {
		var in *pack
		if len(packs) > 0 {
			in = packs[0]
		}
		var err error
		if p.repeat[i], p.excess[i], err = t.queueNew(p.Input, &p.events[i], in, at); err != nil {
			return err
		}
		if at++; in != nil && at == in.n {
			packs, at = packs[1:], 0
		}
	}
	if err := t.flowRest(); err != nil {
		return err
	}
	for i := range p.held {
		if err := t.holdNew(p.Input, &p.held[i]); err != nil {
			return err
		}
	}
	if err := t.refuse(p.Input, p.Refused); err != nil {
		return err
	}
	if err := t.changeState(p.Input, p.State); err != nil {
		return err
	}
	if p.checkpoint != nil {
		if err := putSealed(t.Bucket(bucketCheckpoints), []byte(p.Input), p.checkpoint); err != nil {
			return fmt.Errorf("store checkpoint of input %q: %w", p.Input, err)
		}
	}
	t.sent = append(t.sent, p.Sent...)
	if err := t.tellAll(&p.Counted); err != nil {
		return err
	}
	for figure, n := range p.Counts {
		t.count(Counter{InputSide, p.Input, figure}, n)
	}
	return nil
}

func (t *txn) queueNew(input string, e *item, in *pack, at int) (repeat, excess bool, err error) {
	of, held, _, err := t.seen(e)
	if of != 0 || err != nil {
		t.countRepeat(input, of)
		if err == nil {
			err = t.complete(of, e.event)
		}
		return true, false, err
	}
	record, err := t.supersede(held, e)
	if err != nil {
		return false, false, err
	}
	if why, err := t.judge(e.event, e.shared); err != nil {
		return false, false, err
	} else if why != "" && e.event.Type == event.Hard {
		t.count(inputCounter(input, CountHeld), 1)
		return false, true, t.holdExcess(e.event, e.keys, e.shared, why)
	}
	if len(held) > 0 { // it may have become another than the one that was compressed
		in = nil
	}
	seq, err := t.storePacked(record, in, at)
	if err != nil {
		return false, false, err
	}
	t.count(inputCounter(input, CountQueued), 1)
	if err := t.tell(e.event); err != nil {
		return false, false, err
	}
	return false, false, t.refer(e.keys, seq)
}

// complete gives an event that still waits to be sent, by some output, what a repeat knows besides.
func (t *txn) complete(seq uint64, repeat *event.Event) error {
	if seq&referenceMarks != 0 || repeat.SubscriberUUID == "" || repeat.Evidence == "" {
		return nil
	}
	waits := false
	if err := t.Bucket(bucketOutputs).ForEach(func(k, v []byte) error {
		p, err := decodePosition(k, v)
		waits = waits || p.accepted < seq
		return err
	}); err != nil || !waits {
		return err
	}
	r, err := t.record(seq)
	if err != nil || r == nil || !r.Event.Complete(repeat) {
		return err
	}
	return putRecord(t.Bucket(bucketCompleted), seq, r)
}
