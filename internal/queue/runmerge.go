package queue

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// work merges and deletes about as many entries as room says. It stops anywhere, at the latest after the segment that
// it is in: what is unfinished goes on with the next call, in another transaction. over: the day is, and is to become a
// single run. It tells what is left of room; all of it: there was nothing to do.
func (d *runDay) work(room int, over bool) (left int, err error) {
	for left = room; left > 0; {
		done, err := d.workOnce(left, over)
		if err != nil || done == 0 {
			return left, err
		}
		left -= done
	}
	return left, nil
}

func (d *runDay) workOnce(room int, over bool) (done int, err error) {
	for _, r := range d.list {
		if r.state == runGone {
			return d.remove(r, room)
		}
	}
	growing := d.plan(over)
	if growing == nil {
		return 0, nil
	}
	return d.grow(growing)
}

// plan gives the run to be merged next, the smallest that grows or a new one; nil: none is needed.
func (d *runDay) plan(over bool) *run {
	var smallest *run
	after := uint64(0)
	for _, r := range d.list {
		if r.state == runGrowing {
			after = max(after, r.order())
			if smallest == nil || r.level() < smallest.level() {
				smallest = r
			}
		}
	}
	// What came since may be merged before a large one is done.
	var free []*run
	highest := uint8(0)
	for _, r := range d.list {
		if r.state == runWhole && r.order() > after {
			free = append(free, r)
			highest = max(highest, r.level())
		}
	}
	if smallest == nil && over && len(free) > 1 {
		return d.begin(free)
	}
	for level := uint8(0); level <= highest && (smallest == nil || level+1 < smallest.level()); level++ {
		from := len(free)
		for from > 0 && free[from-1].level() <= level {
			from--
		}
		if len(free)-from >= runFan {
			return d.begin(free[from:])
		}
	}
	return smallest
}

// begin has a run grow from others.
func (d *runDay) begin(from []*run) *run {
	r := &run{state: runGrowing, oldest: from[0].oldest}
	level := uint8(0)
	for _, one := range from {
		level = max(level, one.level()+1)
		r.entries += one.entries
	}
	r.name = nameRun(from[len(from)-1].order(), level)
	r.bits = segmentBits(r.entries)
	d.list = append(d.list, r)
	d.sort()
	return r
}

func (d *runDay) sort() {
	slices.SortFunc(d.list, func(a, b *run) int { return bytes.Compare(a.name[:], b.name[:]) })
}

// sources gives the runs that r grows from, newest first.
func (d *runDay) sources(r *run) (from []*run) {
	for _, one := range slices.Backward(d.list) {
		if one.state == runWhole && one.order() >= r.oldest && one.order() <= r.order() && one.level() < r.level() {
			from = append(from, one)
		}
	}
	return from
}

// grow merges r's next segment, and after the last one puts r in the place of what it grew from.
func (d *runDay) grow(r *run) (done int, err error) {
	from := d.sources(r)
	low := make([]byte, d.key)
	binary.BigEndian.PutUint32(low, uint32(uint64(r.done)<<(32-r.bits)))
	all := make([]*runIterator, len(from))
	for i, one := range from {
		all[i] = &runIterator{day: d, run: one}
		if err := all[i].seek(low); err != nil {
			return 0, err
		}
	}
	w := runWriter{day: d, run: r, segment: r.done}
	for {
		first := lowestOf(all, d.key)
		if first == nil || r.segment(first.entry) != r.done {
			break
		}
		entry := first.entry
		w.put(entry)
		done++
		for _, it := range all { // the newest has it first, and the others' are passed over
			if it.entry != nil && (it == first || bytes.Equal(it.entry[:d.key], entry[:d.key])) {
				if err := it.next(); err != nil {
					return 0, err
				}
			}
		}
	}
	if err := w.flush(); err != nil {
		return 0, err
	}
	if r.done++; r.done == 1<<r.bits {
		r.state = runWhole
		for _, one := range from {
			one.state = runGone
			if err := d.store(one); err != nil {
				return 0, err
			}
		}
	}
	return max(1, done), d.store(r)
}

// lowestOf gives the iterator with the lowest key, the first of several; nil: all are at their end.
func lowestOf(all []*runIterator, key int) (lowest *runIterator) {
	for _, it := range all {
		if it.entry != nil && (lowest == nil || bytes.Compare(it.entry[:key], lowest.entry[:key]) < 0) {
			lowest = it
		}
	}
	return lowest
}

// remove deletes r's blocks, or as many as room allows. The last ones take the description with them.
func (d *runDay) remove(r *run, room int) (done int, err error) {
	var keys [][]byte // not deleted on the way: a cursor would step over every emptied page again and again
	c := d.blocks.Cursor()
	k, _ := c.Seek(r.name[:])
	for ; k != nil && bytes.HasPrefix(k, r.name[:]) && done < room; k, _ = c.Next() {
		keys = append(keys, slices.Clone(k))
		done += d.perBlock / 4 // much quicker than to merge them
	}
	for _, k := range keys {
		if err := d.blocks.Delete(k); err != nil {
			return 0, err
		}
	}
	if k != nil && bytes.HasPrefix(k, r.name[:]) {
		return done, nil
	}
	if err := d.deleteFilters(r); err != nil {
		return 0, err
	}
	d.list = slices.DeleteFunc(d.list, func(one *run) bool { return one == r })
	return done + 1, d.bucket.Delete(r.name[:])
}

func (d *runDay) deleteFilters(r *run) error {
	var keys [][]byte
	c := d.filters.Cursor()
	for k, _ := c.Seek(r.name[:]); k != nil && bytes.HasPrefix(k, r.name[:]); k, _ = c.Next() {
		keys = append(keys, slices.Clone(k))
	}
	for _, k := range keys {
		if err := d.filters.Delete(k); err != nil {
			return err
		}
	}
	return nil
}
