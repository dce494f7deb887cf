package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"bouncefeed/internal/event"
)

// filled is a closed queue file of some pages: events 0–99 sent, 100–299 pending, 300–309 held, some dead. Further outputs
// have all events pending.
func filled(t testing.TB, path string, further ...string) (secret []byte) {
	t.Helper()
	q := openAt(t, path, Options{Outputs: append(further, "out")})
	state := map[string][]byte{}
	for n := range 500 {
		state[fmt.Sprintf("queue id %d", n)] = bytes.Repeat([]byte("s"), 80)
	}
	commit(t, q, Batch{Events: bounces(0, 95), State: state, Checkpoint: map[string]string{"offset": "1"}, Counts: read(95)})
	settleAll(t, q, "out", Sent)
	commit(t, q, Batch{Events: bounces(95, 100), Counts: read(5)})
	settleAll(t, q, "out", Dead)
	var held []Held
	for _, e := range bounces(300, 310) {
		held = append(held, Held{Event: e, Why: "breaker"})
	}
	var sent [][8]byte
	for n := range 3000 {
		sent = append(sent, event.Sent(q.Secret(), fmt.Sprint(n), "x"))
	}
	commit(t, q, Batch{Events: bounces(100, 300), Held: held, Sent: sent, Checkpoint: map[string]string{"offset": "2"}, Counts: read(210)})
	secret = q.Secret()
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	return secret
}

// damaged gives the files moved aside.
func damaged(path string) []string {
	aside, _ := filepath.Glob(path + ".damaged-*")
	return aside
}

func TestHopelessFiles(t *testing.T) {
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole.db")
	filled(t, whole)
	good, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	noMeta := slices.Clone(good)
	clear(noMeta[:2*pageSize])
	db, _, err := openTemp(filepath.Join(dir, "bare.db")) // as it is before its first transaction
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	bare, err := os.ReadFile(filepath.Join(dir, "bare.db"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"empty": {}, "text": []byte("# queue:\n  path: /etc/oops\n"), "zeros": make([]byte, 1<<16),
		"short": good[:100], "no meta": noMeta, "two pages": good[:2*pageSize], "bare": bare,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, name+".db")
			if err := os.WriteFile(path, content, 0o644); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			q := openAt(t, path, Options{Outputs: []string{"out"}, Log: textLog(&log)})
			aside := damaged(path)
			if len(aside) != 1 {
				t.Fatalf("moved aside: %q", aside)
			}
			if kept, _ := os.ReadFile(aside[0]); !bytes.Equal(kept, content) {
				t.Error("what was moved aside is not what was there")
			}
			if !bytes.Contains(log.Bytes(), []byte(aside[0])) {
				t.Errorf("the log does not say so:\n%s", log.Bytes())
			}
			if c, err := q.Checkpoint("in"); err != nil || c["start"] != "beginning" {
				t.Errorf("checkpoint: %v, %v", c, err)
			}
			if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
				t.Errorf("mode %v", info.Mode())
			}
			commit(t, q, Batch{Events: bounces(0, 3), Checkpoint: map[string]string{"offset": "5"}, Counts: read(3)})
			if c, _ := q.Checkpoint("in"); c["start"] != "" {
				t.Errorf("after a commit: %v", c)
			}
			checkAccounts(t, q, "out")
		})
	}
}

// Whatever is wrong with the file: no crash, nothing sent wrong, and when every source tells all of it again, each
// event is there.
func TestDamagedPages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole.db")
	filled(t, whole)
	good, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(3, 4))
	rounds := 80
	if testing.Short() {
		rounds = 20
	}
	repaired := 0
	for round := range rounds {
		content := slices.Clone(good)
		switch round % 4 {
		case 0: // a page of something else
			page := 2 + random.IntN(len(content)/pageSize-2)
			copy(content[page*pageSize:(page+1)*pageSize], bytes.Repeat([]byte("junk"), pageSize/4))
		case 1: // another page of the file
			from, to := random.IntN(len(content)/pageSize), 2+random.IntN(len(content)/pageSize-2)
			copy(content[to*pageSize:(to+1)*pageSize], content[from*pageSize:])
		case 2: // single bytes
			for range 1 + random.IntN(20) {
				content[random.IntN(len(content))] ^= byte(1 << random.IntN(8))
			}
		case 3:
			content = content[:random.IntN(len(content))]
		}
		path := filepath.Join(dir, fmt.Sprintf("%d.db", round))
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		q := openAt(t, path, Options{Outputs: []string{"out"}})
		repaired += len(damaged(path))
		checkNothingLost(t, q)
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
		q.Close()
		os.Remove(path)
	}
	t.Logf("%d of %d were moved aside", repaired, rounds)
}

func checkNothingLost(t *testing.T, q *Queue) {
	c, err := q.Checkpoint("in")
	if err != nil {
		t.Fatal(err)
	}
	if c["start"] == "beginning" {
		commit(t, q, Batch{Events: bounces(0, 300), Counts: read(300)})
		for _, e := range bounces(300, 310) {
			commit(t, q, Batch{Held: []Held{{Event: e, Why: "breaker"}}, Counts: read(1)})
		}
	} else if c["offset"] != "2" {
		t.Errorf("checkpoint: %v", c)
	}
	there := map[string]int{}
	for _, i := range next(t, q, "out") {
		e := i.Event
		there[e.MessageID]++
		var n int
		fmt.Sscanf(e.MessageID, "m%d@", &n)
		if want := bounce(n); e.Recipient != want.Recipient || e.ID != want.ID {
			t.Errorf("a wrong event: %+v", e)
		}
	}
	held, err := q.Held()
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range held {
		there[h.Event.MessageID]++
	}
	for n := 100; n < 310; n++ {
		if got := there[fmt.Sprintf("m%d@news.example", n)]; got != 1 {
			t.Errorf("event %d is there %d times", n, got)
		}
	}
	if _, err := q.Dead(""); err != nil {
		t.Error(err)
	}
	for range q.State("in") {
	}
	if _, err := q.WasSent([8]byte{1}); err != nil {
		t.Error(err)
	}
	s := stats(t, q)
	if s.Held != uint64(len(held)) || s.Pending["out"] > 1000 {
		t.Errorf("stats: %+v", s)
	}
	settleAll(t, q, "out", Sent)
	if err := q.Maintain(); err != nil {
		t.Error(err)
	}
}

// stutters gives every other time an error.
type stutters struct {
	io.ReaderAt
	n int
}

func (s *stutters) ReadAt(b []byte, at int64) (int, error) {
	if s.n++; s.n%2 == 1 {
		return 0, &os.PathError{Op: "read", Path: "queue.db", Err: syscall.EIO}
	}
	return s.ReaderAt.ReadAt(b, at)
}

// What the disk gives when it is asked again is not damaged.
func TestReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	filled(t, path)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p, err := openPages(&stutters{ReaderAt: bytes.NewReader(good)}, int64(len(good)))
	if err != nil || p.lone {
		t.Fatalf("a meta page is missing, %v", err)
	}
	p.bucket, p.entry = checkBucket, checkEntry
	p.damage = func(_ [][]byte, err error) error { return err }
	if err := p.walk(); err != nil {
		t.Error(err)
	}
}

// A file that is cut off under the daemon's feet gives an error, no SIGBUS.
func TestDamageWhileOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	filled(t, path)
	for _, size := range []int64{0, pageSize, 3 * pageSize, 10 * pageSize} {
		q := openAt(t, path, Options{Outputs: []string{"out"}})
		commit(t, q, Batch{Events: bounces(1000, 1200)})
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		_, err1 := q.Next(context.Background(), "out", 10000)
		_, err2 := q.Commit(context.Background(), Batch{Input: "in", Events: bounces(2000, 2100)})
		if !errors.Is(err1, ErrDamaged) && !errors.Is(err2, ErrDamaged) {
			t.Errorf("cut to %d: %v, %v", size, err1, err2)
		}
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	}
	q := openAt(t, path, Options{Outputs: []string{"out"}}) // the lock was let go
	commit(t, q, Batch{Events: bounces(0, 10)})
}

func FuzzDecodeRecord(f *testing.F) {
	e := bounce(1)
	text, _ := encodeRecord(&e, e.Time, "why")
	f.Add([]byte("key"), text)
	f.Add([]byte(nil), []byte(nil))
	f.Fuzz(func(t *testing.T, key, text []byte) {
		if _, err := decodeRecord(key, text); err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("%v is not marked", err)
		}
		r, err := decodeRecord(key, sealed(key, text))
		if err != nil {
			return
		}
		if _, err := encodeRecord(&r.Event, r.Since, r.Why); err != nil {
			t.Errorf("%q is read and not written: %v", text, err)
		}
	})
}
