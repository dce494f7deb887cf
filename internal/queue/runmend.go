package queue

import (
	"bytes"
	"errors"
	"slices"

	"go.etcd.io/bbolt"
)

// eachDay opens all days in parent, one after the other.
func eachDay(parent *bbolt.Bucket, shape runShape, fn func(*runDay) error) error {
	return parent.ForEachBucket(func(stamp []byte) error {
		d, err := openRuns(parent.Bucket(stamp), shape)
		if err != nil {
			return err
		}
		return fn(d)
	})
}

// mend makes descriptions fit the blocks that are left. A run whose description is lost is taken for whole: if it was
// growing or gone, others have the same entries or newer ones.
func (d *runDay) mend() error {
	described := map[[runName]byte]bool{}
	for _, r := range slices.Clone(d.list) {
		described[r.name] = true
		if r.state == runGrowing { // what it has so far may be damaged, what it grows from is there
			r.state = runGone
			if err := d.store(r); err != nil {
				return err
			}
		}
		if k, _ := d.blocks.Cursor().Seek(r.name[:]); k != nil && bytes.HasPrefix(k, r.name[:]) {
			continue
		}
		if err := d.bucket.Delete(r.name[:]); err != nil {
			return err
		}
		d.list = slices.DeleteFunc(d.list, func(one *run) bool { return one == r })
	}
	highest := d.bucket.Sequence()
	c := d.blocks.Cursor()
	for k, _ := c.First(); len(k) > runName; {
		r := &run{name: [runName]byte(k), state: runWhole}
		r.oldest = r.order()
		highest = max(highest, r.order())
		for ; k != nil && bytes.HasPrefix(k, r.name[:]); k, _ = c.Next() {
			r.entries += uint64(d.perBlock)
		}
		if described[r.name] {
			continue
		}
		if err := errors.Join(d.deleteFilters(r), d.store(r)); err != nil { // they were for segments that nobody knows
			return err
		}
		d.list = append(d.list, r)
	}
	d.sort()
	return d.bucket.SetSequence(highest)
}

// drop deletes the entries that unwanted names. Filters stay: they only say of which keys a run has none.
func (d *runDay) drop(unwanted func(entry []byte) bool) error {
	var changed []blockPut
	c := d.blocks.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		block, err := unseal(k, v)
		if err != nil {
			return err
		}
		var left []byte
		for i := 0; i < len(block); i += d.width {
			if entry := block[i : i+d.width]; !unwanted(entry) {
				left = append(left, entry...)
			}
		}
		if len(left) < len(block) {
			changed = append(changed, blockPut{key: slices.Clone(k), content: left})
		}
	}
	for _, p := range changed {
		if err := putSealed(d.blocks, p.key, p.content); err != nil {
			return err
		}
	}
	return nil
}
