package queue

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/event"
)

const day = 24 * time.Hour

// keeping is a queue with history, and its clock.
func keeping(t testing.TB, o Options) (q *Queue, at *time.Time) {
	t.Helper()
	now := time.Unix(1_800_000_000, 0)
	o.Now = func() time.Time { return now }
	o.History = DefaultRetain
	if o.Outputs == nil {
		o.Outputs = []string{"a", "b"}
	}
	return openNew(t, o), &now
}

func search(t testing.TB, q *Queue, s Search) (all []Past) {
	t.Helper()
	if err := q.Search(s, func(p Past) error { all = append(all, p); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

// fates says in words what became of an event.
func fates(p *Past) string {
	var all []string
	for _, f := range p.Fates {
		all = append(all, f.Output+" "+string(f.Outcome))
	}
	return strings.Join(all, ", ")
}

func find(t testing.TB, q *Queue, n int) string {
	t.Helper()
	to := fmt.Sprintf("person%d@example.org", n)
	found := search(t, q, Search{Word: strings.ToUpper(to), Wanted: func(e *event.Event) bool { return e.Recipient == to }})
	if len(found) != 1 {
		return fmt.Sprintf("%d found", len(found))
	}
	return fates(&found[0])
}

func settle(t testing.TB, q *Queue, output string, n int, as Outcome) {
	t.Helper()
	var s []Settled
	for _, i := range next(t, q, output)[:n] {
		s = append(s, Settled{i.Seq, as, "400 no"})
	}
	if err := q.Settle(output, s); err != nil {
		t.Fatal(err)
	}
}

func TestHistoryTellsWhatBecame(t *testing.T) {
	q, now := keeping(t, Options{})
	commit(t, q, Batch{Events: bounces(0, 100)})
	settle(t, q, "a", 50, Sent)
	settle(t, q, "a", 10, NotSent)
	settle(t, q, "a", 1, Dead)
	*now = now.Add(time.Hour)
	settle(t, q, "b", 55, Sent)
	for n, want := range map[int]string{0: "a sent, b sent", 49: "a sent, b sent", 50: "a not_sent, b sent", 57: "a not_sent, b pending",
		60: "a dead, b pending", 61: "a pending, b pending", 99: "a pending, b pending"} {
		if got := find(t, q, n); got != want {
			t.Errorf("event %d: %s, want %s", n, got, want)
		}
	}
	p := search(t, q, Search{From: 61, To: 61})[0]
	if f := p.Fates[0]; f.Answer != "400 no" || !f.At.Equal(time.Unix(1_800_000_000, 0)) {
		t.Errorf("a dead one: %+v", p)
	}
	dead, err := q.Dead("a")
	if err != nil || len(dead) != 1 {
		t.Fatal(dead, err)
	}
	if _, err := q.RetryDead("a", nil); err != nil {
		t.Fatal(err)
	}
	if got := find(t, q, 60); got != "a dead, b pending, a pending" {
		t.Errorf("retried: %s", got)
	}
	settle(t, q, "a", 1, Sent)
	if _, err := q.SendAgain("b", []uint64{1, 2}); err != nil {
		t.Fatal(err)
	}
	settle(t, q, "b", 1, Sent)
	path, o := q.path, q.o
	q.Close()
	q = openAt(t, path, o)
	for n, want := range map[int]string{0: "a sent, b sent, b sent", 1: "a sent, b sent, b pending", 60: "a dead, a sent, b pending"} {
		if got := find(t, q, n); got != want {
			t.Errorf("event %d: %s, want %s", n, got, want)
		}
	}
	if got := len(search(t, q, Search{})); got != 100 {
		t.Errorf("%d events", got)
	}
	settleAll(t, q, "a", Sent)
	settleAll(t, q, "b", Sent)
	checkCounted(t, q, "a", "b")
}

// checkCounted holds what an output has pending against its counters.
func checkCounted(t testing.TB, q *Queue, outputs ...string) {
	t.Helper()
	for _, o := range outputs {
		items, err := q.pending(o, Mark{}, 1<<20)
		if want := stats(t, q).Pending[o]; err != nil || uint64(len(items)) != want {
			t.Errorf("output %s is given %d, %v; %d are counted", o, len(items), err, want)
		}
		if n := len(items); n > 0 {
			behind := Mark{again: 1 << 40, seq: items[n-1].Seq}
			if items, err = q.pending(o, behind, 1<<20); err != nil || len(items) > 0 {
				t.Errorf("output %s is given %d behind the last, %v", o, len(items), err)
			}
		}
	}
}

// The past goes when the retention ends, a day later at most, and what is known of it with it; what waits stays.
func TestHistoryEnds(t *testing.T) {
	q, now := keeping(t, Options{})
	for n := range 30 {
		commit(t, q, Batch{Events: bounces(n*10, n*10+10)})
		settle(t, q, "a", 10, Sent)
		if n < 20 {
			settle(t, q, "b", 10, NotSent)
		}
		*now = now.Add(day)
		maintain(t, q)
	}
	// Now it is day 30; what was stored on day 14 or before may be gone, and on day 13 or before must be.
	all := search(t, q, Search{})
	if first := all[0].Seq; first < 14*10+1 || first > 15*10+1 {
		t.Errorf("the first is %d of %d", first, len(all))
	}
	*now = now.Add(20 * day)
	maintain(t, q)
	if all = search(t, q, Search{}); len(all) != 100 || all[0].Seq != 201 {
		t.Errorf("%d are left, the first is %d", len(all), all[0].Seq)
	}
	if got := find(t, q, 200); got != "a sent, b pending" {
		t.Error(got)
	}
	settleAll(t, q, "b", Sent)
	maintain(t, q)
	if all = search(t, q, Search{}); len(all) != 0 {
		t.Errorf("%d are left of the past", len(all))
	}
	checkCounted(t, q, "a", "b")
}

// The past makes room before any source waits, and a backlog may fill the file.
func TestHistoryMakesRoom(t *testing.T) {
	q, _ := keeping(t, Options{Outputs: []string{"a"}, MaxSize: 1 << 20})
	n := 0
	for range 80 {
		commit(t, q, Batch{Events: bounces(n, n+50)})
		settle(t, q, "a", 50, Sent)
		n += 50
		if s := stats(t, q); s.Full || s.Used > s.MaxSize {
			t.Fatalf("after %d events: %+v", n, s)
		}
		if n == 2000 && len(search(t, q, Search{})) < 500 {
			t.Error("the past was forgotten although there is room")
		}
	}
	for ; !stats(t, q).Full; n += 50 {
		commit(t, q, Batch{Events: bounces(n, n+50)})
	}
	waiting := len(next(t, q, "a"))
	if got := len(search(t, q, Search{})); got > waiting+groupEvents {
		t.Errorf("%d wait, and %d of the past stand in their way", waiting, got-waiting)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := q.Commit(ctx, Batch{Events: bounces(n, n+1)}); err == nil {
		t.Error("it is full, and takes more")
	}
}

// Outputs that are lost or come later are not sent the past.
func TestHistoryIsNotSentAgain(t *testing.T) {
	q, _ := keeping(t, Options{Outputs: []string{"a"}})
	commit(t, q, Batch{Events: bounces(0, 100)})
	settle(t, q, "a", 90, Sent)
	path, o := q.path, q.o
	if err := q.write(context.Background(), 0, func(t *txn) error { return t.Bucket(bucketOutputs).Delete([]byte("a")) }); err != nil {
		t.Fatal(err)
	}
	q.Close()
	q = openAt(t, path, o)
	if got := len(next(t, q, "a")); got != 10 {
		t.Errorf("%d wait, want 10", got)
	}
	q.Close()
	o.Outputs = []string{"a", "b"}
	q = openAt(t, path, o)
	if got := len(next(t, q, "b")); got != 0 {
		t.Errorf("a new output is to be sent %d", got)
	}
}

func TestDiscard(t *testing.T) {
	q, _ := keeping(t, Options{})
	commit(t, q, Batch{Events: bounces(0, 100)})
	settle(t, q, "a", 10, Sent)
	edits := q.Edits()
	discard := func(output string, want int, seqs ...uint64) {
		t.Helper()
		if n, err := q.Discard(output, seqs); err != nil || n != want {
			t.Errorf("%d discarded, %v; want %d", n, err, want)
		}
		checkCounted(t, q, "a", "b")
	}
	discard("a", 3, 11, 12, 50)
	discard("a", 1, 5, 12, 51, 1000) // sent, discarded, new, unknown
	discard("b", 100, numbers(1, 100)...)
	if q.Edits() == edits {
		t.Error("whoever reads ahead does not learn of it")
	}
	if got := find(t, q, 10); got != "a discarded, b discarded" {
		t.Error(got)
	}
	items := next(t, q, "a")
	if len(items) != 86 || items[0].Seq != 13 {
		t.Errorf("%d wait, the first is %d", len(items), items[0].Seq)
	}
	// What was being sent when it was discarded is passed over.
	discard("a", 1, 13)
	if err := q.Accept("a", []Settled{{Seq: 13, Outcome: Sent}, {Seq: 14, Outcome: Sent}}); err != nil {
		t.Error(err)
	}
	if err := q.Settle("a", []Settled{{Seq: 14, Outcome: Sent}}); err == nil {
		t.Error("one that was settled may be settled again")
	}
	if err := q.Settle("a", []Settled{{Seq: 16, Outcome: Sent}}); err == nil {
		t.Error("one may be left out")
	}
	accepted, err := q.Accepted("a", 0, 100)
	if err != nil || len(accepted) != 4 || accepted[0].Outcome != Discarded || accepted[2].Outcome != Discarded || accepted[3].Outcome != Sent {
		t.Errorf("accepted: %v, %v", accepted, err)
	}
	path, o := q.path, q.o
	q.Close()
	q = openAt(t, path, o)
	if got := len(next(t, q, "a")); got != 84 {
		t.Errorf("%d wait after a restart, want 84", got)
	}
	commit(t, q, Batch{Events: bounces(100, 101)})
	if items := next(t, q, "b"); len(items) != 1 || items[0].Seq != 101 {
		t.Errorf("b waits for %v", items)
	}
	settleAll(t, q, "a", Sent)
	settleAll(t, q, "b", Dead)
	if _, err := q.RetryDead("b", nil); err != nil {
		t.Fatal(err)
	}
	discard("b", 1, next(t, q, "b")[0].Seq)
	if got := find(t, q, 100); got != "a sent, b dead, b discarded" {
		t.Error(got)
	}
	if n := repeats(t, q, 0, 101); n != 101 {
		t.Errorf("%d of 101 are known", n)
	}
}

func numbers(from, to uint64) (all []uint64) {
	for n := from; n <= to; n++ {
		all = append(all, n)
	}
	return all
}

// Several outputs that are renamed at once start from the lowest position, whatever was told of them.
func TestRenamedOutputsMissNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	o := Options{Outputs: []string{"a", "b"}, History: DefaultRetain}
	q := openAt(t, path, o)
	commit(t, q, Batch{Events: bounces(0, 50)})
	settle(t, q, "a", 40, Sent)
	settle(t, q, "b", 10, Sent)
	if _, err := q.Discard("b", []uint64{20}); err != nil {
		t.Fatal(err)
	}
	q.Close()
	o.Outputs = []string{"c", "d"}
	q = openAt(t, path, o)
	for _, output := range o.Outputs {
		if got := len(next(t, q, output)); got != 40 {
			t.Errorf("%s waits for %d, want 40", output, got)
		}
	}
}

func TestStretchesAreSealed(t *testing.T) {
	s := stretch{time.Unix(1_800_000_000, 0).UTC(), 300, Dead, "400 no"}
	key := number(7)
	if got, err := decodeStretch(key, sealed(key, s.encode())); err != nil || got != s {
		t.Errorf("%+v, %v", got, err)
	}
	for n := range s.encode() {
		if _, err := decodeStretch(key, sealed(key, s.encode()[:n])); err == nil && n < len(s.encode())-len(s.answer) {
			t.Errorf("%d bytes of it are taken for whole", n)
		}
	}
	if _, err := decodeStretch(number(8), sealed(key, s.encode())); err == nil {
		t.Error("another event's")
	}
}
