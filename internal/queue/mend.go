package queue

import (
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/bbolt"
)

// mend makes what was salvaged consistent.
func (s *salvage) mend() error {
	if meta := s.tx.Bucket(bucketMeta); meta == nil || len(meta.Get(keySecret)) != 32 {
		if s.tx.Bucket(bucketSent) != nil { // its hashes are keyed with a secret that is gone
			if err := s.tx.DeleteBucket(bucketSent); err != nil {
				return err
			}
		}
	}
	if err := createBuckets(s.tx); err != nil {
		return err
	}
	for parent, shape := range map[string]runShape{string(bucketKeys): indexShape, string(bucketSent): ledgerShape} {
		if err := eachDay(s.tx.Bucket([]byte(parent)), shape, (*runDay).mend); err != nil {
			return err
		}
	}
	s.q.startClock(s.tx)
	t := s.q.begun(s.tx)
	if s.startOver() {
		if err := s.forgetSources(t); err != nil {
			return err
		}
		if err := s.forgetLost(t); err != nil {
			return err
		}
	}
	if s.startOver() || s.damaged["keys"] > 0 {
		if err := t.rememberKept(); err != nil {
			return err
		}
	}
	if err := s.placeOutputs(t); err != nil {
		return err
	}
	if err := t.recount(); err != nil {
		return err
	}
	if err := s.noteDamage(t); err != nil {
		return err
	}
	return t.addCounters()
}

// placeOutputs has an output whose position is lost begin with the oldest event that is kept: what it was sent already
// goes to it again, under the same id. Where nothing is to be told again it begins with what comes.
func (s *salvage) placeOutputs(t *txn) error {
	if s.damaged["outputs"]+s.damaged[""] == 0 {
		return nil
	}
	var from position
	if s.q.o.Skip {
		at := max(t.Bucket(bucketGroups).Sequence(), lastEvent(t.Bucket(bucketGroups)))
		from = position{at, at}
	}
	for _, name := range s.q.o.Outputs {
		if t.Bucket(bucketOutputs).Get([]byte(name)) == nil {
			if err := t.setPosition(name, from); err != nil {
				return err
			}
		}
	}
	return nil
}

// forgetSources has every input start at its source's beginning, with a parser that remembers nothing. Where that is not
// wanted it goes on where it stands, if that is known, and its parser as far as all that it remembered is.
func (s *salvage) forgetSources(t *txn) error {
	forget := [][]byte{bucketCheckpoints, bucketState}
	if !s.repeats() {
		if forget = forget[1:]; s.damaged["state"]+s.damaged[""] == 0 {
			return nil
		}
	}
	for _, name := range forget {
		if err := t.DeleteBucket(name); err != nil {
			return err
		}
		if _, err := t.CreateBucket(name); err != nil {
			return err
		}
	}
	if !s.repeats() {
		return nil
	}
	return t.Bucket(bucketMeta).Put(keyBegun, number(uint64(t.own.Unix())))
}

// forgetLost deletes the identity keys of events that were pending or held and could not be read: their sources will
// tell them again.
func (s *salvage) forgetLost(t *txn) error {
	held := t.Bucket(bucketHeld)
	there := spansOf(t.Bucket(bucketGroups))
	passed, err := t.passed()
	if err != nil {
		return err
	}
	if passed == ^uint64(0) { // no position is left: what is not there may not have been sent
		passed = passedBefore(t.Tx)
	}
	if s.damaged["groups"] > 0 {
		s.missing = there.gaps(passed+1, t.Bucket(bucketGroups).Sequence())
	}
	lost := func(ref uint64) bool {
		switch {
		case ref&(heldReference|guardedReference) != 0:
			return s.damaged["held"]+s.damaged[""] > 0 && held.Get(number(ref&^referenceMarks)) == nil
		case ref == settledReference:
			return false
		}
		return s.damaged["groups"]+s.damaged[""] > 0 && ref > passed && !there.has(ref)
	}
	return eachDay(t.Bucket(bucketKeys), indexShape, func(d *runDay) error {
		return d.drop(func(entry []byte) bool { return lost(referenceOf(entry)) })
	})
}

// span is events with consecutive numbers, from first to last.
type span struct{ first, last uint64 }

type spans []span

// spansOf tells which events are there.
func spansOf(groups *bbolt.Bucket) (all spans) {
	c := groups.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		first, n := numbered(k), groupCount(v)
		if len(all) > 0 && all[len(all)-1].last+1 == first {
			all[len(all)-1].last += n
		} else {
			all = append(all, span{first, first + n - 1})
		}
	}
	return all
}

func (all spans) has(seq uint64) bool {
	i, _ := slices.BinarySearchFunc(all, seq, func(s span, seq uint64) int {
		if s.last < seq {
			return -1
		}
		return 1
	})
	return i < len(all) && all[i].first <= seq
}

// gaps tells what is not there between two numbers: "51-93, 210-254", and how many more gaps if they are many.
func (all spans) gaps(from, to uint64) string {
	var gaps []string
	note := func(first, last uint64) {
		if first <= last {
			gaps = append(gaps, fmt.Sprintf("%d-%d", first, last))
		}
	}
	for _, s := range all {
		if s.first > from {
			note(from, s.first-1)
		}
		from = max(from, s.last+1)
	}
	note(from, to)
	if n := len(gaps) - 20; n > 0 {
		gaps = append(gaps[:20], fmt.Sprintf("and %d more", n))
	}
	return strings.Join(gaps, ", ")
}

// rememberKept has the events that are still there known by their own keys, should the index have lost them.
func (t *txn) rememberKept() error {
	keep := func(r *record, seq, mark uint64) error {
		keys := r.Keys()
		if mark == heldReference {
			keys = append(keys, r.Claims()...)
		}
		if !r.Until.IsZero() {
			mark = waitingReference
		}
		if err := t.openIndex(); err != nil {
			return err
		}
		for i := range keys {
			if known, err := t.reference(&keys[i]); err != nil || known != 0 {
				if err != nil {
					return err
				}
				continue
			}
			t.index.added[keys[i]] = mark | seq
		}
		if len(t.index.added) < 1<<16 {
			return nil
		}
		err := t.storeIndex()
		t.index = index{}
		return err
	}
	if err := t.Bucket(bucketGroups).ForEach(func(k, v []byte) error {
		g := storedGroup{first: numbered(k), sealed: v}
		items, err := g.records(0, groupEvents)
		for i := range items {
			if err := keep(&record{Event: items[i].Event}, items[i].Seq, 0); err != nil {
				return err
			}
		}
		return err
	}); err != nil {
		return err
	}
	if err := t.Bucket(bucketHeld).ForEach(func(k, v []byte) error {
		r, err := decodeRecord(k, v)
		if err != nil {
			return err
		}
		if isGuarded(numbered(k)) {
			return keep(r, numbered(k), guardedReference)
		}
		return keep(r, numbered(k), heldReference)
	}); err != nil {
		return err
	}
	return t.storeIndex()
}

// recount makes the counters add up again over what is there, those that were lost among them.
func (t *txn) recount() error {
	counted, err := counters(t.Tx)
	if err != nil {
		return err
	}
	held, err := t.heldByInput(counted)
	if err != nil {
		return err
	}
	for input, there := range held {
		t.settleCount(counted, counted.held(input), there, inputCounter(input, CountHeldLost), inputCounter(input, CountHeld))
	}
	t.recountRead(counted)
	outputs, err := t.outputsEver(counted)
	if err != nil {
		return err
	}
	for out := range outputs { // one may have lost its position, and dead letters too
		t.settleCount(counted, counted.dead(out), countIn(t.Bucket(bucketDead), []byte(out)), outputCounter(out, CountDeadLost), outputCounter(out, CountDead))
	}
	return t.Bucket(bucketOutputs).ForEach(func(name, v []byte) error {
		p, err := decodePosition(name, v)
		if err != nil {
			return err
		}
		t.recountPending(counted, string(name), p)
		return nil
	})
}

// recountPending books what of an output's events is lost, or was never counted.
func (t *txn) recountPending(counted Counters, out string, p position) {
	there := countUndecided(t.Tx, out, p.accepted+1) + countIn(t.Bucket(bucketAgain), []byte(out))
	t.settleCount(counted, counted.pending(out), there, outputCounter(out, CountLost), outputCounter(out, CountQueued))
}

// settleCount books a difference: fewer than counted are lost, more were never counted.
func (t *txn) settleCount(counted Counters, before, there uint64, lost, found Counter) {
	if before > there && before < 1<<63 {
		t.count(lost, before-there)
		counted[lost] += before - there
	} else {
		t.count(found, there-before)
		counted[found] += there - before
	}
}

// recountRead has what each input has read be the sum of what became of it.
func (t *txn) recountRead(counted Counters) {
	became := map[string]uint64{}
	for c, n := range counted {
		if c.Side == InputSide {
			switch c.Word {
			case CountQueued, CountHeld, CountIgnored, CountRefused:
				became[c.Module] += n
			case CountRead:
				became[c.Module] += 0
			}
		}
	}
	for input, n := range became {
		t.settleCount(counted, counted.Input(input, CountRead), n, Counter{InputSide, input, IgnoredAs(WhyUncounted)}, inputCounter(input, CountRead))
	}
}

// outputsEver names the outputs of which there is anything.
func (t *txn) outputsEver(counted Counters) (map[string]bool, error) {
	names := map[string]bool{}
	for c := range counted {
		if c.Side == OutputSide {
			names[c.Module] = true
		}
	}
	for _, parent := range [][]byte{bucketOutputs, bucketDead} {
		if err := t.Bucket(parent).ForEach(func(name, _ []byte) error {
			names[string(name)] = true
			return nil
		}); err != nil {
			return nil, err
		}
	}
	return names, nil
}

func countIn(parent *bbolt.Bucket, name []byte) uint64 {
	n := uint64(0)
	if b := parent.Bucket(name); b != nil {
		c := b.Cursor()
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			n++
		}
	}
	return n
}

// heldByInput counts what is held of each input that ever held something.
func (t *txn) heldByInput(counted Counters) (map[string]uint64, error) {
	held := map[string]uint64{}
	for c := range counted {
		if c.Side == InputSide && c.Word == CountHeld {
			held[c.Module] = 0
		}
	}
	err := t.Bucket(bucketHeld).ForEach(func(k, v []byte) error {
		r, err := decodeRecord(k, v)
		if err == nil {
			held[r.Input]++
		}
		return err
	})
	return held, err
}
