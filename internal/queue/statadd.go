package queue

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"bouncefeed/internal/event"
)

// forgetRows is how many rows a step of Maintain forgets.
const forgetRows = 2000

// addStats adds the fresh rows to the tables, those of hours to their days, too.
func (t *txn) addStats() error {
	sums := map[event.StatKey]uint64{}
	if err := eachFresh(t.Tx, func(s *event.Stat) error {
		sums[s.StatKey] += s.N
		if s.Table == event.StatHours {
			s.Table, s.At = event.StatDays, s.At/24*24
			sums[s.StatKey] += s.N
		}
		return nil
	}); err != nil {
		return err
	}
	a := adding{t: t, names: map[event.StatKey]int{}}
	for _, key := range slices.SortedFunc(maps.Keys(sums), compareStats) {
		if err := a.add(key, sums[key]); err != nil {
			return err
		}
	}
	t.q.freshStats = 0
	return deleteBelow(freshStats(t.Tx), nil, -1)
}

// compareStats is the order of the file.
func compareStats(a, b event.StatKey) int {
	if a.Table != b.Table {
		return int(a.Table) - int(b.Table)
	}
	return bytes.Compare(statKey(&a), statKey(&b))
}

// adding is rows on their way into the tables.
type adding struct {
	t     *txn
	names map[event.StatKey]int // of a period, as far as it was asked: a key without name and kind
}

func (a *adding) add(key event.StatKey, n uint64) error {
	table := tableOf(a.t.Tx, key.Table)
	name := statKey(&key)
	stored := table.Get(name)
	if stored == nil && !a.hasRoom(table, &key) {
		key.Name = OtherName
		name = statKey(&key)
		stored = table.Get(name)
	}
	if stored != nil {
		before, err := unsealNumber(name, stored)
		if err != nil {
			return err
		}
		n += before
	}
	return putSealed(table, name, number(n))
}

// hasRoom says whether the name of a new row is known in its period, or one more may be.
func (a *adding) hasRoom(table *bbolt.Bucket, key *event.StatKey) bool {
	if key.Name == OtherName || nameKnown(table, key) {
		return true
	}
	period := event.StatKey{Table: key.Table, At: key.At}
	n, counted := a.names[period]
	if !counted {
		n = namesIn(table, key.At)
	}
	room := n < statTables[key.Table].names
	if room {
		n++
	}
	a.names[period] = n
	return room
}

func nameKnown(table *bbolt.Bucket, key *event.StatKey) bool {
	prefix := statKey(&event.StatKey{At: key.At, Name: key.Name})
	k, _ := table.Cursor().Seek(prefix)
	return bytes.HasPrefix(k, prefix)
}

// namesIn counts the names of a period.
func namesIn(table *bbolt.Bucket, at uint32) (n int) {
	period := binary.BigEndian.AppendUint32(nil, at)
	var last []byte
	c := table.Cursor()
	for k, _ := c.Seek(period); bytes.HasPrefix(k, period); k, _ = c.Next() {
		name, _, _ := bytes.Cut(k[len(period):], []byte{0})
		if n == 0 || !bytes.Equal(name, last) {
			n, last = n+1, append(last[:0], name...)
		}
	}
	return n
}

// nextStats gives the next piece of work that the statistics need, if any.
func (q *Queue) nextStats(tx *bbolt.Tx, now time.Time) func(*txn) error {
	size := 0
	c := freshStats(tx).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		size += len(v)
	}
	if size >= q.o.freshEnough {
		return (*txn).addStats
	}
	for table := range event.StatTables {
		before := dayOf(now.Add(-statTables[table].keep))
		if firstStat(tx, table) < before {
			return func(t *txn) error { return t.forgetStats(table, before) }
		}
	}
	if forgotten(tx, now) != nil {
		return func(t *txn) error { return t.forgetExamples(now) }
	}
	q.mu.Lock()
	over := q.over(q.used)
	q.mu.Unlock()
	if !over {
		return nil
	}
	return q.oldestStats(tx, now)
}

// oldestStats gives up the oldest day for room, but not today.
func (q *Queue) oldestStats(tx *bbolt.Tx, now time.Time) func(*txn) error {
	oldest := ^uint32(0)
	for table := range event.StatTables {
		oldest = min(oldest, firstStat(tx, table))
	}
	before := oldest/24*24 + 24
	if before > dayOf(now) {
		return nil
	}
	return func(t *txn) error {
		for table := range event.StatTables {
			if err := t.forgetStats(table, before); err != nil {
				return err
			}
		}
		return nil
	}
}

// firstStat is the oldest hour of a table.
func firstStat(tx *bbolt.Tx, table event.StatTable) uint32 {
	k, _ := tableOf(tx, table).Cursor().First()
	if len(k) < 4 {
		return ^uint32(0)
	}
	return binary.BigEndian.Uint32(k)
}

// forgetStats deletes rows of hours before one, some at a time.
func (t *txn) forgetStats(table event.StatTable, before uint32) error {
	return deleteBelow(tableOf(t.Tx, table), binary.BigEndian.AppendUint32(nil, before), forgetRows)
}

// deleteBelow deletes the entries of b before a key, n at most; nil and -1: all.
func deleteBelow(b *bbolt.Bucket, before []byte, n int) error {
	var keys [][]byte
	c := b.Cursor()
	for k, _ := c.First(); k != nil && len(keys) != n && (before == nil || bytes.Compare(k, before) < 0); k, _ = c.Next() {
		keys = append(keys, slices.Clone(k))
	}
	for _, k := range keys {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}
