package queue

import (
	"bytes"
	crand "crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bouncefeed/internal/event"
)

func TestFileShrinks(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	o := Options{Outputs: []string{"out"}}
	q := openAt(t, path, o)
	fill := func(from int) int64 {
		for n := from; n < from+3000; n += 500 {
			b := Batch{Events: bounces(n, n+500), Counts: read(500)}
			for i := range b.Events {
				b.Events[i].Diagnostic = noise(4000)
			}
			commit(t, q, b)
		}
		full := stats(t, q).FileSize
		commit(t, q, Batch{Input: "late", Events: bounces(from+20_000, from+20_001), Checkpoint: map[string]string{"a": "b"},
			Counts: read(1)})
		items := next(t, q, "out")
		var s []Settled
		for _, i := range items[:len(items)-1] {
			s = append(s, Settled{Seq: i.Seq, Outcome: Sent})
		}
		if err := q.Settle("out", s); err != nil {
			t.Fatal(err)
		}
		return full
	}
	verify := func(what string, full int64) {
		t.Helper()
		s := stats(t, q)
		if s.FileSize > full/2 || s.FileSize < s.Used || s.Used > full/2 {
			t.Errorf("%s: %d bytes of %d are left, %d used", what, s.FileSize, full, s.Used)
		}
		if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
			t.Errorf("%s: left behind: %v", what, entries)
		}
		if c, _ := q.Checkpoint("late"); c["a"] != "b" {
			t.Errorf("%s: checkpoint %v", what, c)
		}
		checkAccounts(t, q, "out")
	}
	full := fill(0)
	if err := q.Maintain(); err != nil {
		t.Fatal(err)
	}
	verify("idle", full)
	if _, err := Open(path, o); err == nil {
		t.Fatal("the compacted file is not locked")
	}
	full = fill(100_000)
	q.Close()
	if err := os.WriteFile(path+suffixCompact, []byte("cut off by a crash"), 0o600); err != nil {
		t.Fatal(err)
	}
	q = openAt(t, path, o)
	verify("at start", full)
	if r := commit(t, q, Batch{Events: bounces(5, 6), Counts: read(1)}); !r.Repeat[0] {
		t.Error("identity keys are gone")
	}
}

// noise is text that nothing compresses.
func noise(n int) string {
	b := make([]byte, n/2)
	crand.Read(b)
	return hex.EncodeToString(b)
}

// The ledger finds what was stored, in tails and runs, and nothing else, at little more than its 8 bytes a message.
func TestLedger(t *testing.T) {
	t.Parallel()
	q := openNew(t, Options{})
	hash := func(n int) [8]byte { return event.Sent(q.Secret(), fmt.Sprint(n), "a@example.org") }
	total := 0
	store := func(n, each int) {
		for ; n > 0; n -= each {
			var sent [][8]byte
			for range min(n, each) {
				sent = append(sent, hash(total))
				total++
			}
			commit(t, q, Batch{Sent: sent})
		}
	}
	verify := func(what string) {
		t.Helper()
		for n := 0; n < total; n += max(1, total/100) {
			if ok, err := q.WasSent(hash(n)); !ok || err != nil {
				t.Fatalf("%s: %d of %d is not found, %v", what, n, total, err)
			}
			if ok, _ := q.WasSent(hash(-1 - n)); ok {
				t.Fatalf("%s: %d is found and was never sent", what, -1-n)
			}
		}
	}
	verify("empty")
	store(200, 1)
	verify("one by one")
	store(300_000, 20_000)
	verify("tail")
	if err := q.Maintain(); err != nil {
		t.Fatal(err)
	}
	verify("runs and tail")
	store(1000, 100)
	verify("new tail")
	perMessage := float64(stats(t, q).Used) / float64(total)
	t.Logf("%.2f bytes a message", perMessage)
	if perMessage > 9 {
		t.Errorf("a message takes %.1f bytes", perMessage)
	}
}

func TestOutputsComeAndGo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	n := 0
	step := func(outputs string, want map[string]int) string {
		t.Helper()
		q, out := openLogged(t, path, strings.Fields(outputs))
		defer q.Close()
		commit(t, q, Batch{Events: bounces(n, n+10)})
		n += 10
		s := stats(t, q)
		if len(s.Pending) != len(want) {
			t.Errorf("outputs %s: pending %v", outputs, s.Pending)
		}
		for o, pending := range want {
			if got := len(next(t, q, o)); got != pending {
				t.Errorf("outputs %s: %d pending for %s, want %d", outputs, got, o, pending)
			}
		}
		return out.String()
	}
	q, _ := openLogged(t, path, nil) // as a tool would that only looks
	commit(t, q, Batch{Events: bounces(900, 905)})
	q.Close()
	step("a", map[string]int{"a": 15}) // the first one starts at the beginning
	step("a b", map[string]int{"a": 25, "b": 10})
	if log := step("a c", map[string]int{"a": 35, "c": 20}); !strings.Contains(log, "from=b to=c") {
		t.Errorf("a rename is not told:\n%s", log)
	}
	step("", map[string]int{"a": 45, "c": 30})    // no outputs named: as they are
	step("x y", map[string]int{"x": 55, "y": 55}) // both renamed: the lowest position for both
	if log := step("y", map[string]int{"y": 65}); !strings.Contains(log, "output=x pending=55") {
		t.Errorf("what x leaves is not told:\n%s", log)
	}
	if log := step("x y z", map[string]int{"x": 10, "y": 75, "z": 10}); strings.Contains(log, "WARN") {
		t.Errorf("new outputs are no reason to warn:\n%s", log)
	}
}

// A renamed output keeps its dead letters and what is retried.
func TestRenamedOutputKeepsItsDead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	q, _ := openLogged(t, path, []string{"a"})
	commit(t, q, Batch{Events: bounces(0, 4), Counts: read(4)})
	settleAll(t, q, "a", Dead)
	if _, err := q.RetryDead("a", []uint64{1}); err != nil {
		t.Fatal(err)
	}
	q.Close()
	q, _ = openLogged(t, path, []string{"b"})
	defer q.Close()
	checkAccounts(t, q, "b")
	if dead, err := q.Dead("b"); len(dead) != 3 || err != nil {
		t.Errorf("%d dead, %v", len(dead), err)
	}
	if got := messageIDs(settleAll(t, q, "b", Sent)); !slices.Equal(got, []string{"m0@news.example"}) {
		t.Errorf("retried: %q", got)
	}
	checkAccounts(t, q, "b")
}

func openLogged(t *testing.T, path string, outputs []string) (*Queue, *bytes.Buffer) {
	log := &bytes.Buffer{}
	return openAt(t, path, Options{Outputs: outputs, Log: textLog(log)}), log
}
