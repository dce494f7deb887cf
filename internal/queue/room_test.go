package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
)

func TestFullQueueBlocks(t *testing.T) {
	q := openNew(t, Options{MaxSize: 256 << 10})
	n := 0
	for ; !stats(t, q).Full; n += 50 {
		commit(t, q, Batch{Events: bounces(n, n+50)})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := q.Commit(ctx, Batch{Input: "in", Events: bounces(n, n+1)}); !errors.Is(err, context.Canceled) {
		t.Errorf("Commit into a full queue: %v", err)
	}
	done := make(chan error)
	go func() {
		_, err := q.Commit(context.Background(), Batch{Input: "in", Events: bounces(n, n+1)})
		done <- err
	}()
	for settled := 0; ; {
		select {
		case err := <-done:
			if err != nil || settled == 0 {
				t.Errorf("Commit after %d were settled: %v", settled, err)
			}
			if got := settled + len(next(t, q, "out")); got != n+1 {
				t.Errorf("%d events, want %d", got, n+1)
			}
			return
		default:
			items, err := q.Next(context.Background(), "out", 10)
			if err != nil {
				t.Fatal(err)
			}
			var s []Settled
			for _, i := range items {
				s = append(s, Settled{Seq: i.Seq, Outcome: Sent})
			}
			settled += len(s)
			if err := q.Settle("out", s); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Identity keys, ledger and state alone may be more than max_size: with nothing to send nothing makes room.
func TestFullOfWhatIsNeverSent(t *testing.T) {
	var log bytes.Buffer
	q := openNew(t, Options{MaxSize: 64 << 10, Log: textLog(&log)})
	for n := range 20 {
		commit(t, q, Batch{State: map[string][]byte{fmt.Sprint(n): make([]byte, 10_000)}})
	}
	if s := stats(t, q); s.Full || s.Used < s.MaxSize {
		t.Errorf("stats: %+v", s)
	}
	if n := strings.Count(log.String(), "max_size"); n < 1 || strings.Count(log.String(), "WARN") != 1 {
		t.Errorf("warned %d times:\n%s", n, log.String())
	}
	commit(t, q, Batch{Events: bounces(0, 1)})
	if !stats(t, q).Full {
		t.Error("not full with an event pending")
	}
	settleAll(t, q, "out", Sent)
	commit(t, q, Batch{Events: bounces(1, 2)})
}

func TestNextWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	synctest.Test(t, func(t *testing.T) {
		q := openAt(t, path, Options{Outputs: []string{"out"}})
		got := make(chan []Item)
		wait := func() {
			go func() {
				items, _ := q.Next(context.Background(), "out", 5)
				got <- items
			}()
			synctest.Wait()
			select {
			case i := <-got:
				t.Fatalf("Next returned with nothing there: %v", i)
			default:
			}
		}
		wait()
		commit(t, q, Batch{State: map[string][]byte{"k": nil}})
		commit(t, q, Batch{Events: bounces(0, 1)})
		if i := <-got; len(i) != 1 {
			t.Errorf("got %v", i)
		}
		settleAll(t, q, "out", Dead)
		wait()
		if _, err := q.RetryDead("out", nil); err != nil {
			t.Fatal(err)
		}
		if i := <-got; len(i) != 1 {
			t.Errorf("retried: got %v", i)
		}
		settleAll(t, q, "out", Sent)
		commit(t, q, Batch{Held: []Held{{Event: bounce(2)}}})
		wait()
		if _, err := q.ReleaseHeld(nil); err != nil {
			t.Fatal(err)
		}
		if i := <-got; len(i) != 1 {
			t.Errorf("released: got %v", i)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := q.Next(ctx, "out", 1); err != nil {
			t.Error("events are there, and Next looks at ctx first")
		}
	})
}

func TestConcurrentCommitsShareTransactions(t *testing.T) {
	q := openNew(t, Options{})
	var group sync.WaitGroup
	q.lock <- struct{}{}
	start := txid(q)
	for n := range 64 {
		group.Go(func() {
			r, err := q.Commit(context.Background(), Batch{Input: "hook", Events: bounces(n/2, n/2+1)})
			if err != nil || len(r.Repeat) != 1 {
				t.Error(err)
			}
		})
	}
	for queued := 0; queued < 64; {
		q.mu.Lock()
		queued = len(q.waiting)
		q.mu.Unlock()
	}
	<-q.lock
	group.Wait()
	q.lock <- struct{}{}
	if n := txid(q) - start; n != 1 {
		t.Errorf("64 commits took %d transactions", n)
	}
	<-q.lock
	if s := stats(t, q); s.Pending["out"] != 32 || s.Counters[repeated("hook")] != 32 {
		t.Errorf("stats: %v", s.Counters)
	}
}

func txid(q *Queue) (id int) {
	tx, err := q.db.Begin(false)
	if err != nil {
		panic(err)
	}
	defer tx.Rollback()
	return tx.ID()
}

// A commit given up while it waits for another transaction leaves nothing behind.
func TestCommitGivenUp(t *testing.T) {
	q := openNew(t, Options{})
	ctx, cancel := context.WithCancel(context.Background())
	q.lock <- struct{}{}
	done := make(chan error)
	go func() {
		_, err := q.Commit(ctx, Batch{Input: "in", Events: bounces(0, 1)})
		done <- err
	}()
	for queued := 0; queued < 1; {
		q.mu.Lock()
		queued = len(q.waiting)
		q.mu.Unlock()
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Commit: %v", err)
	}
	<-q.lock
	if r := commit(t, q, Batch{Events: bounces(0, 1)}); r.Repeat[0] {
		t.Error("given up and yet stored")
	}
}

// smallDisk is a file system of size, as tmpfs has it.
func smallDisk(t *testing.T, size string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skip("NOT TESTED: what a full disk does; mounting a small tmpfs needs root: ", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// What of a batch does not fit on the disk is not done with; its source tells all of it again.
func TestDiskFull(t *testing.T) {
	dir := smallDisk(t, "1m")
	path := filepath.Join(dir, "queue.db")
	q := openAt(t, path, Options{Outputs: []string{"out"}})
	n, err := 0, error(nil)
	for ; err == nil; n++ {
		b := Batch{Input: "in", Events: bounces(50*n, 50*n+50), Checkpoint: map[string]string{"n": fmt.Sprint(n)},
			Counts: read(50)}
		_, err = q.Commit(context.Background(), b)
	}
	n--
	if !errors.Is(err, syscall.ENOSPC) && !strings.Contains(err.Error(), "no space") ||
		!strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "free some space") {
		t.Errorf("the error names no path or remedy: %v", err)
	}
	if _, again := q.Commit(context.Background(), Batch{Input: "in", Events: bounces(0, 5000), Counts: read(5000)}); again == nil {
		t.Error("the disk is full and Commit says nothing")
	}
	check := func(what string) {
		t.Helper()
		if c, err := q.Checkpoint("in"); err != nil || c["n"] != fmt.Sprint(n-1) {
			t.Errorf("%s: checkpoint %v, %v, want %d", what, c, err, n-1)
		}
		got := messageIDs(next(t, q, "out"))
		if len(got) < 50*n || len(got) >= 5000 {
			t.Errorf("%s: %d events, want those of %d batches", what, len(got), n)
		}
		for i, e := range bounces(0, len(got)) { // of what did not fit whole, a part
			if got[i] != e.MessageID {
				t.Fatalf("%s: event %d is %s, want %s", what, i, got[i], e.MessageID)
			}
		}
		checkAccounts(t, q, "out")
	}
	check("while full")
	q.Close()
	q, err = Open(path, Options{})
	if err != nil {
		t.Fatalf("open on a full disk: %v", err)
	}
	check("opened again")
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=8m"); err != nil {
		t.Fatal(err)
	}
	stored := len(next(t, q, "out"))
	r := commit(t, q, Batch{Events: bounces(50*n, 50*n+50), Checkpoint: map[string]string{"n": fmt.Sprint(n)},
		Counts: read(50)})
	for i, repeat := range r.Repeat {
		if repeat != (50*n+i < stored) {
			t.Errorf("event %d of %d stored: repeat %v", 50*n+i, stored, repeat)
		}
	}
	n++
	check("with space again")
	q.Close()
	if aside := damaged(path); len(aside) > 0 {
		t.Errorf("a full disk damaged the file: %v", aside)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}
