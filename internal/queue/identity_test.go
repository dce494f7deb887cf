package queue

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"bouncefeed/internal/event"
)

// changeIndex has change give the value to store of every identity key in the closed file at path.
func changeIndex(t *testing.T, path string, change func(key, value []byte) []byte) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, boltOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketIndex).ForEachBucket(func(stamp []byte) error {
			b := tx.Bucket(bucketIndex).Bucket(stamp)
			all := map[string][]byte{}
			if err := b.ForEach(func(k, v []byte) error { all[string(k)] = slices.Clone(v); return nil }); err != nil {
				return err
			}
			for k, v := range all {
				if err := b.Put([]byte(k), change([]byte(k), v)); err != nil {
					return err
				}
			}
			return nil
		})
	}); err != nil {
		t.Fatal(err)
	}
}

func setFormat(t *testing.T, path string, n uint64) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, boltOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(keyFormat, number(n)) }); err != nil {
		t.Fatal(err)
	}
}

func repeats(t *testing.T, q *Queue, from, to int) (n int) {
	t.Helper()
	for _, repeat := range commit(t, q, Batch{Events: bounces(from, to)}).Repeat {
		if repeat {
			n++
		}
	}
	return n
}

// A file of format 1, whose identity keys have no seal, goes on as it is; what is stored from then on is sealed.
func TestUnsealedIdentityKeysStayKnown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	filled(t, path)
	changeIndex(t, path, func(_, v []byte) []byte { return v[:8] })
	setFormat(t, path, 1)

	q := openAt(t, path, Options{Outputs: []string{"out"}})
	if n := repeats(t, q, 0, 300); n != 300 {
		t.Errorf("%d of 300 events are known", n)
	}
	if n := repeats(t, q, 1000, 1010); n != 0 {
		t.Errorf("%d of 10 new events are known", n)
	}
	if r := commit(t, q, Batch{Held: []Held{{Event: bounce(305), Why: "again"}}, Events: bounces(300, 301)}); r.Repeat[0] {
		t.Error("a held event was taken for one that was queued")
	}
	q.Close()
	lengths := map[int]bool{}
	changeIndex(t, path, func(_, v []byte) []byte { lengths[len(v)] = true; return v })
	if len(lengths) != 2 || !lengths[8] || !lengths[12] {
		t.Errorf("lengths of values: %v", lengths)
	}
	openAt(t, path, Options{}).Close()
	if aside := damaged(path); len(aside) > 0 {
		t.Errorf("moved aside: %q", aside)
	}
}

// A flipped bit in a reference is found when the file is opened: its key goes, is counted, and what still waits is known
// again by its own keys.
func TestDamagedIdentityKeys(t *testing.T) {
	for name, change := range map[string]func(v []byte) []byte{
		"reference": func(v []byte) []byte { v[7] ^= 4; return v },
		"held mark": func(v []byte) []byte { v[0] ^= 0x80; return v },
		"seal":      func(v []byte) []byte { v[11] ^= 1; return v },
		"length":    func(v []byte) []byte { return v[:10] },
		"empty":     func([]byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "queue.db")
			filled(t, path)
			sent, waits := bounce(5), bounce(150)
			keys := slices.Concat(sent.Keys(), waits.Keys())
			changeIndex(t, path, func(k, v []byte) []byte {
				if slices.ContainsFunc(keys, func(key event.Key) bool { return bytes.Equal(key[:], k) }) {
					return change(v)
				}
				return v
			})
			var log bytes.Buffer
			q := openAt(t, path, Options{Outputs: []string{"out"}, Log: textLog(&log)})
			if len(keys) != 8 || !bytes.Contains(log.Bytes(), []byte("damage=map[index:8]")) {
				t.Errorf("the log does not count %d keys:\n%s", len(keys), log.Bytes())
			}
			if c, _ := q.Checkpoint("in"); c["offset"] != "2" {
				t.Errorf("the source starts over though nothing of it is lost: %v", c)
			}
			if n := repeats(t, q, 0, 5) + repeats(t, q, 6, 300); n != 299 {
				t.Errorf("%d of 299 events are known", n)
			}
			if n := repeats(t, q, 5, 6); n != 0 {
				t.Error("an event is known by a damaged key")
			}
		})
	}
}

// While the queue is open, a damaged reference stops it: neither a repeat nor news may be guessed.
func TestDamagedReferenceIsNotGuessed(t *testing.T) {
	q := openNew(t, Options{})
	commit(t, q, Batch{Events: bounces(0, 1)})
	if err := q.db.Update(func(tx *bbolt.Tx) error {
		index := tx.Bucket(bucketIndex)
		stamp, _ := index.Cursor().First()
		e := bounce(0)
		key := e.Keys()[0]
		v := slices.Clone(index.Bucket(stamp).Get(key[:]))
		v[7] ^= 1
		return index.Bucket(stamp).Put(key[:], v)
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Commit(context.Background(), Batch{Input: "in", Events: bounces(0, 1)}); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

// A report that names no recipient of its own is known by its subscriber, after a repair too, and the address that it
// claims stands in nobody's way.
func TestProvenSubscriberOutlivesRepair(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	filled(t, path)
	claimed := event.Event{ID: "1", Time: time.Unix(1_800_000_000, 0), Type: event.Hard, SubscriberUUID: "7a8b9c0d-1e2f-4a3b-9c4d-5e6f7a8b9c0d",
		Claimed: "jo@example.org", MessageID: "claimed@news.example", Proof: event.ProofSubscriber}
	q := openAt(t, path, Options{Outputs: []string{"out"}})
	commit(t, q, Batch{Events: []event.Event{claimed}})
	q.Close()
	key := claimed.Keys()[0]
	changeIndex(t, path, func(k, v []byte) []byte {
		if bytes.Equal(k, key[:]) {
			v[11] ^= 1
		}
		return v
	})
	q = openAt(t, path, Options{Outputs: []string{"out"}})
	if len(damaged(path)) != 1 {
		t.Fatal("the damage was not found")
	}
	log := event.Event{Time: claimed.Time, Type: event.Hard, Recipient: claimed.Claimed, MessageID: claimed.MessageID}
	if r := commit(t, q, Batch{Events: []event.Event{claimed, log}}); !r.Repeat[0] || r.Repeat[1] {
		t.Errorf("the same report, what the log tells of the address claimed: repeats %v", r.Repeat)
	}
}

// Keys are known for the whole retention, whatever Maintain forgets on the way.
func TestKeysAreKeptForTheRetention(t *testing.T) {
	for _, retain := range []time.Duration{15 * 24 * time.Hour, time.Hour} {
		start := time.Unix(1_800_000_000, 0)
		now := start
		q := openNew(t, Options{Now: func() time.Time { return now }, Retain: retain})
		for n := range 50 { // one event every fiftieth of the retention; the first is the one to be kept longest
			now = start.Add(retain * time.Duration(n) / 50)
			commit(t, q, Batch{Events: bounces(n, n+1)})
			if err := q.Maintain(); err != nil {
				t.Fatal(err)
			}
		}
		now = start.Add(retain - 1)
		if err := q.Maintain(); err != nil {
			t.Fatal(err)
		}
		if n := repeats(t, q, 0, 50); n != 50 {
			t.Errorf("retain %v: %d of 50 are known at its end", retain, n)
		}
	}
}
