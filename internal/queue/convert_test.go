package queue

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/event"
)

// former writes the file of an older format to path: 200 events for the outputs a and b, of which b was sent 0–49, and a
// 0–19; 20–29 are dead letters of a's, the first two of them retried; 300–309 are held, the last five of them waiting;
// messages of two days are in the ledger. It was made five days after its beginning, and five days later added to.
func former(t testing.TB, format int, path string) Options {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("testdata/format-%d.db.gz", format))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return Options{Outputs: []string{"a", "b"}, Now: func() time.Time { return time.Unix(1_800_000_000, 0).Add(6*24*time.Hour + time.Hour) }}
}

func sentLongAgo(n int) (h [8]byte) {
	binary.BigEndian.PutUint64(h[:], uint64(n)*0x9E3779B97F4A7C15)
	return h
}

// Files of older formats are read once, and lose nothing by it.
func TestFormerFormats(t *testing.T) {
	for _, of := range []int{1, 2, 3} {
		t.Run(fmt.Sprint(of), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "queue.db")
			o := former(t, of, path)
			var log bytes.Buffer
			o.Log = textLog(&log)
			q := openAt(t, path, o)
			if !strings.Contains(log.String(), fmt.Sprintf("from=%d to=4", of)) {
				t.Errorf("the log does not say so:\n%s", log.String())
			}
			checkAccounts(t, q, "a", "b")
			var want []string
			for _, e := range bounces(50, 200) {
				want = append(want, e.MessageID)
			}
			if got := messageIDs(next(t, q, "b")); !slices.Equal(got, want) {
				t.Errorf("b waits for %d events, want %d", len(got), len(want))
			}
			items := next(t, q, "a")
			if got := messageIDs(items); len(got) != 172 || got[0] != "m20@news.example" || got[2] != "m30@news.example" {
				t.Errorf("a waits for %d: %q", len(got), got[:3])
			}
			if e := items[2].Event; e.Recipient != "person30@example.org" || len(e.OtherQueueIDs) != 1 || !e.NeverHard {
				t.Errorf("an event: %+v", e)
			}
			held, err := q.Held()
			if err != nil || len(held) != 10 || held[0].Why != "breaker" {
				t.Errorf("held: %v, %v", held, err)
			}
			if dead, err := q.Dead("a"); err != nil || len(dead) != 8 || dead[0].Answer != "400 no" {
				t.Errorf("dead: %v, %v", dead, err)
			}
			if r, err := q.Refused("in"); err != nil || len(r) != 1 || string(r[0].Body) != "body" {
				t.Errorf("refused: %v, %v", r, err)
			}
			if c, _ := q.Checkpoint("in"); c["offset"] != "2" {
				t.Errorf("checkpoint: %v", c)
			}
			if stateOf(q, "in", "k") != "v" {
				t.Error("the parser's state is gone")
			}
			for n := range 3000 {
				if ok, err := q.WasSent(sentLongAgo(n)); !ok || err != nil {
					t.Fatalf("message %d was sent: %v, %v", n, ok, err)
				}
			}
			if ok, _ := q.WasSent([8]byte{2}); !ok {
				t.Error("a message of the last day was sent")
			}
			checkFormerIdentity(t, q)
			q.Close()
			q = openAt(t, path, o)
			maintain(t, q)
			if len(damaged(path)) > 0 || strings.Count(log.String(), "converted") != 1 {
				t.Errorf("once was not enough:\n%s", log.String())
			}
			settleAll(t, q, "a", Sent)
			settleAll(t, q, "b", Sent)
		})
	}
}

func checkFormerIdentity(t *testing.T, q *Queue) {
	t.Helper()
	if n := repeats(t, q, 0, 200); n != 200 {
		t.Errorf("%d of 200 events are known", n)
	}
	if n := repeats(t, q, 1000, 1010); n != 0 {
		t.Errorf("%d of 10 new events are known", n)
	}
	if r := commit(t, q, Batch{Events: bounces(300, 301)}); r.Repeat[0] {
		t.Error("a held event was taken for one that was queued")
	}
	s := stats(t, q)
	if n := s.Counters.Input("in", CountSuperseded); n != 1 {
		t.Errorf("%d held events were superseded", n)
	}
	copied := event.Event{Time: time.Unix(1, 0), Type: event.Hard, Recipient: "copy@example.org", MessageID: "copied@news.example", QueueIDIssuer: "mx1", Proof: event.ProofTrusted}
	if r := commit(t, q, Batch{Events: []event.Event{copied}}); !r.Repeat[0] {
		t.Error("a copy's failure is news")
	}
}

// The keys of a file of format 2 are kept for the whole retention, and not for ever.
func TestFormerKeysAreForgotten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	o := former(t, 2, path)
	now := o.Now()
	o.Now = func() time.Time { return now }
	q := openAt(t, path, o)
	now = time.Unix(1_800_000_000, 0).Add(19 * 24 * time.Hour) // stored on day 5
	maintain(t, q)
	if n := repeats(t, q, 100, 150); n != 50 {
		t.Errorf("%d of 50 are known after 14 days", n)
	}
	now = time.Unix(1_800_000_000, 0).Add(23 * 24 * time.Hour)
	maintain(t, q)
	if n := repeats(t, q, 150, 200); n != 0 {
		t.Errorf("%d of 50 are known after 18 days", n)
	}
}

// A damaged file of format 2 is saved and converted in one.
func TestDamagedFormerFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	o := former(t, 2, path)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(content, []byte(`"message_id":"m150@`))
	content[at] ^= 1
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	q := openAt(t, path, o)
	if len(damaged(path)) != 1 {
		t.Fatal("the damage was not found")
	}
	if n := repeats(t, q, 50, 200); n != 149 {
		t.Errorf("%d of 149 are known", n)
	}
	if got := len(next(t, q, "b")); got != 150 {
		t.Errorf("%d wait", got)
	}
}
