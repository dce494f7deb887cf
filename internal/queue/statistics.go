package queue

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"bouncefeed/internal/event"
)

// Statistics are rows that say how often something was seen. A commit appends those it brings, as one sealed piece, to
// "fresh"; Maintain, or a commit that finds much there, adds them to the tables. Who reads sees both.
//
// A table's key is the hour (4 bytes), the name, a zero byte and the kind: names, of which a stranger can make many, stand
// together and can be counted. The value is a sealed number. Rows never keep a source waiting: in a full queue the oldest
// day's go.

// statTable is how a table is bounded.
type statTable struct {
	name  string
	keep  time.Duration
	names int // of an hour, or a day; further ones count as OtherName
}

const statDay = 24 * time.Hour

var statTables = [event.StatTables]statTable{
	event.StatHours:     {"hours", 31 * statDay, 200},
	event.StatDays:      {"days", 400 * statDay, 200},
	event.StatDomains:   {"domains", 35 * statDay, 1000},
	event.StatLates:     {"lates", 400 * statDay, 200},
	event.StatLists:     {"lists", 31 * statDay, 500},
	event.StatCover:     {"cover", 400 * statDay, 200},
	event.StatCampaigns: {"campaigns", 35 * statDay, 200},
}

// OtherName is what names count under for which there is no room.
const OtherName = "other"

const (
	maxStatName = 255
	freshEnough = 64 << 10 // bytes that Maintain adds to the tables
	freshMost   = 1 << 20  // bytes that a commit does
)

// Nested buckets of bucketStats beside the tables.
var (
	statsFresh    = []byte("fresh")    // number → sealed rows
	statsExamples = []byte("examples") // see example.go
)

// createStats makes what is nested in the bucket.
func createStats(tx *bbolt.Tx) error {
	stats := tx.Bucket(bucketStats)
	names := [][]byte{statsFresh, statsExamples, statsFindings}
	for i := range statTables {
		names = append(names, []byte(statTables[i].name))
	}
	for _, name := range names {
		if _, err := stats.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	return nil
}

func freshStats(tx *bbolt.Tx) *bbolt.Bucket { return tx.Bucket(bucketStats).Bucket(statsFresh) }

func tableOf(tx *bbolt.Tx, table event.StatTable) *bbolt.Bucket {
	return tx.Bucket(bucketStats).Bucket([]byte(statTables[table].name))
}

// appendStat encodes a row.
func appendStat(b []byte, s *event.Stat) []byte {
	name := s.Name
	if len(name) > maxStatName || strings.IndexByte(name, 0) >= 0 {
		name = OtherName
	}
	b = append(b, byte(s.Table))
	b = binary.BigEndian.AppendUint32(b, s.At)
	b = binary.AppendUvarint(b, s.N)
	b = append(append(b, byte(len(name))), name...)
	return append(append(b, byte(len(s.Kind))), s.Kind...)
}

// eachStat decodes rows.
func eachStat(b []byte, each func(*event.Stat) error) error {
	text := func() (string, bool) {
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			return "", false
		}
		s := string(b[1 : 1+int(b[0])])
		b = b[1+int(b[0]):]
		return s, true
	}
	for len(b) > 0 {
		var s event.Stat
		sound := len(b) > 5 && event.StatTable(b[0]) < event.StatTables
		if sound {
			s.Table, s.At = event.StatTable(b[0]), binary.BigEndian.Uint32(b[1:])
			n, size := binary.Uvarint(b[5:])
			s.N, b = n, b[5+max(size, 0):]
			var named, kinded bool
			s.Name, named = text()
			s.Kind, kinded = text()
			sound = size > 0 && named && kinded
		}
		if !sound {
			return fmt.Errorf("%w: fresh statistics make no sense", ErrDamaged)
		}
		if err := each(&s); err != nil {
			return err
		}
	}
	return nil
}

// statKey is a row's key in its table, parseStat reads it.
func statKey(s *event.StatKey) []byte {
	key := make([]byte, 0, 5+len(s.Name)+len(s.Kind))
	key = append(binary.BigEndian.AppendUint32(key, s.At), s.Name...)
	return append(append(key, 0), s.Kind...)
}

func parseStat(table event.StatTable, k, v []byte) (s event.Stat, err error) {
	s.N, err = unsealNumber(k, v)
	if err == nil && len(k) < 5 {
		err = fmt.Errorf("%w: a row's key of %d bytes", ErrDamaged, len(k))
	}
	if err != nil {
		return s, err
	}
	s.Table, s.At = table, binary.BigEndian.Uint32(k)
	s.Name, s.Kind, _ = strings.Cut(string(k[4:]), "\x00")
	return s, nil
}

// tell counts what an event that is stored now counts as.
func (t *txn) tell(e *event.Event) error {
	if t.q.o.Counted == nil {
		return nil
	}
	c := t.q.o.Counted(e)
	return t.tellAll(&c)
}

func (t *txn) tellAll(c *event.Counted) error {
	for i := range c.Stats {
		t.stats = appendStat(t.stats, &c.Stats[i])
	}
	for i := range c.Examples {
		if err := t.putExample(&c.Examples[i]); err != nil {
			return err
		}
	}
	return nil
}

// tellRows gives encoded rows that are on disk to who counts along.
func (q *Queue) tellRows(encoded []byte) {
	if q.o.Told == nil || len(encoded) == 0 {
		return
	}
	var rows []event.Stat
	if eachStat(encoded, func(s *event.Stat) error { rows = append(rows, *s); return nil }) == nil {
		q.o.Told(rows)
	}
}

// storeStats appends what this transaction was told.
func (t *txn) storeStats() error {
	if len(t.stats) == 0 {
		return nil
	}
	fresh := freshStats(t.Tx)
	n, err := fresh.NextSequence()
	if err != nil {
		return err
	}
	if err := putSealed(fresh, number(n), t.stats); err != nil {
		return fmt.Errorf("store statistics: %w", err)
	}
	if t.q.freshStats += len(t.stats); t.q.freshStats < freshMost {
		return nil
	}
	return t.addStats()
}

// Statistics gives the rows of the hours from since on, and before until. What is no longer known by the hour it gives as rows of
// StatHours at the first hour of the day. Rows of one key may come more than once: they add up.
func (q *Queue) Statistics(since, until time.Time, each func(*event.Stat)) error {
	from, to := event.Hours(since)/24*24, event.Hours(until.Add(time.Hour-1))
	give := func(s *event.Stat) {
		switch {
		case s.At < from || s.At >= to:
		case s.Table == event.StatDays:
			s.Table = event.StatHours
			each(s)
		case s.Table != event.StatHours || s.At >= event.Hours(since):
			each(s)
		}
	}
	return q.view(func(tx *bbolt.Tx) error {
		byHour := firstStat(tx, event.StatHours) / 24 * 24 // it is whole days that are forgotten
		for table := range event.StatTables {
			first, end := from, to
			switch table {
			case event.StatHours:
				first = max(from, byHour)
			case event.StatDays:
				end = min(to, byHour)
			}
			c := tableOf(tx, table).Cursor()
			for k, v := c.Seek(binary.BigEndian.AppendUint32(nil, first)); k != nil && binary.BigEndian.Uint32(k) < end; k, v = c.Next() {
				s, err := parseStat(table, k, v)
				if err != nil {
					return err
				}
				give(&s)
			}
		}
		return eachFresh(tx, func(s *event.Stat) error { give(s); return nil })
	})
}

// eachFresh goes over the rows that are in no table so far.
func eachFresh(tx *bbolt.Tx, each func(*event.Stat) error) error {
	return freshStats(tx).ForEach(func(k, v []byte) error {
		rows, err := unseal(k, v)
		if err != nil {
			return err
		}
		return eachStat(rows, each)
	})
}

// dayOf is the first hour of a day.
func dayOf(t time.Time) uint32 { return event.Hours(t) / 24 * 24 }
