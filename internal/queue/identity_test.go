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

// changeBlocks has change give the entries to store of every block of identity keys in the closed file at path.
func changeBlocks(t *testing.T, path string, change func(entries, stored []byte) []byte) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, boltOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketKeys).ForEachBucket(func(stamp []byte) error {
			b := tx.Bucket(bucketKeys).Bucket(stamp).Bucket(bucketBlocks)
			all := map[string][]byte{}
			if err := b.ForEach(func(k, v []byte) error { all[string(k)] = slices.Clone(v); return nil }); err != nil {
				return err
			}
			for k, v := range all {
				if err := b.Put([]byte(k), change(v[4:], v)); err != nil {
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
	if err := db.Update(func(tx *bbolt.Tx) error { return putMeta(tx.Bucket(bucketMeta), keyFormat, number(n)) }); err != nil {
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

// A flipped bit among the identity keys is found when the file is opened: its block goes, is counted, and what still
// waits is known again by its own keys.
func TestDamagedIdentityKeys(t *testing.T) {
	for name, change := range map[string]func(v []byte) []byte{
		"key":    func(v []byte) []byte { v[4] ^= 4; return v },
		"seal":   func(v []byte) []byte { v[0] ^= 1; return v },
		"length": func(v []byte) []byte { return v[:10] },
		"empty":  func([]byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "queue.db")
			filled(t, path)
			waits := bounce(150)
			key := waits.Keys()[0]
			lost := 0
			changeBlocks(t, path, func(entries, stored []byte) []byte {
				for i := 0; i < len(entries); i += indexShape.width {
					if bytes.Equal(entries[i:i+len(key)], key[:]) {
						lost++
						return change(stored)
					}
				}
				return stored
			})
			var log bytes.Buffer
			q := openAt(t, path, Options{Outputs: []string{"out"}, Log: textLog(&log)})
			if lost != 1 || !bytes.Contains(log.Bytes(), []byte("damage=map[keys:1]")) {
				t.Errorf("the log does not count %d block:\n%s", lost, log.Bytes())
			}
			if c, _ := q.Checkpoint("in"); c["offset"] != "2" {
				t.Errorf("the source starts over though nothing of it is lost: %v", c)
			}
			if n := repeats(t, q, 100, 300); n != 200 {
				t.Errorf("%d of 200 events that wait are known", n)
			}
		})
	}
}

// While the queue is open, a damaged block stops it: neither a repeat nor news may be guessed.
func TestDamagedReferenceIsNotGuessed(t *testing.T) {
	q := openNew(t, Options{})
	commit(t, q, Batch{Events: bounces(0, 1)})
	if err := q.db.Update(func(tx *bbolt.Tx) error {
		days := tx.Bucket(bucketKeys)
		stamp, _ := days.Cursor().First()
		blocks := days.Bucket(stamp).Bucket(bucketBlocks)
		k, v := blocks.Cursor().First()
		v = slices.Clone(v)
		v[4+indexShape.width-1] ^= 1
		return blocks.Put(slices.Clone(k), v)
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
	changeBlocks(t, path, func(entries, stored []byte) []byte {
		if bytes.Contains(entries, key[:]) {
			stored[0] ^= 1
		}
		return stored
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
