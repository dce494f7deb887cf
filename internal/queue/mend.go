package queue

import (
	"slices"

	"go.etcd.io/bbolt"
)

// mend makes what was salvaged consistent.
func (s *salvage) mend() error {
	if meta := s.tx.Bucket(bucketMeta); meta == nil || len(meta.Get(keySecret)) != 32 {
		if s.tx.Bucket(bucketLedger) != nil { // its hashes are keyed with a secret that is gone
			if err := s.tx.DeleteBucket(bucketLedger); err != nil {
				return err
			}
		}
	}
	if err := createBuckets(s.tx); err != nil {
		return err
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
	if s.startOver() || s.damaged["index"] > 0 {
		if err := t.rememberKept(); err != nil {
			return err
		}
	}
	if err := t.recount(); err != nil {
		return err
	}
	return t.addCounters()
}

// forgetSources has every input start at its source's beginning, with a parser that remembers nothing.
func (s *salvage) forgetSources(t *txn) error {
	for _, name := range [][]byte{bucketCheckpoints, bucketState} {
		if err := t.DeleteBucket(name); err != nil {
			return err
		}
		if _, err := t.CreateBucket(name); err != nil {
			return err
		}
	}
	return t.Bucket(bucketMeta).Put(keyBegun, number(uint64(t.own.Unix())))
}

// forgetLost deletes the identity keys of events that were pending or held and could not be read: their sources will
// tell them again.
func (s *salvage) forgetLost(t *txn) error {
	events, held := t.Bucket(bucketEvents), t.Bucket(bucketHeld)
	passed, err := t.passed()
	if err != nil {
		return err
	}
	if passed == ^uint64(0) { // no position is left: what is not there may not have been sent
		passed = 0
	}
	lost := func(ref uint64) bool {
		switch {
		case ref&heldReference != 0:
			return s.damaged["held"]+s.damaged[""] > 0 && held.Get(number(ref&^referenceMarks)) == nil
		case ref == settledReference:
			return false
		}
		return s.damaged["events"]+s.damaged[""] > 0 && ref > passed && events.Get(number(ref)) == nil
	}
	index := t.Bucket(bucketIndex)
	return index.ForEachBucket(func(stamp []byte) error {
		b := index.Bucket(stamp)
		var keys [][]byte
		if err := b.ForEach(func(k, v []byte) error {
			ref, err := unsealReference(k, v)
			if lost(ref) {
				keys = append(keys, slices.Clone(k))
			}
			return err
		}); err != nil {
			return err
		}
		for _, k := range keys {
			if err := b.Delete(k); err != nil {
				return err
			}
		}
		return nil
	})
}

// rememberKept has the events that are still there known by their own keys, should the index have lost them.
func (t *txn) rememberKept() error {
	if err := t.openIndex(); err != nil {
		return err
	}
	for _, b := range []struct {
		name []byte
		mark uint64
	}{{bucketEvents, 0}, {bucketHeld, heldReference}} {
		if err := t.Bucket(b.name).ForEach(func(k, v []byte) error {
			r, err := decodeRecord(k, v)
			if err != nil {
				return err
			}
			mark, keys := b.mark, r.Keys()
			if mark != 0 {
				keys = append(keys, r.Claims()...)
			}
			if !r.Until.IsZero() {
				mark = waitingReference
			}
			return t.remember(keys, mark|numbered(k))
		}); err != nil {
			return err
		}
	}
	return nil
}

// recount makes the counters add up again over what is there.
func (t *txn) recount() error {
	counted, err := counters(t.Tx)
	if err != nil {
		return err
	}
	// settle books a difference: fewer than counted are lost, more were never counted.
	settle := func(before, there uint64, lost, found Counter) {
		if before > there && before < 1<<63 {
			t.count(lost, before-there)
			counted[lost] += before - there
		} else {
			t.count(found, there-before)
			counted[found] += there - before
		}
	}
	held, err := t.heldByInput(counted)
	if err != nil {
		return err
	}
	for input, there := range held {
		settle(counted.held(input), there, inputCounter(input, CountHeldLost), inputCounter(input, CountHeld))
	}
	return t.Bucket(bucketOutputs).ForEach(func(name, v []byte) error {
		position, err := unsealNumber(name, v)
		if err != nil {
			return err
		}
		out := string(name)
		settle(counted.dead(out), countIn(t.Bucket(bucketDead), name), outputCounter(out, CountDeadLost), outputCounter(out, CountDead))
		there := countFrom(t.Bucket(bucketEvents), position+1) + countIn(t.Bucket(bucketAgain), name)
		settle(counted.pending(out), there, outputCounter(out, CountLost), outputCounter(out, CountQueued))
		return nil
	})
}

func countIn(parent *bbolt.Bucket, name []byte) uint64 {
	if b := parent.Bucket(name); b != nil {
		return countFrom(b, 0)
	}
	return 0
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
