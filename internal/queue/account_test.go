package queue

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"bouncefeed/internal/event"
)

// checkAccounts counts what is there and holds it against the counters. These outputs were there from the beginning.
func checkAccounts(t testing.TB, q *Queue, outputs ...string) {
	t.Helper()
	counted, queued := stats(t, q).Counters, uint64(0)
	for c, n := range counted {
		if c.Side == InputSide && (c.Word == CountQueued || c.Word == CountReleased) {
			queued += n
		}
	}
	for _, o := range outputs {
		if n := counted.Output(o, CountQueued); n != queued {
			t.Errorf("output %s: queued %d, the inputs' are %d", o, n, queued)
		}
	}
	checkSums(t, q, outputs...)
}

// checkSums is checkAccounts for a file that may have lost counters: an output does not know what it once had queued.
func checkSums(t testing.TB, q *Queue, outputs ...string) {
	t.Helper()
	s := stats(t, q)
	sum := map[string]uint64{}
	inputs := map[string]bool{}
	for c, n := range s.Counters {
		if c.Side == InputSide {
			inputs[c.Module] = true
			sum[c.Module+" "+string(c.Word)] += n
			sum["all "+string(c.Word)] += n
		}
	}
	for in := range inputs {
		parts := sum[in+" queued"] + sum[in+" held"] + sum[in+" ignored"] + sum[in+" refused"]
		if sum[in+" read"] != parts {
			t.Errorf("input %s: read %d, accounted for %d: %v", in, sum[in+" read"], parts, s.Counters)
		}
	}
	held, err := q.Held()
	if err != nil {
		t.Fatal(err)
	}
	if want := sum["all held"] - sum["all released"] - sum["all dropped"] - sum["all superseded"] - sum["all pushed_out"] - sum["all held_lost"]; uint64(len(held)) != want || s.Held != want {
		t.Errorf("%d held, Stats say %d, counters %d", len(held), s.Held, want)
	}
	for _, o := range outputs {
		c := func(word Word) uint64 { return s.Counters.Output(o, word) }
		dead, err := q.Dead(o)
		if err != nil {
			t.Fatal(err)
		}
		if n := uint64(len(dead)); n != s.Dead[o] || n != c("dead")-c("retried")-c("dropped")-c("dead_lost") {
			t.Errorf("output %s: %d dead letters, Stats say %d, counters %v", o, n, s.Dead[o], s.Counters)
		}
		there := uint64(len(next(t, q, o)))
		if c("queued")+c("retried")+c("resent") != c("sent")+c("not_sent")+c("dead")+c("lost")+there {
			t.Errorf("output %s: %d pending do not add up: %v", o, there, s.Counters)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
}

func TestCountersAddUp(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	o := Options{Outputs: []string{"a", "b"}}
	q := openAt(t, path, o)
	random := rand.New(rand.NewPCG(1, 2))
	n := 0
	some := func(seqs []uint64) []uint64 {
		random.Shuffle(len(seqs), func(i, j int) { seqs[i], seqs[j] = seqs[j], seqs[i] })
		return seqs[:random.IntN(len(seqs)+1)]
	}
	for range 400 {
		output := o.Outputs[random.IntN(2)]
		var err error
		switch random.IntN(8) {
		case 0, 1, 2:
			b := randomBatch(random, &n)
			commit(t, q, b)
		case 3, 4:
			var s []Settled
			for _, i := range next(t, q, output) {
				s = append(s, Settled{i.Seq, []Outcome{Sent, Sent, NotSent, Dead}[random.IntN(4)], "400"})
			}
			err = q.Settle(output, s[:random.IntN(len(s)+1)])
		case 5:
			dead, _ := q.Dead(output)
			seqs := []uint64{}
			for _, d := range dead {
				seqs = append(seqs, d.Seq)
			}
			if random.IntN(2) == 0 {
				_, err = q.RetryDead(output, some(seqs))
			} else {
				_, err = q.DropDead(output, some(seqs))
			}
		case 6:
			held, _ := q.Held()
			seqs := []uint64{}
			for _, h := range held {
				seqs = append(seqs, h.Seq)
			}
			if random.IntN(2) == 0 {
				_, err = q.ReleaseHeld(some(seqs))
			} else {
				_, err = q.DropHeld(some(seqs))
			}
		case 7:
			q.Close()
			q = openAt(t, path, o)
		}
		if err != nil {
			t.Fatal(err)
		}
		checkAccounts(t, q, "a", "b")
	}
}

// randomBatch has new events and repeats, held, ignored and refused ones.
func randomBatch(random *rand.Rand, n *int) Batch {
	b := Batch{Input: fmt.Sprintf("in%d", random.IntN(2)), Counts: read(0)}
	for range random.IntN(10) {
		b.Counts[Figure{Word: CountRead}]++
		e := bounce(random.IntN(*n + 5))
		*n++
		switch random.IntN(4) {
		case 0:
			b.Held = append(b.Held, Held{Event: e, Why: "breaker"})
		case 1:
			b.Counts[[]Figure{IgnoredAs("ordinary"), RefusedAs("two_readings")}[random.IntN(2)]]++
		default:
			b.Events = append(b.Events, e)
		}
	}
	return b
}

func TestDeadLettersAreRetriedForTheirOutputOnly(t *testing.T) {
	q := openNew(t, Options{Outputs: []string{"a", "b"}})
	commit(t, q, Batch{Events: bounces(0, 3), Counts: read(3)})
	settleAll(t, q, "b", Sent)
	settleAll(t, q, "a", Dead)
	commit(t, q, Batch{Events: bounces(3, 4)})
	dead, err := q.Dead("")
	if err != nil || len(dead) != 3 || dead[0].Answer != "400 no" || dead[0].Output != "a" || dead[0].Time.IsZero() {
		t.Fatalf("dead letters: %+v, %v", dead, err)
	}
	if n, err := q.RetryDead("a", []uint64{dead[1].Seq, 999}); n != 1 || err != nil {
		t.Fatalf("RetryDead: %d, %v", n, err)
	}
	if n, err := q.DropDead("a", nil); n != 2 || err != nil {
		t.Fatalf("DropDead: %d, %v", n, err)
	}
	if _, err := q.RetryDead("c", nil); err == nil {
		t.Error("retried for an unknown output")
	}
	if got := fmt.Sprint(messageIDs(settleAll(t, q, "a", Sent))); got != "[m1@news.example m3@news.example]" {
		t.Errorf("a gets %s", got)
	}
	if got := fmt.Sprint(messageIDs(settleAll(t, q, "b", Sent))); got != "[m3@news.example]" {
		t.Errorf("b gets %s", got)
	}
	if r := commit(t, q, Batch{Events: bounces(1, 2)}); !r.Repeat[0] {
		t.Error("delivered, and then not known as a repeat")
	}
}

func TestSettleOutOfOrder(t *testing.T) {
	q := openNew(t, Options{})
	commit(t, q, Batch{Events: bounces(0, 3), Counts: read(3)})
	items := next(t, q, "out")
	for what, s := range map[string][]Settled{
		"skips one":        {{Seq: items[1].Seq, Outcome: Sent}},
		"twice":            {{Seq: items[0].Seq, Outcome: Sent}, {Seq: items[0].Seq, Outcome: Sent}},
		"no such":          {{Seq: 77, Outcome: Sent}},
		"no such outcome":  {{Seq: items[0].Seq, Outcome: "maybe"}},
		"beyond the order": {{Seq: items[0].Seq, Outcome: Sent}, {Seq: items[2].Seq, Outcome: Sent}},
	} {
		if err := q.Settle("out", s); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
	if err := q.Settle("none", []Settled{{Seq: items[0].Seq, Outcome: Sent}}); err == nil {
		t.Error("an unknown output: no error")
	}
	if got := next(t, q, "out"); len(got) != 3 {
		t.Errorf("%d pending, want 3", len(got))
	}
	checkAccounts(t, q, "out")
}

func TestOneBadPartSpoilsNoOther(t *testing.T) {
	q := openNew(t, Options{})
	good := func() *op { return &op{done: make(chan struct{}), apply: mustPrepare(t, bounce(1)).apply} }
	bad := &op{done: make(chan struct{}), apply: func(t *txn) error { return t.accept("out", &position{}, Settled{Seq: 9}, true) }}
	ops := []*op{good(), bad, good()}
	q.lock <- struct{}{}
	q.writeGroup(append([]*op{}, ops...))
	<-q.lock
	if ops[0].err != nil || ops[1].err == nil || ops[2].err != nil {
		t.Errorf("errors: %v, %v, %v", ops[0].err, ops[1].err, ops[2].err)
	}
	if s := stats(t, q); s.Pending["out"] != 1 || s.Counters[repeated("in")] != 1 {
		t.Errorf("stats: %+v", s)
	}
}

func mustPrepare(t *testing.T, events ...event.Event) *prepared {
	p, err := prepare(&Batch{Input: "in", Events: events}, time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
