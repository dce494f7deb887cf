package queue

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// An event that every output is done with stays in its group for a while, so that it can be told what became of it, and
// be sent again. It lies before the outputs' positions: nobody else looks at it. It goes when Options.History has passed
// since it was stored, by the queue's clock and a day later at most; or, the oldest first, when its room is needed: the
// past never makes a source wait.
//
// What an output made of it is noted beside, as stretches: events with consecutive numbers, of which the same became at
// the same time. Under the number of the first event stands
//
//	seal, 4 bytes · when, Unix seconds, uvarint · how many events, uvarint · how long the outcome is, a byte · it · an answer
//
// and under that number and another, of an event that was queued again, what became of it then. A stretch that lies ahead
// of the output's position was decided beforehand: those events were discarded.

// stretch is some events of which the same became.
type stretch struct {
	at      time.Time
	n       uint64
	outcome Outcome
	answer  string
}

// told is a stretch that a transaction has to store.
type told struct {
	output string
	first  uint64
	again  uint64 // the number under which it was queued again; 0: it was not
	stretch
}

// maxAnswer is how much of a receiver's answer the history keeps, in bytes.
const maxAnswer = 512

func (s *stretch) encode() []byte {
	b := binary.AppendUvarint(nil, uint64(s.at.Unix()))
	b = binary.AppendUvarint(b, s.n)
	b = append(append(b, byte(len(s.outcome))), s.outcome...)
	return append(b, s.answer[:min(len(s.answer), maxAnswer)]...)
}

// decodeStretch reads what is stored under key.
func decodeStretch(key, stored []byte) (s stretch, err error) {
	b, err := unseal(key, stored)
	if err != nil {
		return s, err
	}
	at, used := binary.Uvarint(b)
	n, more := binary.Uvarint(b[max(used, 0):])
	if used <= 0 || more <= 0 || len(key) != 8 && len(key) != 16 {
		return s, fmt.Errorf("%w: no outcome of events", ErrDamaged)
	}
	if b = b[used+more:]; len(b) == 0 || len(b)-1 < int(b[0]) || n == 0 {
		return s, fmt.Errorf("%w: no outcome of events", ErrDamaged)
	}
	end := 1 + int(b[0])
	return stretch{time.Unix(int64(at), 0).UTC(), n, Outcome(b[1:end]), string(b[end:])}, nil
}

// noteOutcome notes what became of event of, which was settled as s, or is about to be sent no more.
func (t *txn) noteOutcome(output string, of uint64, s Settled) {
	if t.q.o.History <= 0 && s.Outcome != Discarded || of == 0 {
		return
	}
	one := told{output, of, 0, stretch{t.now, 1, s.Outcome, s.Answer}}
	if of != s.Seq {
		one.again = s.Seq
	}
	if n := len(t.told); n > 0 {
		last := &t.told[n-1]
		if last.output == output && last.outcome == one.outcome && last.answer == one.answer && last.again == 0 && one.again == 0 && last.first+last.n == of {
			last.n++
			return
		}
	}
	t.told = append(t.told, one)
}

// storeTold stores what was told in this transaction.
func (t *txn) storeTold() error {
	for i := range t.told {
		one := &t.told[i]
		b, err := t.Bucket(bucketOutcomes).CreateBucketIfNotExists([]byte(one.output))
		if err != nil {
			return err
		}
		b.FillPercent = 1 // appended to in order, as good as always
		key := number(one.first)
		if one.again != 0 {
			key = append(key, number(one.again)...)
		}
		if err := putSealed(b, key, one.encode()); err != nil {
			return err
		}
	}
	t.told = nil
	return nil
}

// undecided gives the number of the first event from seq on that output has to decide about; 0: there is none.
func undecided(tx *bbolt.Tx, output string, seq uint64) uint64 {
	decided := decidedFrom(tx, output, seq)
	c := tx.Bucket(bucketGroups).Cursor()
	next := nextEvent(c, seq)
	for _, s := range decided {
		if next == 0 || next < s.first {
			break
		}
		next = nextEvent(c, max(next, s.last+1))
	}
	return next
}

// decidedFrom gives the events from seq on that are decided about ahead of output's position, where seq is.
func decidedFrom(tx *bbolt.Tx, output string, seq uint64) spans {
	return stretchesOf(tx, output, seq, ^uint64(0), "")
}

// stretchesOf gives the events from seq to upTo of which that became; of which anything became, if it is empty.
func stretchesOf(tx *bbolt.Tx, output string, seq, upTo uint64, became Outcome) (all spans) {
	b := tx.Bucket(bucketOutcomes).Bucket([]byte(output))
	if b == nil {
		return nil
	}
	c := b.Cursor()
	if k, _ := c.Last(); len(k) < 8 || numbered(k[:8]) < seq && !covers(b, seq) {
		return nil
	}
	for k, v := seekStretch(c, seq); k != nil && numbered(k[:8]) <= upTo; k, v = c.Next() {
		s, err := decodeStretch(k, v)
		if err != nil || len(k) != 8 || became != "" && became != s.outcome { // damage shows when the file is opened
			continue
		}
		first := numbered(k)
		if last := first + s.n - 1; last >= seq {
			all = append(all, span{max(first, seq), last})
		}
	}
	return all
}

// covers says whether the last stretch goes on to event seq.
func covers(b *bbolt.Bucket, seq uint64) bool {
	k, v := seekStretch(b.Cursor(), seq)
	s, err := decodeStretch(k, v)
	return err == nil && len(k) == 8 && numbered(k)+s.n > seq
}

// seekStretch gives the stretch that event seq lies in, or the first one behind it; a nil key: there is none.
func seekStretch(c *bbolt.Cursor, seq uint64) (k, v []byte) {
	k, v = c.Seek(number(seq))
	if len(k) == 8 && numbered(k) == seq {
		return k, v
	}
	if k == nil {
		k, v = c.Last()
	} else {
		k, v = c.Prev()
	}
	for k != nil && len(k) != 8 { // of one that was queued again
		k, v = c.Prev()
	}
	if k == nil {
		return c.Seek(number(seq))
	}
	return k, v
}

// notePassed keeps how far every output is, so that whatever happens to their positions the past is not sent again, and
// forgets what is behind where there is no history.
func (t *txn) notePassed() error {
	passed, err := t.passed()
	if err != nil || passed == ^uint64(0) {
		return err
	}
	if err := putSealed(t.Bucket(bucketMeta), keyPassed, number(passed)); err != nil {
		return err
	}
	if t.q.o.History > 0 && !t.q.crowded() {
		return nil
	}
	return t.forgetPassed()
}

// passedBefore is what notePassed has kept.
func passedBefore(tx *bbolt.Tx) uint64 {
	n, err := unsealNumber(keyPassed, tx.Bucket(bucketMeta).Get(keyPassed))
	if err != nil {
		return 0
	}
	return n
}

// crowded says whether the past has to make room: so that there is some for a backlog, it begins at half of what there is.
// By the holder of the lock.
func (q *Queue) crowded() bool { return q.o.MaxSize > 0 && q.used > q.o.MaxSize/2 }

// noteDay notes which events were stored before today, of which first is the first new one.
func (t *txn) noteDay(first uint64) error {
	days := t.Bucket(bucketDays)
	if k, _ := days.Cursor().Last(); k != nil && t.own.Before(stamped(k).Add(t.q.historyStep())) {
		return nil
	}
	return putSealed(days, number(uint64(t.own.Unix())), number(first-1))
}

// dayIsOver says whether events were stored up to last of which no day tells since when they are there.
func (q *Queue) dayIsOver(tx *bbolt.Tx, now time.Time, last uint64) bool {
	k, v := tx.Bucket(bucketDays).Cursor().Last()
	noted, err := unsealNumber(k, v)
	return q.o.History > 0 && k != nil && err == nil && noted < last && !now.Before(stamped(k).Add(q.historyStep()))
}

// dayBounds are the last events of days.
func dayBounds(tx *bbolt.Tx) map[uint64]bool {
	bounds := map[uint64]bool{}
	c := tx.Bucket(bucketDays).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if n, err := unsealNumber(k, v); err == nil { // damage shows when the file is opened
			bounds[n] = true
		}
	}
	return bounds
}

func (q *Queue) historyStep() time.Duration { return q.o.History / indexDays }

// past gives up to which event nothing has to be kept any longer, of those that every output is done with.
func (t *txn) past() (upTo uint64, err error) {
	passed, err := t.passed()
	if err != nil || t.q.o.History <= 0 || t.q.crowded() {
		return passed, err
	}
	err = t.Bucket(bucketDays).ForEach(func(k, v []byte) error {
		if stamped(k).After(t.own.Add(-t.q.o.History)) {
			return nil
		}
		n, err := unsealNumber(k, v)
		upTo = max(upTo, n)
		return err
	})
	return min(upTo, passed), err
}

// hasPast says whether there are events that every output is done with.
func hasPast(tx *bbolt.Tx) bool {
	passed, err := (&txn{Tx: tx}).passed()
	k, v := tx.Bucket(bucketGroups).Cursor().First()
	return err == nil && k != nil && numbered(k)+groupCount(v)-1 <= passed
}

// forgetPassed deletes the groups that nobody needs any longer, and what is known of their events.
func (t *txn) forgetPassed() error {
	upTo, err := t.past()
	if err != nil {
		return err
	}
	groups := t.Bucket(bucketGroups)
	ended := func(k, v []byte) bool { return numbered(k)+groupCount(v)-1 <= upTo }
	if err := deleteFirst(groups, t.q.atOnce(), ended); err != nil {
		return err
	}
	if k, _ := groups.Cursor().First(); k != nil {
		upTo = min(upTo, numbered(k)-1)
	}
	if err := deleteFirst(t.Bucket(bucketCompleted), forgetAtOnce, func(k, _ []byte) bool { return numbered(k) <= upTo }); err != nil {
		return err
	}
	outcomes := t.Bucket(bucketOutcomes)
	if err := outcomes.ForEachBucket(func(name []byte) error {
		return deleteFirst(outcomes.Bucket(name), forgetAtOnce, func(k, v []byte) bool {
			s, err := decodeStretch(k, v)
			return err != nil || numbered(k[:8])+s.n-1 <= upTo
		})
	}); err != nil {
		return err
	}
	days := t.Bucket(bucketDays)
	last, _ := days.Cursor().Last() // tells whether a new one is due
	last = slices.Clone(last)
	return deleteFirst(days, indexDays, func(k, v []byte) bool {
		n, err := unsealNumber(k, v)
		return string(k) != string(last) && (err != nil || n <= upTo)
	})
}

// forgetAtOnce is how many entries a transaction deletes at most; the next one goes on.
const forgetAtOnce = 2000

// atOnce is the same of groups, which are pages: fewer where commits do it.
func (q *Queue) atOnce() int {
	if q.o.History > 0 {
		return forgetAtOnce / 10
	}
	return forgetAtOnce
}

// deleteFirst deletes entries from the beginning, as long as they are unwanted.
func deleteFirst(b *bbolt.Bucket, most int, unwanted func(k, v []byte) bool) error {
	var keys [][]byte // not deleted on the way: a cursor would step over every emptied page again and again
	c := b.Cursor()
	for k, v := c.First(); k != nil && len(keys) < most && unwanted(k, v); k, v = c.Next() {
		keys = append(keys, slices.Clone(k))
	}
	for _, k := range keys {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}
