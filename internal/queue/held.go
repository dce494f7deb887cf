package queue

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"bouncefeed/internal/event"
)

// HeldEvent is an event that waits for somebody to release or drop it.
type HeldEvent struct {
	Seq   uint64      `json:"seq"`
	Time  time.Time   `json:"time"` // since when
	Why   string      `json:"why"`
	Event event.Event `json:"event"`
	// Excess says that the guard holds it, and of what there are too many: "provider google".
	Excess string `json:"excess,omitempty"`
}

// Strangers can make both grow: the newest are kept. Refused records are counted per input.
const (
	maxHeld        = 10_000
	maxRefused     = 1000
	maxRefusedBody = 4 << 10
)

func heldBucket(tx *bbolt.Tx) *bbolt.Bucket { return tx.Bucket(bucketHeld) }

func (t *txn) holdNew(input string, e *item) error {
	of, same, claimed, err := t.seen(e)
	waits := !e.until.IsZero()
	isWaiting := func(ref uint64) bool { return ref&waitingReference == waitingReference }
	switch {
	case err != nil:
		return err
	case of != 0, waits && slices.ContainsFunc(same, isWaiting), !waits && len(same)+len(claimed) > 0:
		t.countRepeat(input, of)
		if waits && of != 0 {
			return t.complete(of, e.event)
		}
		return nil
	}
	mark := uint64(heldReference)
	if waits { // by its keys it knows what lacked its proof; its claims are not believed so far
		mark = waitingReference
		if _, err := t.supersede(same, nil); err != nil {
			return err
		}
	}
	held := t.Bucket(bucketHeld)
	seq, err := held.NextSequence()
	if err != nil {
		return err
	}
	t.count(inputCounter(input, CountHeld), 1)
	if err := putSealed(held, number(seq), e.record); err != nil {
		return err
	}
	if seq > maxHeld {
		if err := t.pushOut(seq - maxHeld); err != nil {
			return err
		}
	}
	if err := t.refer(e.keys, mark|seq); err != nil {
		return err
	}
	return t.refer(e.claims, mark|seq)
}

// supersede forgets held events whose proof has come: the event itself is queued instead. It gives the record to store of
// by, nil if there is none, with what those that waited know besides.
func (t *txn) supersede(refs []uint64, by *item) (encoded []byte, err error) {
	seqs := make([]uint64, len(refs))
	for i, ref := range refs {
		seqs[i] = ref &^ referenceMarks
	}
	if by != nil {
		encoded = by.record
	}
	_, err = takePart(t, t.Bucket(bucketHeld), seqs, func(t *txn, _ uint64, r *record) (err error) {
		t.count(inputCounter(r.Input, CountSuperseded), 1)
		if by != nil && !r.Until.IsZero() && by.event.Complete(&r.Event) {
			encoded, err = encodeRecord(by.event, time.Time{}, "")
		}
		return err
	})
	return encoded, err
}

// settleCopy notes that a failure is nobody's: what waits for the log's word of it is forgotten, and what comes is a
// repeat.
func (t *txn) settleCopy(e *event.Event) error {
	copied := item{event: e, keys: e.CopyKeys()}
	of, held, _, err := t.seen(&copied)
	if err != nil || of != 0 {
		return err
	}
	if _, err := t.supersede(held, nil); err != nil {
		return err
	}
	return t.refer(copied.keys, settledReference)
}

// pushOut removes the oldest held event for want of room. One that waits has waited long enough.
func (t *txn) pushOut(seq uint64) error {
	_, err := takePart(t, t.Bucket(bucketHeld), []uint64{seq}, func(t *txn, _ uint64, r *record) error {
		if !r.Until.IsZero() {
			return t.release(r, true)
		}
		t.count(inputCounter(r.Input, CountPushedOut), 1)
		return nil
	})
	return err
}

// release queues what was held, unless it was told otherwise meanwhile. judged: by the guard.
func (t *txn) release(r *record, judged bool) error {
	b, err := encodeRecord(&r.Event, time.Time{}, "")
	if err != nil {
		return err
	}
	e := newItem(&r.Event, b)
	of, _, _, err := t.seen(&e)
	if err != nil {
		return err
	}
	if of != 0 {
		t.count(inputCounter(r.Input, CountSuperseded), 1)
		return nil
	}
	if shared := t.q.o.Guard.watchedBy(&r.Event, false, t.now); judged {
		if why, err := t.judge(&r.Event, shared); err != nil {
			return err
		} else if why != "" && r.Type == event.Hard {
			return t.holdExcess(&r.Event, e.keys, shared, why)
		}
	}
	t.count(inputCounter(r.Input, CountReleased), 1)
	seq, err := t.store(b)
	if err != nil {
		return err
	}
	if err := t.tell(&r.Event); err != nil {
		return err
	}
	return t.refer(e.keys, seq)
}

// ReleaseWaiting queues the held events that have waited until now, unless keep gives a reason to hold them on. It tells
// how many go on waiting.
func (q *Queue) ReleaseWaiting(now time.Time, keep func(*event.Event) (why string)) (waiting int, err error) {
	var due []uint64
	if err := q.records(heldBucket, func(seq uint64, r *record) {
		switch {
		case r.Until.IsZero():
		case r.Until.After(now) && r.Since.Before(now.Add(time.Minute)): // else the clock was wrong then
			waiting++
		default:
			due = append(due, seq)
		}
	}); err != nil || due == nil {
		return waiting, err
	}
	_, err = q.take(heldBucket, due, func(t *txn, seq uint64, r *record) error {
		why := keep(&r.Event)
		if why == "" {
			return t.release(r, true)
		}
		b, err := encodeRecord(&r.Event, r.Since, why)
		if err != nil {
			return err
		}
		return putSealed(t.Bucket(bucketHeld), number(seq), b)
	})
	return waiting, err
}

// EachHeld gives what is held, oldest first of each kind, as it is read.
func (q *Queue) EachHeld(each func(*HeldEvent)) error {
	return q.records(heldBucket, func(seq uint64, r *record) {
		h := HeldEvent{Seq: seq, Time: r.Since, Why: r.Why, Event: r.Event}
		if isGuarded(seq) {
			h.Excess = strings.TrimPrefix(r.Why, whyExcess)
		}
		each(&h)
	})
}

// Held lists what is held.
func (q *Queue) Held() (all []HeldEvent, err error) {
	err = q.EachHeld(func(h *HeldEvent) { all = append(all, *h) })
	return all, err
}

// ReleaseHeld queues held events for every output. nil seqs: all of them. It tells how many.
func (q *Queue) ReleaseHeld(seqs []uint64) (int, error) {
	return q.take(heldBucket, seqs, func(t *txn, seq uint64, r *record) error {
		if isGuarded(seq) {
			return t.releaseExcess(r, false)
		}
		r.Event.Proof = event.ProofSource // whoever released it has looked at it
		return t.release(r, false)
	})
}

// DropHeld forgets held events; told again without proof, they are repeats. nil seqs: all of them. It tells how many.
func (q *Queue) DropHeld(seqs []uint64) (int, error) {
	return q.take(heldBucket, seqs, func(t *txn, _ uint64, r *record) error {
		t.count(inputCounter(r.Input, CountDropped), 1)
		return nil
	})
}

// refuse keeps the newest refused records of input.
func (t *txn) refuse(input string, refused []Refused) error {
	if len(refused) == 0 {
		return nil
	}
	ring, err := t.Bucket(bucketRefused).CreateBucketIfNotExists([]byte(input))
	if err != nil {
		return err
	}
	for _, r := range refused[max(0, len(refused)-maxRefused):] {
		r.Body = r.Body[:min(len(r.Body), maxRefusedBody)]
		b, err := json.Marshal(r)
		if err != nil {
			return err
		}
		seq, err := ring.NextSequence()
		if err != nil {
			return err
		}
		if err := putSealed(ring, number(seq), b); err != nil {
			return err
		}
		if seq > maxRefused {
			if err := ring.Delete(number(seq - maxRefused)); err != nil {
				return err
			}
		}
	}
	return nil
}

// RefusedRecord is a record that was refused and kept aside.
type RefusedRecord struct {
	Input string
	Seq   uint64 // of the input's own
	Refused
}

// Refused lists the newest 1000 refused records of input, oldest first; of "" those of every input.
func (q *Queue) Refused(input string) ([]RefusedRecord, error) {
	var all []RefusedRecord
	err := q.view(func(tx *bbolt.Tx) error {
		inputs := tx.Bucket(bucketRefused)
		return inputs.ForEachBucket(func(name []byte) error {
			if input != "" && input != string(name) {
				return nil
			}
			return inputs.Bucket(name).ForEach(func(k, v []byte) error {
				r := RefusedRecord{Input: string(name), Seq: numbered(k)}
				if err := unsealJSON(k, v, &r.Refused); err != nil {
					return err
				}
				all = append(all, r)
				return nil
			})
		})
	})
	return all, err
}
