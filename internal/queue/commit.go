package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/bbolt"

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
}

// Commit stores b in one transaction, shared with concurrent callers: nil only after fsync. Repeats are dropped, and
// their other keys remembered, so that the next one to tell is known by any of them. It counts what is queued, held and
// ignored as a repeat itself.
//
// It blocks while the queue is full, until ctx ends. An error: none of b is stored.
func (q *Queue) Commit(ctx context.Context, b Batch) (Result, error) {
	p, err := prepare(&b, q.o.Now())
	if err != nil {
		return Result{}, err
	}
	if err := q.awaitRoom(ctx); err != nil {
		return Result{}, err
	}
	if err := q.write(ctx, p.size, p.apply); err != nil {
		return Result{}, err
	}
	return Result{Repeat: p.repeat}, nil
}

// prepared is a Batch with its work done that needs no transaction.
type prepared struct {
	*Batch
	events     []item
	held       []item
	checkpoint []byte
	size       int // about how many bytes it stores
	repeat     []bool
}

type item struct {
	event  *event.Event
	keys   []event.Key
	claims []event.Key
	until  time.Time // of a held event that waits
	record []byte    // encoded
}

func newItem(e *event.Event, record []byte) item {
	return item{event: e, keys: e.Keys(), claims: e.Claims(), record: record}
}

func prepare(b *Batch, now time.Time) (*prepared, error) {
	p := &prepared{Batch: b, size: 8*len(b.Sent) + 64*len(b.State), repeat: make([]bool, len(b.Events))}
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
	}
	for i := range b.Held {
		h := &b.Held[i]
		if err := add(&p.held, h.Event, now, h.Until, h.Why); err != nil {
			return nil, err
		}
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
	for i := range p.Copies {
		if err := t.settleCopy(&p.Copies[i]); err != nil {
			return err
		}
	}
	for i := range p.events {
		seen, err := t.queueNew(p.Input, &p.events[i])
		if err != nil {
			return err
		}
		p.repeat[i] = seen
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
	for figure, n := range p.Counts {
		t.count(Counter{InputSide, p.Input, figure}, n)
	}
	return nil
}

// txn is a write transaction with what its parts share.
type txn struct {
	*bbolt.Tx
	q      *Queue
	now    time.Time // by the machine's clock
	own    time.Time // by the queue's
	counts Counters
	queued uint64     // events stored, for every output
	sent   [][8]byte  // ledger entries
	index  generation // of identity keys
}

func (t *txn) count(c Counter, n uint64) { t.counts[c] += n }

// countRepeat counts an event of input that was told before.
func (t *txn) countRepeat(input string, of uint64) {
	why := WhyRepeat
	if of == settledReference {
		why = string(event.CopyFailed)
	}
	t.count(Counter{InputSide, input, IgnoredAs(why)}, 1)
}

// store queues an encoded record for every output.
func (t *txn) store(record []byte) (seq uint64, err error) {
	events := t.Bucket(bucketEvents)
	events.FillPercent = 0.95 // appended to in order
	if seq, err = events.NextSequence(); err != nil {
		return 0, err
	}
	t.queued++
	return seq, putSealed(events, number(seq), record)
}

func (t *txn) queueNew(input string, e *item) (repeat bool, err error) {
	of, held, _, err := t.seen(e)
	if of != 0 || err != nil {
		t.countRepeat(input, of)
		return true, err
	}
	record, err := t.supersede(held, e)
	if err != nil {
		return false, err
	}
	seq, err := t.store(record)
	if err != nil {
		return false, err
	}
	t.count(inputCounter(input, CountQueued), 1)
	return false, t.refer(e.keys, seq)
}

// finish writes what the parts left to be written once.
func (t *txn) finish() error {
	if err := t.appendLedger(); err != nil {
		return err
	}
	if err := t.saveClock(); err != nil {
		return err
	}
	for _, o := range t.q.outputs {
		t.count(outputCounter(o, CountQueued), t.queued)
	}
	return t.addCounters()
}

func (t *txn) addCounters() error {
	stored := t.Bucket(bucketCounters)
	keys := make(map[string]uint64, len(t.counts))
	for c, n := range t.counts {
		keys[c.String()] = n
	}
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		n, key := keys[name], []byte(name)
		if n == 0 {
			continue
		}
		if v := stored.Get(key); v != nil {
			before, err := unsealNumber(key, v)
			if err != nil {
				return err
			}
			n += before
		}
		if err := putSealed(stored, key, number(n)); err != nil {
			return fmt.Errorf("store counter %q: %w", name, err)
		}
	}
	return nil
}

// An op is one caller's part of a transaction.
type op struct {
	apply func(*txn) error
	size  int
	err   error
	done  chan struct{}
}

// groupSize is about how many bytes one transaction takes together, so that its memory stays bounded.
const groupSize = 4 << 20

// write has apply run in a transaction and returns when that is on disk. Whoever gets the lock first writes for all
// who wait; the others find their part done. A ctx that ends takes back what no transaction has begun with.
func (q *Queue) write(ctx context.Context, size int, apply func(*txn) error) error {
	o := &op{apply: apply, size: size, done: make(chan struct{})}
	q.mu.Lock()
	q.waiting = append(q.waiting, o)
	q.mu.Unlock()
	select {
	case <-o.done:
		return o.err
	case <-ctx.Done():
		if q.withdraw(o) {
			return ctx.Err()
		}
		<-o.done
		return o.err
	case q.lock <- struct{}{}:
	}
	defer func() { <-q.lock }()
	for {
		select {
		case <-o.done:
			return o.err
		default:
			q.writeGroup(q.takeGroup())
		}
	}
}

func (q *Queue) withdraw(o *op) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, o)
	if i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
	return i >= 0
}

func (q *Queue) takeGroup() []*op {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, size := 0, 0
	for n < len(q.waiting) && size < groupSize {
		size += q.waiting[n].size
		n++
	}
	group := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	return group
}

// writeGroup runs ops in one transaction. One that cannot be applied is told so and the others are done without it.
func (q *Queue) writeGroup(ops []*op) {
	for len(ops) > 0 {
		bad := -1
		err := q.update(func(t *txn) error {
			for i, o := range ops {
				if err := o.apply(t); err != nil {
					bad = i
					return err
				}
			}
			return nil
		})
		if bad >= 0 && !errors.Is(err, ErrDamaged) {
			ops[bad].err = err
			close(ops[bad].done)
			ops = slices.Delete(ops, bad, bad+1)
			continue
		}
		for _, o := range ops {
			q.touched += o.size
			o.err = err
			close(o.done)
		}
		return
	}
}

// begun is a transaction that begins now.
func (q *Queue) begun(tx *bbolt.Tx) *txn {
	return &txn{Tx: tx, q: q, now: q.o.Now(), own: q.ownTime(), counts: Counters{}}
}

// update runs fn in one write transaction, by the holder of the lock.
func (q *Queue) update(fn func(*txn) error) error {
	var applied bool
	var saved time.Time
	err := q.guarded(func() error {
		err := q.db.Update(func(tx *bbolt.Tx) error {
			t := q.begun(tx)
			saved = t.own
			if err := fn(t); err != nil {
				return err
			}
			applied = true
			return t.finish()
		})
		if err != nil && applied {
			return q.explain(err)
		}
		return err
	})
	if err == nil && q.clock.due(saved) {
		q.clock.stored = saved
	}
	if err == nil {
		q.touched += 64 << 10 // the kernel maps 16 pages where one is read
		err = q.guarded(q.measure)
	}
	return err
}

// explain says of a transaction that the disk did not take what to do about it. After EIO the kernel may have dropped
// what it could not write, so that the file in memory is no longer what is on disk: that counts as damage.
func (q *Queue) explain(err error) error {
	remedy := "see the system log for what the disk says"
	is := func(e syscall.Errno) bool { return errors.Is(err, e) || strings.Contains(err.Error(), e.Error()) }
	switch {
	case is(syscall.EIO):
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case is(syscall.ENOSPC):
		remedy = "free some space on its file system"
	case is(syscall.EDQUOT):
		remedy = "the disk quota is used up: raise it or free some space"
	case is(syscall.EROFS):
		remedy = "its file system is read-only: remount it, and look in the system log for why"
	case is(syscall.EFBIG):
		remedy = "the file may not grow that large: raise LimitFSIZE"
	}
	return fmt.Errorf("write queue %s: %w; %s (sources wait, nothing is lost)", q.path, err, remedy)
}
