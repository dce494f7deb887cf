package queue

import (
	"bytes"
	"sort"

	"go.etcd.io/bbolt"
)

// find gives the newest entry with that key; nil: there is none.
func (d *runDay) find(key []byte) ([]byte, error) {
	for i := len(d.list) - 1; i >= 0; i-- {
		r := d.list[i]
		if r.state != runWhole || d.filtered && r.level() > 0 && !d.mayHave(r, key) {
			continue
		}
		c := d.blocks.Cursor()
		k, v := seekBlock(c, r, key)
		if k == nil {
			continue
		}
		block, err := unseal(k, v)
		if err != nil {
			return nil, err
		}
		if at := d.lowest(block, key); at < len(block) && bytes.Equal(block[at:at+d.key], key) {
			return block[at : at+d.width], nil
		}
	}
	return nil, nil
}

// mayHave asks r's filter.
func (d *runDay) mayHave(r *run, key []byte) bool {
	s := r.segment(key)
	filter, known := r.segments[s]
	if !known {
		filter = d.filters.Get(filterKey(r, s))
		if r.segments == nil {
			r.segments = map[uint32][]byte{}
		}
		r.segments[s] = filter
	}
	// A segment without keys has no filter; one whose filter was damaged has none either, and its blocks are searched.
	return filterHas(filter, key)
}

// lowest gives where in a block the first entry stands whose key is not below key.
func (d *runDay) lowest(block, key []byte) int {
	return d.width * sort.Search(len(block)/d.width, func(i int) bool {
		return bytes.Compare(block[i*d.width:i*d.width+d.key], key) >= 0
	})
}

// seekBlock gives the block of r in which key would stand; nil: r has no such block.
func seekBlock(c *bbolt.Cursor, r *run, key []byte) (k, v []byte) {
	want := blockKey(r, key)
	if k, v = c.Seek(want); k != nil && bytes.Equal(k, want) {
		return k, v
	}
	if k == nil {
		k, v = c.Last()
	} else {
		k, v = c.Prev()
	}
	if k == nil || !bytes.HasPrefix(k, r.name[:]) {
		return nil, nil
	}
	return k, v
}

// each gives the entries of all runs from low on whose keys begin with prefix, whatever their order.
func (d *runDay) each(prefix []byte, found func(entry []byte)) error {
	low := make([]byte, d.key)
	copy(low, prefix)
	for _, r := range d.list {
		if r.state != runWhole {
			continue
		}
		it := runIterator{day: d, run: r}
		if err := it.seek(low); err != nil {
			return err
		}
		for it.entry != nil && bytes.HasPrefix(it.entry, prefix) {
			found(it.entry)
			if err := it.next(); err != nil {
				return err
			}
		}
	}
	return nil
}

// runIterator reads a run in order. Whatever changes the day's blocks ends it.
type runIterator struct {
	day    *runDay
	run    *run
	cursor *bbolt.Cursor
	block  []byte // what is left of it, entry first
	entry  []byte // nil: the end
}

// seek goes to the first entry whose key is not below key.
func (it *runIterator) seek(key []byte) error {
	it.cursor = it.day.blocks.Cursor()
	k, v := seekBlock(it.cursor, it.run, key)
	if k == nil {
		if k, v = it.cursor.Seek(it.run.name[:]); k == nil || !bytes.HasPrefix(k, it.run.name[:]) {
			it.entry = nil
			return nil
		}
	}
	block, err := unseal(k, v)
	if err != nil {
		return err
	}
	it.block = block[it.day.lowest(block, key):]
	return it.settle()
}

func (it *runIterator) next() error {
	it.block = it.block[it.day.width:]
	return it.settle()
}

// settle makes entry the first one that is left, of the next block if need be.
func (it *runIterator) settle() error {
	for len(it.block) < it.day.width {
		k, v := it.cursor.Next()
		if k == nil || !bytes.HasPrefix(k, it.run.name[:]) {
			it.entry = nil
			return nil
		}
		var err error
		if it.block, err = unseal(k, v); err != nil {
			return err
		}
	}
	it.entry = it.block[:it.day.width]
	return nil
}
