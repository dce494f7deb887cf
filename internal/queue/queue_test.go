package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"bouncefeed/internal/event"
)

func openAt(t testing.TB, path string, o Options) *Queue {
	t.Helper()
	q, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	return q
}

func openNew(t testing.TB, o Options) *Queue {
	t.Helper()
	if o.Outputs == nil {
		o.Outputs = []string{"out"}
	}
	return openAt(t, filepath.Join(t.TempDir(), "sub", "queue.db"), o)
}

func textLog(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// bounce is an event as the agent hands it in; n tells it from others.
func bounce(n int) event.Event {
	e := event.Event{
		Time: time.Unix(1_800_000_000+int64(n), 0).UTC(), Type: event.Hard, Reason: event.UserUnknown,
		Fault: event.FaultRecipient, Recipient: fmt.Sprintf("person%d@example.org", n), Sender: "bounces@news.example",
		MessageID: fmt.Sprintf("m%d@news.example", n), QueueID: fmt.Sprintf("4X%dyz", n), RemoteMTA: "mx.example.org",
		Code: 550, Status: "5.1.1", Rule: "enhanced-status/5.1.1",
		Diagnostic:    fmt.Sprintf("550 5.1.1 <person%d@example.org>: Recipient address rejected: user unknown", n),
		QueueIDIssuer: "mx1", OtherQueueIDs: []string{fmt.Sprintf("4Y%dyz", n)}, ProviderID: fmt.Sprintf("prov:%d", n),
		NeverHard: true, Hint: event.Spam, OwnWords: true, Evidence: "uuid",
	}
	e.ID = e.MakeID()
	return e
}

func bounces(from, to int) (all []event.Event) {
	for n := from; n < to; n++ {
		all = append(all, bounce(n))
	}
	return all
}

func commit(t testing.TB, q *Queue, b Batch) Result {
	t.Helper()
	if b.Input == "" {
		b.Input = "in"
	}
	r, err := q.Commit(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// next gives what lies after output's position now.
func next(t testing.TB, q *Queue, output string) []Item {
	t.Helper()
	s := stats(t, q)
	if s.Pending[output] == 0 {
		return nil
	}
	items, err := q.Next(context.Background(), output, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if uint64(len(items)) != s.Pending[output] {
		t.Fatalf("output %s: %d pending, Next gives %d", output, s.Pending[output], len(items))
	}
	return items
}

func settleAll(t testing.TB, q *Queue, output string, outcome Outcome) []Item {
	t.Helper()
	items := next(t, q, output)
	var s []Settled
	for _, i := range items {
		s = append(s, Settled{Seq: i.Seq, Outcome: outcome, Answer: "400 no"})
	}
	if err := q.Settle(output, s); err != nil {
		t.Fatal(err)
	}
	return items
}

func stats(t testing.TB, q *Queue) Stats {
	t.Helper()
	s, err := q.Stats()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// read is what a source counts of n records.
func read(n uint64) map[Figure]uint64 { return map[Figure]uint64{{Word: CountRead}: n} }

// repeated is the counter of input's events that were told before.
func repeated(input string) Counter { return Counter{InputSide, input, IgnoredAs(WhyRepeat)} }

func messageIDs(items []Item) (all []string) {
	for _, i := range items {
		all = append(all, i.Event.MessageID)
	}
	return all
}

func TestCommitStoresEverything(t *testing.T) {
	q := openNew(t, Options{})
	want := bounce(1)
	secret := q.Secret()
	sent := event.Sent(secret, "m1", "a@example.org")
	commit(t, q, Batch{
		Events:     []event.Event{want},
		Held:       []Held{{Event: bounce(2), Why: "breaker"}},
		Refused:    []Refused{{Time: want.Time, Why: "malformed", Body: make([]byte, 10_000)}},
		State:      map[string][]byte{"a": []byte("1"), "b": {}, "c": []byte("3")},
		Checkpoint: map[string]string{"offset": "7"},
		Sent:       [][8]byte{sent},
		Counts:     map[Figure]uint64{{Word: CountRead}: 3, RefusedAs("malformed"): 1},
	})
	commit(t, q, Batch{State: map[string][]byte{"c": nil, "none": nil}})
	path := q.path
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	q = openAt(t, path, Options{Outputs: []string{"out"}})

	want.Input = "in"
	items := next(t, q, "out")
	if len(items) != 1 || fmt.Sprint(items[0].Event) != fmt.Sprint(want) {
		t.Errorf("Next gives %+v\nwant %+v", items, want)
	}
	held, _ := q.Held()
	if len(held) != 1 || held[0].Why != "breaker" || held[0].Event.MessageID != "m2@news.example" {
		t.Errorf("held: %+v", held)
	}
	refused, _ := q.Refused("in")
	if len(refused) != 1 || refused[0].Why != "malformed" || len(refused[0].Body) != maxRefusedBody {
		t.Errorf("refused: %d", len(refused))
	}
	state := maps.Collect(q.State("in"))
	if len(state) != 2 || string(state["a"]) != "1" || state["b"] == nil || len(state["b"]) != 0 {
		t.Errorf("state: %q", state)
	}
	if c, err := q.Checkpoint("in"); err != nil || c["offset"] != "7" || len(c) != 1 {
		t.Errorf("checkpoint %v, %v", c, err)
	}
	if c, err := q.Checkpoint("other"); err != nil || c == nil || len(c) != 0 {
		t.Errorf("checkpoint of an unknown input: %v, %v", c, err)
	}
	if ok, err := q.WasSent(sent); !ok || err != nil {
		t.Errorf("WasSent: %v, %v", ok, err)
	}
	if !slices.Equal(q.Secret(), secret) || len(secret) != 32 {
		t.Error("the secret changed")
	}
	for _, p := range []struct {
		path string
		mode os.FileMode
	}{{path, 0o600}, {filepath.Dir(path), 0o700}} {
		if info, _ := os.Stat(p.path); info.Mode().Perm() != p.mode {
			t.Errorf("%s: mode %v, want %v", p.path, info.Mode().Perm(), p.mode)
		}
	}
}

func TestRepeatsLinkTheirKeys(t *testing.T) {
	q := openNew(t, Options{})
	log := bounce(1)
	log.MessageID, log.ProviderID = "", ""
	dsn := bounce(1) // knows the queue id and the message id
	dsn.ProviderID = ""
	hook := event.Event{Time: dsn.Time, Type: event.Hard, Recipient: dsn.Recipient, MessageID: dsn.MessageID}

	r := commit(t, q, Batch{Events: []event.Event{log, log}, Held: []Held{{Event: log}}})
	if !slices.Equal(r.Repeat, []bool{false, true}) {
		t.Errorf("within a batch: %v", r.Repeat)
	}
	if r := commit(t, q, Batch{Input: "mail", Events: []event.Event{dsn}}); !r.Repeat[0] {
		t.Error("the DSN is no repeat")
	}
	if r := commit(t, q, Batch{Input: "hook", Events: []event.Event{hook, bounce(2)}}); !slices.Equal(r.Repeat, []bool{true, false}) {
		t.Errorf("the webhook by the DSN's key: %v", r.Repeat)
	}
	if got := messageIDs(next(t, q, "out")); !slices.Equal(got, []string{"", "m2@news.example"}) {
		t.Errorf("queued: %q", got)
	}
	if c := stats(t, q).Counters; c.Input("in", CountQueued) != 1 || c[repeated("in")] != 2 ||
		c[repeated("mail")] != 1 || c.Input("hook", CountQueued) != 1 {
		t.Errorf("counters: %v", c)
	}
}

func TestKeysAreForgottenAfterTheRetention(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	day := func(n float64) { now = time.Unix(1_800_000_000, 0).Add(time.Duration(n * 24 * float64(time.Hour))) }
	q := openNew(t, Options{Now: func() time.Time { return now }})
	h := func(n byte) [8]byte { return [8]byte{n} }
	repeat := func(n int) bool {
		r := commit(t, q, Batch{Events: bounces(n, n+1)})
		if err := q.Maintain(); err != nil {
			t.Fatal(err)
		}
		return r.Repeat[0]
	}
	repeat(1)
	repeat(2)
	commit(t, q, Batch{Sent: [][8]byte{h(1)}})
	day(14.9)
	commit(t, q, Batch{Sent: [][8]byte{h(2)}})
	if !repeat(1) {
		t.Error("forgotten within the retention")
	}
	day(21)
	if !repeat(1) {
		t.Error("seen again on day 14.9, forgotten on day 21")
	}
	if repeat(2) {
		t.Error("known for longer than the retention")
	}
	if ok, _ := q.WasSent(h(1)); ok {
		t.Error("the ledger keeps longer than the retention")
	}
	if ok, _ := q.WasSent(h(2)); !ok {
		t.Error("the ledger forgets within the retention")
	}
	day(-5) // a clock that goes back
	if !repeat(1) || !repeat(2) {
		t.Error("forgotten because the clock went back")
	}
}

func TestClosedQueue(t *testing.T) {
	q := openNew(t, Options{})
	waiting := make(chan error)
	go func() {
		_, err := q.Next(context.Background(), "out", 1)
		waiting <- err
	}()
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; !errors.Is(err, ErrClosed) {
		t.Errorf("Next: %v", err)
	}
	if _, err := q.Commit(context.Background(), Batch{Input: "in"}); !errors.Is(err, ErrClosed) {
		t.Errorf("Commit: %v", err)
	}
	if err := q.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := Open(dir, Options{}); err == nil {
		t.Error("a directory was opened")
	}
	path := filepath.Join(dir, "queue.db")
	openAt(t, path, Options{})
	if _, err := Open(path, Options{}); !errors.Is(err, ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

// An id that two recipients were sent proves nothing of either, whether they stand in one run or in several.
func TestLedgerSharedID(t *testing.T) {
	q := openNew(t, Options{})
	secret := q.Secret()
	var sent [][8]byte
	for n := range 3000 {
		sent = append(sent, event.Sent(secret, fmt.Sprint("m", n), "a@example.org"))
	}
	if _, err := q.Commit(t.Context(), Batch{Input: "in", Sent: sent}); err != nil {
		t.Fatal(err)
	}
	ask := func(id, recipient string, want bool) {
		t.Helper()
		if got, err := q.WasSent(event.Sent(secret, id, recipient)); err != nil || got != want {
			t.Errorf("%s to %s: %v, %v", id, recipient, got, err)
		}
	}
	for range 2 {
		ask("m7", "a@example.org", true)
		ask("m7", "b@example.org", false)
		ask("m2999", "A@example.org", true)
		mergeAll(t, q, bucketSent, ledgerShape)
	}
	if _, err := q.Commit(t.Context(), Batch{Input: "in", Sent: [][8]byte{event.Sent(secret, "m7", "b@example.org"), sent[8]}}); err != nil {
		t.Fatal(err)
	}
	ask("m7", "a@example.org", false)
	ask("m7", "b@example.org", false)
	ask("m8", "a@example.org", true)
}

// mergeAll makes one run of each day's.
func mergeAll(t testing.TB, q *Queue, parent []byte, shape runShape) {
	t.Helper()
	q.lock <- struct{}{}
	defer func() { <-q.lock }()
	if err := q.update(func(t *txn) error {
		return eachDay(t.Bucket(parent), shape, func(d *runDay) error {
			_, err := d.work(1<<30, true)
			return err
		})
	}); err != nil {
		t.Fatal(err)
	}
}
