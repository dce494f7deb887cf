package queue

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"bouncefeed/internal/event"
)

// DeadLetter is an event that an output's receiver will never take. Nothing but RetryDead, DropDead and maxDead newer ones
// remove it.
type DeadLetter struct {
	Seq    uint64      `json:"seq"` // unique among all dead letters
	Output string      `json:"output"`
	Time   time.Time   `json:"time"` // of the answer
	Answer string      `json:"answer"`
	Event  event.Event `json:"event"`
}

// setDead keeps event seq as a dead letter; retried: it is one of those queued for this output only.
func (t *txn) setDead(output string, seq uint64, retried bool, answer string) (err error) {
	var r *record
	if retried {
		again := t.Bucket(bucketAgain).Bucket([]byte(output))
		r, err = decodeRecord(number(seq), again.Get(number(seq)))
	} else {
		r, err = t.record(seq)
	}
	if err != nil {
		return err
	}
	if !retried {
		r.Of = seq
	}
	b, err := (&record{Event: r.Event, Since: t.now, Why: answer, Of: r.Of}).encode()
	if err != nil {
		return err
	}
	all := t.Bucket(bucketDead)
	letters, err := all.CreateBucketIfNotExists([]byte(output))
	if err != nil {
		return err
	}
	letter, err := all.NextSequence()
	if err != nil {
		return err
	}
	if err := putSealed(letters, number(letter), b); err != nil {
		return err
	}
	return t.boundDead(output, letters)
}

// maxDead is how many dead letters of an output are kept: the newest. Those of one transaction may be more.
var maxDead uint64 = 10_000

// boundDead pushes out the oldest dead letter of an output that has too many.
func (t *txn) boundDead(output string, letters *bbolt.Bucket) error {
	counted, err := counters(t.Tx)
	if err != nil || counted.dead(output) < maxDead {
		return err
	}
	oldest, _ := letters.Cursor().First()
	t.count(outputCounter(output, CountPushedOut), 1)
	return letters.Delete(oldest)
}

// EditDead changes the event of a dead letter. false: there is no such letter.
func (q *Queue) EditDead(output string, seq uint64, edit func(*event.Event) error) (found bool, err error) {
	err = q.write(context.Background(), 4096, func(t *txn) error {
		letters := t.Bucket(bucketDead).Bucket([]byte(output))
		if found = letters != nil && letters.Get(number(seq)) != nil; !found {
			return nil
		}
		r, err := decodeRecord(number(seq), letters.Get(number(seq)))
		if err != nil {
			return err
		}
		if err := edit(&r.Event); err != nil {
			return err
		}
		b, err := r.encode()
		if err != nil {
			return err
		}
		return putSealed(letters, number(seq), b)
	})
	return found, err
}

// Outputs are the names of those that are configured.
func (q *Queue) Outputs() []string { return slices.Clone(q.outputs) }

// Dead lists the dead letters of output, "" for all outputs, oldest first in each.
func (q *Queue) Dead(output string) ([]DeadLetter, error) {
	var names []string
	if err := q.view(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketDead).ForEachBucket(func(name []byte) error {
			if output == "" || output == string(name) {
				names = append(names, string(name))
			}
			return nil
		})
	}); err != nil {
		return nil, err
	}
	var letters []DeadLetter
	for _, name := range names {
		bucket := func(tx *bbolt.Tx) *bbolt.Bucket { return tx.Bucket(bucketDead).Bucket([]byte(name)) }
		if err := q.records(bucket, func(seq uint64, r *record) {
			letters = append(letters, DeadLetter{seq, name, r.Since, r.Why, r.Event})
		}); err != nil {
			return nil, err
		}
	}
	return letters, nil
}

// RetryDead queues dead letters again, for their output only. nil seqs: all of them. It tells how many.
func (q *Queue) RetryDead(output string, seqs []uint64) (int, error) {
	if !slices.Contains(q.outputs, output) {
		return 0, fmt.Errorf("retry dead letters: there is no output %q", output)
	}
	return q.takeDead(output, seqs, CountRetried, func(t *txn, r *record) error { return t.retry(output, r) })
}

// DropDead forgets dead letters. nil seqs: all of them. It tells how many.
func (q *Queue) DropDead(output string, seqs []uint64) (int, error) {
	return q.takeDead(output, seqs, CountDropped, func(*txn, *record) error { return nil })
}

func (q *Queue) takeDead(output string, seqs []uint64, word Word, use func(*txn, *record) error) (int, error) {
	bucket := func(tx *bbolt.Tx) *bbolt.Bucket { return tx.Bucket(bucketDead).Bucket([]byte(output)) }
	return q.take(bucket, seqs, func(t *txn, _ uint64, r *record) error {
		t.count(outputCounter(output, word), 1)
		return use(t, r)
	})
}

// records reads a bucket of records in slices, so that a long list holds up nobody, nor who looks at it.
func (q *Queue) records(bucket func(*bbolt.Tx) *bbolt.Bucket, each func(uint64, *record)) error {
	type numberedRecord struct {
		seq uint64
		*record
	}
	for next, more := uint64(0), true; more; {
		var part []numberedRecord
		if err := q.view(func(tx *bbolt.Tx) error {
			more = false
			b := bucket(tx)
			if b == nil {
				return nil
			}
			c := b.Cursor()
			for k, v := c.Seek(number(next)); k != nil; k, v = c.Next() {
				if len(part) == slice {
					more = true
					return nil
				}
				r, err := decodeRecord(k, v)
				if err != nil {
					return err
				}
				part = append(part, numberedRecord{numbered(k), r})
			}
			return nil
		}); err != nil {
			return err
		}
		for _, r := range part {
			each(r.seq, r.record)
			next = r.seq + 1
		}
	}
	return nil
}

// slice is how many records one transaction of a long job reads or changes.
const slice = 500

// take removes the records named, nil: all there are now, and gives each to use in the same transaction. Unknown ones
// are passed over.
func (q *Queue) take(bucket func(*bbolt.Tx) *bbolt.Bucket, seqs []uint64, use func(*txn, uint64, *record) error) (int, error) {
	if seqs == nil {
		if err := q.view(func(tx *bbolt.Tx) error {
			if b := bucket(tx); b != nil {
				return b.ForEach(func(k, _ []byte) error {
					seqs = append(seqs, numbered(k))
					return nil
				})
			}
			return nil
		}); err != nil {
			return 0, err
		}
	}
	total := 0
	for part := range slices.Chunk(seqs, slice) {
		n := 0
		if err := q.write(context.Background(), 1024*len(part), func(t *txn) (err error) {
			n, err = takePart(t, bucket(t.Tx), part, use)
			return err
		}); err != nil {
			return total, err
		}
		total += n
	}
	return total, nil
}

func takePart(t *txn, b *bbolt.Bucket, seqs []uint64, use func(*txn, uint64, *record) error) (n int, err error) {
	if b == nil {
		return 0, nil
	}
	for _, seq := range seqs {
		stored := b.Get(number(seq))
		if stored == nil {
			continue
		}
		r, err := decodeRecord(number(seq), stored)
		if err != nil {
			return 0, err
		}
		if err := b.Delete(number(seq)); err != nil {
			return 0, err
		}
		if err := use(t, seq, r); err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}
