package queue

import (
	"slices"

	"go.etcd.io/bbolt"
)

// setUpOutputs makes the file's outputs those of the options. A new one starts at the end, or with the oldest event if the
// options say so; the first ever at the beginning. Where as many vanished as are new, it was a rename.
func (q *Queue) setUpOutputs(tx *bbolt.Tx) error {
	positions := tx.Bucket(bucketOutputs)
	var known []string
	if err := positions.ForEach(func(k, _ []byte) error {
		known = append(known, string(k))
		return nil
	}); err != nil {
		return err
	}
	if len(q.o.Outputs) == 0 {
		q.outputs = known
		return nil
	}
	q.outputs = slices.Compact(slices.Sorted(slices.Values(q.o.Outputs)))
	without := func(from, others []string) []string {
		return slices.DeleteFunc(slices.Clone(from), func(s string) bool { return slices.Contains(others, s) })
	}
	gone, added := without(known, q.outputs), without(q.outputs, known)
	t := q.begun(tx)
	switch {
	case len(known) == 0:
		for _, name := range added {
			if err := t.addOutput(name, passedBefore(tx)); err != nil {
				return err
			}
		}
	case len(gone) == len(added):
		if err := t.renameOutputs(gone, added); err != nil {
			return err
		}
	default:
		for _, name := range added {
			after, begins := tx.Bucket(bucketGroups).Sequence(), "what happens from now on"
			if slices.Contains(q.o.Oldest, name) {
				after, begins = 0, "the oldest event that is kept"
			}
			q.log.Info("a new output", "output", name, "starts_with", begins)
			if err := t.addOutput(name, after); err != nil {
				return err
			}
		}
		for _, name := range gone {
			if err := t.dropOutput(name); err != nil {
				return err
			}
		}
	}
	if err := t.forgetPassed(); err != nil {
		return err
	}
	return t.addCounters()
}

// addOutput begins an output behind event after; what lies beyond is queued for it. Counters of its name are there already
// if a damaged file lost its position; then what they call pending is counted anew.
func (t *txn) addOutput(name string, after uint64) error {
	counted, err := counters(t.Tx)
	if err != nil {
		return err
	}
	p := position{after, after}
	t.recountPending(counted, name, p)
	return t.setPosition(name, p)
}

// dropOutput forgets an output that is no longer configured. Its dead letters stay.
func (t *txn) dropOutput(name string) error {
	counted, err := counters(t.Tx)
	if err != nil {
		return err
	}
	left := counted.pending(name)
	t.q.log.Warn("an output is no longer configured: what it had pending will not be sent to it",
		"output", name, "pending", left)
	t.count(outputCounter(name, CountLost), left)
	if err := t.Bucket(bucketOutputs).Delete([]byte(name)); err != nil {
		return err
	}
	for _, parent := range []*bbolt.Bucket{t.Bucket(bucketAgain), t.Bucket(bucketAccepted), t.Bucket(bucketOutcomes)} {
		if parent.Bucket([]byte(name)) != nil {
			if err := parent.DeleteBucket([]byte(name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// renameOutputs gives what gone have to added. With several at once nobody knows which became which: all then start
// from the lowest position, so that some receivers get events twice (with the same id) and none misses one.
func (t *txn) renameOutputs(gone, added []string) error {
	if len(gone) == 0 {
		return nil
	}
	groups := t.Bucket(bucketGroups)
	lowest := position{^uint64(0), ^uint64(0)}
	for _, name := range gone {
		p, err := positionOf(t.Tx, name)
		if err != nil {
			return err
		}
		lowest = position{min(lowest.accepted, p.accepted), min(lowest.settled, p.settled)}
	}
	for i, from := range gone {
		to := added[i]
		t.q.log.Warn("an output was renamed: the new one goes on where the old one was", "from", from, "to", to)
		p, err := positionOf(t.Tx, from)
		if err != nil {
			return err
		}
		behind := countEvents(groups, lowest.accepted+1) - countUndecided(t.Tx, from, p.accepted+1)
		if len(gone) == 1 {
			behind = 0
		} else if err := t.forgetOutcomes(from); err != nil { // else what lies ahead would count as decided
			return err
		}
		if err := t.moveCounters(from, to); err != nil {
			return err
		}
		t.count(outputCounter(to, CountQueued), behind)
		for _, parent := range [][]byte{bucketAgain, bucketAccepted, bucketOutcomes, bucketDead} {
			if err := renameBucket(t.Bucket(parent), from, to); err != nil {
				return err
			}
		}
		if err := t.Bucket(bucketOutputs).Delete([]byte(from)); err != nil {
			return err
		}
		if err := t.setPosition(to, lowest); err != nil {
			return err
		}
		if err := movePaused(t.Bucket(bucketMeta), from, to); err != nil {
			return err
		}
	}
	return nil
}

// forgetOutcomes forgets what became of events at an output.
func (t *txn) forgetOutcomes(output string) error {
	all := t.Bucket(bucketOutcomes)
	if all.Bucket([]byte(output)) == nil {
		return nil
	}
	return all.DeleteBucket([]byte(output))
}

// moveCounters adds the counters of one output to those of another.
func (t *txn) moveCounters(from, to string) error {
	counted, err := counters(t.Tx)
	if err != nil {
		return err
	}
	for c, n := range counted {
		if c.Side != OutputSide || c.Module != from {
			continue
		}
		t.count(Counter{OutputSide, to, c.Figure}, n)
		if err := t.Bucket(bucketCounters).Delete([]byte(c.String())); err != nil {
			return err
		}
	}
	return nil
}

// renameBucket moves the entries of one nested bucket into another.
func renameBucket(parent *bbolt.Bucket, from, to string) error {
	old := parent.Bucket([]byte(from))
	if old == nil {
		return nil
	}
	b, err := parent.CreateBucketIfNotExists([]byte(to))
	if err != nil {
		return err
	}
	if err := old.ForEach(func(k, v []byte) error { return b.Put(k, slices.Clone(v)) }); err != nil {
		return err
	}
	return parent.DeleteBucket([]byte(from))
}
