package queue

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"
)

// freshEvent is an event stored in a transaction, until it is put into a group at its end.
type freshEvent struct {
	seq    uint64
	record []byte
	pack   *pack // in which it was compressed beforehand, as the at-th; nil: in none
	at     int
}

// pack is a group made before the transaction, of a batch's neighbouring events. It is of use if all of them are stored.
type pack struct {
	group []byte
	n     int
}

// store queues an encoded record for every output.
func (t *txn) store(record []byte) (seq uint64, err error) { return t.storePacked(record, nil, 0) }

func (t *txn) storePacked(record []byte, p *pack, at int) (seq uint64, err error) {
	if seq, err = t.Bucket(bucketGroups).NextSequence(); err != nil {
		return 0, err
	}
	t.queued++
	t.fresh = append(t.fresh, freshEvent{seq, record, p, at})
	return seq, nil
}

// storeGroups puts what was stored in groups.
func (t *txn) storeGroups() error {
	if len(t.fresh) == 0 {
		return nil
	}
	if t.q.o.History > 0 {
		if err := t.noteDay(t.fresh[0].seq); err != nil {
			return err
		}
	}
	groups := t.Bucket(bucketGroups)
	groups.FillPercent = 1 // appended to in order
	for fresh := t.fresh; len(fresh) > 0; {
		group, n := packed(fresh)
		if group == nil {
			group, n = packGroup(unpacked(fresh), &t.q.ratio)
		}
		key := number(fresh[0].seq)
		if err := groups.Put(key, seal(key, group)); err != nil {
			return err
		}
		fresh = fresh[n:]
	}
	t.fresh = nil
	if t.q.o.History > 0 && t.q.crowded() {
		return t.forgetPassed()
	}
	return nil
}

// packed gives the group that the first of fresh were compressed in beforehand.
func packed(fresh []freshEvent) (group []byte, n int) {
	p := fresh[0].pack
	if p == nil || p.n > len(fresh) {
		return nil, 0
	}
	for i, f := range fresh[:p.n] {
		if f.pack != p || f.at != i || f.seq != fresh[0].seq+uint64(i) {
			return nil, 0
		}
	}
	return p.group, p.n
}

// unpacked gives the records of the first of fresh that have consecutive numbers, up to where a ready group begins.
func unpacked(fresh []freshEvent) (records [][]byte) {
	for i, f := range fresh {
		if f.seq != fresh[0].seq+uint64(i) || i >= groupEvents {
			break
		}
		if i > 0 && f.pack != nil && f.at == 0 {
			if group, _ := packed(fresh[i:]); group != nil {
				break
			}
		}
		records = append(records, f.record)
	}
	return records
}

// packAll makes groups of records beforehand, in the time of whoever commits them and not in a transaction's.
func packAll(records [][]byte) (packs []*pack) {
	for ratio := 0.0; len(records) > 0; {
		group, n := packGroup(records, &ratio)
		packs = append(packs, &pack{group, n})
		records = records[n:]
	}
	return packs
}

// seekGroup gives the group that event seq lies in, or the first one behind it; a nil key: there is none.
func seekGroup(c *bbolt.Cursor, seq uint64) (first uint64, group []byte) {
	want := number(seq)
	k, v := c.Seek(want)
	if k != nil && bytes.Equal(k, want) {
		return seq, v
	}
	if k == nil {
		k, v = c.Last()
	} else {
		k, v = c.Prev()
	}
	if k != nil && numbered(k)+groupCount(v) > seq {
		return numbered(k), v
	}
	if k == nil { // before the first
		k, v = c.Seek(want)
	} else {
		k, v = c.Next()
	}
	return numbered(k), v
}

// nextEvent gives the number of the first event from seq on; 0: there is none.
func nextEvent(c *bbolt.Cursor, seq uint64) uint64 {
	first, group := seekGroup(c, seq)
	if group == nil {
		return 0
	}
	return max(first, seq)
}

// lastEvent gives the number of the last event; 0: there is none.
func lastEvent(groups *bbolt.Bucket) uint64 {
	k, v := groups.Cursor().Last()
	if k == nil {
		return 0
	}
	return numbered(k) + groupCount(v) - 1
}

// countEvents counts the events from seq on.
func countEvents(groups *bbolt.Bucket, seq uint64) (n uint64) {
	c := groups.Cursor()
	for first, group := seekGroup(c, seq); group != nil; {
		n += first + groupCount(group) - max(first, seq)
		var k []byte
		k, group = c.Next()
		first = numbered(k)
	}
	return n
}

// storedGroup is a copy of a group, to be taken apart when the lock is let go; completed are those of its events of which
// more became known since.
type storedGroup struct {
	first     uint64
	sealed    []byte
	completed map[uint64][]byte
}

// groupsFrom copies groups that have at least max events from seq on, if there are so many.
func groupsFrom(tx *bbolt.Tx, seq uint64, max int) (groups []storedGroup, err error) {
	c := tx.Bucket(bucketGroups).Cursor()
	for first, group := seekGroup(c, seq); group != nil && max > 0; {
		if err := checkGroup(number(first), group); err != nil {
			return nil, err
		}
		n := groupCount(group)
		g := storedGroup{first: first, sealed: slices.Clone(group)}
		if g.completed, err = completedIn(tx, first, n); err != nil {
			return nil, err
		}
		groups = append(groups, g)
		max -= int(first + n - seq)
		var k []byte
		k, group = c.Next()
		first = numbered(k)
		seq = first
	}
	return groups, nil
}

// completedIn gives the records that stand for those of events first to first+n-1.
func completedIn(tx *bbolt.Tx, first, n uint64) (all map[uint64][]byte, err error) {
	c := tx.Bucket(bucketCompleted).Cursor()
	for k, v := c.Seek(number(first)); k != nil && numbered(k) < first+n; k, v = c.Next() {
		text, err := unseal(k, v)
		if err != nil {
			return nil, err
		}
		if all == nil {
			all = map[uint64][]byte{}
		}
		all[numbered(k)] = slices.Clone(text)
	}
	return all, nil
}

// records gives the group's events from seq on, at most max.
func (g *storedGroup) records(seq uint64, max int) (items []Item, err error) {
	texts, err := unpackGroup(g.sealed)
	if err != nil {
		return nil, err
	}
	for i, text := range texts {
		at := g.first + uint64(i)
		if at < seq || len(items) >= max {
			continue
		}
		if c := g.completed[at]; c != nil {
			text = c
		}
		r, err := parseRecord(text)
		if err != nil {
			return nil, fmt.Errorf("%w: a record is not JSON: %w", ErrDamaged, err)
		}
		items = append(items, Item{Seq: at, Event: r.Event})
	}
	return items, nil
}

// record gives what is stored of event seq; nil: it is not there.
func (t *txn) record(seq uint64) (*record, error) {
	if i, ok := slices.BinarySearchFunc(t.fresh, seq, func(f freshEvent, seq uint64) int { return cmp.Compare(f.seq, seq) }); ok {
		return parseRecord(t.fresh[i].record)
	}
	groups, err := groupsFrom(t.Tx, seq, 1)
	if err != nil || len(groups) == 0 || groups[0].first > seq {
		return nil, err
	}
	g := groups[0]
	if text := g.completed[seq]; text != nil {
		return parseRecord(text)
	}
	texts, err := unpackGroup(g.sealed)
	if err != nil {
		return nil, err
	}
	return parseRecord(texts[seq-g.first])
}
