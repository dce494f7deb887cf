package queue

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// BenchmarkBareSync is what the disk gives: a page written and made durable.
func BenchmarkBareSync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "bare"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, pageSize)
	for b.Loop() {
		if _, err := f.WriteAt(page, 0); err != nil {
			b.Fatal(err)
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBareBolt is what the disk and bbolt give without us: one event's bytes a transaction.
func BenchmarkBareBolt(b *testing.B) {
	db, err := bbolt.Open(filepath.Join(b.TempDir(), "bare.db"), 0o600, boltOptions())
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	name, value := []byte("events"), make([]byte, 600)
	for n := uint64(0); b.Loop(); n++ {
		if err := db.Update(func(tx *bbolt.Tx) error {
			bucket, err := tx.CreateBucketIfNotExists(name)
			if err != nil {
				return err
			}
			return bucket.Put(number(n), value)
		}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCommit is one event a Commit, by one caller and by 128 at once.
func BenchmarkCommit(b *testing.B) {
	var n atomic.Int64
	one := func(b *testing.B, q *Queue) {
		i := int(n.Add(1))
		if _, err := q.Commit(context.Background(), Batch{Input: "hook", Events: bounces(i, i+1)}); err != nil {
			b.Error(err)
		}
	}
	b.Run("callers=1", func(b *testing.B) {
		q := openNew(b, Options{})
		for b.Loop() {
			one(b, q)
		}
	})
	b.Run("callers=128", func(b *testing.B) {
		q := openNew(b, Options{})
		b.SetParallelism(64) // times GOMAXPROCS
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				one(b, q)
			}
		})
	})
}

// BenchmarkLogBlock is what a 4 MiB block of a busy log gives: 20 000 deliveries, 2000 changes of state, 200 bounces.
func BenchmarkLogBlock(b *testing.B) {
	q := openNew(b, Options{})
	random := rand.New(rand.NewPCG(1, 1))
	n := 0
	for b.Loop() {
		b.StopTimer()
		batch := Batch{Input: "log", Events: bounces(n, n+200), State: map[string][]byte{}, Checkpoint: map[string]string{"offset": fmt.Sprint(n)}}
		for i := range batch.Events { // as a log tells it: Message-ID and queue id
			batch.Events[i].OtherQueueIDs, batch.Events[i].ProviderID = nil, ""
		}
		for i := range 1000 {
			batch.State[fmt.Sprintf("4X%dq%d", n, i)] = make([]byte, 80)
			batch.State[fmt.Sprintf("4X%dq%d", n-400, i)] = nil
		}
		batch.Sent = make([][8]byte, 20_000)
		for i := range batch.Sent {
			binary.NativeEndian.PutUint64(batch.Sent[i][:], random.Uint64())
		}
		n += 200
		b.StartTimer()
		if _, err := q.Commit(context.Background(), batch); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDeliver(b *testing.B) {
	q := openNew(b, Options{})
	n := 0
	for b.Loop() {
		b.StopTimer()
		commit(b, q, Batch{Events: bounces(n, n+50)})
		n += 50
		b.StartTimer()
		items, err := q.Next(context.Background(), "out", 50)
		if err != nil {
			b.Fatal(err)
		}
		s := make([]Settled, len(items))
		for i := range s {
			s[i] = Settled{Seq: items[i].Seq, Outcome: Sent}
		}
		if err := q.Settle("out", s); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWasSent looks up among 15 days of 200 000 messages each.
func BenchmarkWasSent(b *testing.B) {
	now := time.Unix(1_800_000_000, 0)
	q := openNew(b, Options{Now: func() time.Time { return now }})
	random := rand.New(rand.NewPCG(1, 1))
	for range 15 {
		for range 10 {
			sent := make([][8]byte, 20_000)
			for i := range sent {
				binary.NativeEndian.PutUint64(sent[i][:], random.Uint64())
			}
			commit(b, q, Batch{Sent: sent})
		}
		now = now.Add(24 * time.Hour)
		if err := q.Maintain(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(stats(b, q).Used)/3e6, "disk-B/message")
	var h [8]byte
	for b.Loop() {
		binary.NativeEndian.PutUint64(h[:], random.Uint64())
		if _, err := q.WasSent(h); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMaintainIdle is the cost of a call with nothing to do.
func BenchmarkMaintainIdle(b *testing.B) {
	q := openNew(b, Options{})
	commit(b, q, Batch{Events: bounces(0, 1000)})
	for b.Loop() {
		if err := q.Maintain(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStored tells how many bytes an event takes.
func BenchmarkStored(b *testing.B) {
	e := bounce(123456)
	size := 0
	for b.Loop() {
		stored, err := encodeRecord(&e, time.Time{}, "")
		if err != nil {
			b.Fatal(err)
		}
		size = len(stored)
	}
	b.ReportMetric(float64(size), "B/event")
}
