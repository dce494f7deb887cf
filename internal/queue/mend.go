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
	if err := furnish(s.tx); err != nil {
		return err
	}
	t := &txn{Tx: s.tx, q: s.q, now: s.q.o.Now(), counts: map[string]uint64{}}
	if s.startOver() {
		if err := s.forgetSources(t); err != nil {
			return err
		}
		if err := s.forgetLost(t); err != nil {
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
	return t.Bucket(bucketMeta).Put(keyBegun, number(uint64(t.now.Unix())))
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
		if ref&heldReference != 0 {
			return s.damaged["held"]+s.damaged[""] > 0 && held.Get(number(ref&^heldReference)) == nil
		}
		return s.damaged["events"]+s.damaged[""] > 0 && ref > passed && events.Get(number(ref)) == nil
	}
	index := t.Bucket(bucketIndex)
	return index.ForEachBucket(func(stamp []byte) error {
		b := index.Bucket(stamp)
		var keys [][]byte
		if err := b.ForEach(func(k, v []byte) error {
			if lost(numbered(v)) {
				keys = append(keys, slices.Clone(k))
			}
			return nil
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

// recount makes the counters add up again over what is there.
func (t *txn) recount() error {
	counters := t.Bucket(bucketCounters)
	total := func(name string) uint64 { return numbered(counters.Get([]byte(name))) + t.counts[name] }
	// settle books the difference: fewer than counted are lost, more were never counted.
	settle := func(counted, there uint64, lost, found string) {
		if counted > there && counted < 1<<63 {
			t.count(lost, counted-there)
		} else {
			t.count(found, there-counted)
		}
	}
	held, err := t.heldByInput()
	if err != nil {
		return err
	}
	for input, there := range held {
		in := "input/" + input + "/"
		settle(total(in+"held")-total(in+"released")-total(in+"dropped")-total(in+"held_lost"), there,
			in+"held_lost", in+"held")
	}
	return t.Bucket(bucketOutputs).ForEach(func(name, v []byte) error {
		out := "output/" + string(name) + "/"
		settle(total(out+"dead")-total(out+"retried")-total(out+"dropped")-total(out+"dead_lost"),
			countIn(t.Bucket(bucketDead), name), out+"dead_lost", out+"dead")
		position, err := unsealNumber(v)
		if err != nil {
			return err
		}
		there := countFrom(t.Bucket(bucketEvents), position+1) + countIn(t.Bucket(bucketAgain), name)
		settle(total(out+"queued")+total(out+"retried")-total(out+"sent")-total(out+"not_sent")-total(out+"dead")-
			total(out+"lost"), there, out+"lost", out+"queued")
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
func (t *txn) heldByInput() (map[string]uint64, error) {
	held := map[string]uint64{}
	err := t.Bucket(bucketCounters).ForEach(func(k, _ []byte) error {
		if input, word, ok := inputCounter(string(k)); ok && word == "held" {
			held[input] = 0
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = t.Bucket(bucketHeld).ForEach(func(_, v []byte) error {
		r, err := decodeRecord(v)
		if err == nil {
			held[r.Input]++
		}
		return err
	})
	return held, err
}
