package queue

import (
	"context"
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

// txn is a write transaction with what its parts share.
type txn struct {
	*bbolt.Tx
	q      *Queue
	now    time.Time // by the machine's clock
	own    time.Time // by the queue's
	counts Counters
	queued uint64       // events stored, for every output
	fresh  []freshEvent // these events
	sent   [][8]byte    // ledger entries
	stats  []byte       // rows of statistics, encoded
	told   []told       // what became of events
	index  index

	watched watched
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

// finish writes what the parts left to be written once.
func (t *txn) finish() error {
	if err := t.storeGroups(); err != nil {
		return err
	}
	if err := t.storeTold(); err != nil {
		return err
	}
	if err := t.storeIndex(); err != nil {
		return err
	}
	if err := t.storeLedger(); err != nil {
		return err
	}
	if err := t.storeStats(); err != nil {
		return err
	}
	if err := t.storeScopes(); err != nil {
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
	var told []byte
	began := time.Now()
	var excesses []Excess
	err := q.guarded(func() error {
		err := q.db.Update(func(tx *bbolt.Tx) error {
			t := q.begun(tx)
			saved = t.own
			if err := fn(t); err != nil {
				return err
			}
			applied, told, excesses = true, t.stats, t.watched.begun
			return t.finish()
		})
		q.tight = q.tight || IsFull(err)
		if err != nil && applied {
			return q.explain(err)
		}
		return err
	})
	if err == nil {
		q.tellRows(told)
	}
	if err == nil && q.o.Committed != nil {
		q.o.Committed(time.Since(began))
	}
	if err == nil && q.clock.due(saved) {
		q.clock.stored = saved
	}
	for i := range excesses {
		if err == nil {
			q.o.Guard.Warn(excesses[i])
		}
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
	is := func(e syscall.Errno) bool { return says(err, e) }
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

// says says whether err is the kernel's e, which bbolt may have made words of.
func says(err error, e syscall.Errno) bool {
	return err != nil && (errors.Is(err, e) || strings.Contains(err.Error(), e.Error()))
}
