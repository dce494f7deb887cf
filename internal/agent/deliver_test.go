package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
	"bouncefeed/outputs"
)

// answering is an output that answers by the recipient's domain, and notes what it took.
type answering struct {
	mu     sync.Mutex
	broken bool // everything is to come later
	tried  chan struct{}
	taken  []string
}

func (a *answering) Send(_ context.Context, batch []event.Event) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.broken {
		select {
		case a.tried <- struct{}{}:
		default:
		}
		return errors.New("503: not now")
	}
	for _, e := range batch {
		if strings.HasSuffix(e.Recipient, "@never.example") {
			return event.Permanent(errors.New("400: bad e-mail"))
		}
		a.taken = append(a.taken, e.Recipient)
	}
	return nil
}

func openTestQueue(t *testing.T, dir string) *queue.Queue {
	t.Helper()
	q, err := queue.Open(filepath.Join(dir, "queue.db"), queue.Options{MaxSize: 64 << 20, Retain: time.Hour, Outputs: []string{"out"}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	return q
}

func fill(t *testing.T, q *queue.Queue, n int, e event.Event) {
	t.Helper()
	b := queue.Batch{Input: "in"}
	for i := range n {
		one := e
		one.Recipient = fmt.Sprintf("%d%s", i, e.Recipient)
		one.ID = one.MakeID()
		b.Events = append(b.Events, one)
	}
	if _, err := q.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

func startDelivery(t *testing.T, q *queue.Queue, out outputs.Output, change ...func(*delivery)) (*delivery, func()) {
	d := &delivery{
		name: "out", out: out, queue: q, log: slog.New(slog.DiscardHandler), observe: func(string, *event.Event) {},
		verifying: newVerifying(out, slog.New(slog.DiscardHandler)),
		settings:  &outputs.Settings{Send: outputs.DefaultSend, Batch: 1},
	}
	for _, f := range change {
		f(d)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return d, stop
}

// eventually polls until ok holds: the tests wait for a state, never for a time.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func pending(t *testing.T, q *queue.Queue) uint64 {
	st, err := q.Stats()
	if err != nil {
		t.Fatal(err)
	}
	return st.Pending["out"]
}

func TestDeliverySortsByAnswer(t *testing.T) {
	q := openTestQueue(t, t.TempDir())
	fill(t, q, 40, event.Event{Recipient: "@ok.example", Type: event.Hard, Reason: event.UserUnknown, Fault: event.FaultRecipient})
	fill(t, q, 2, event.Event{Recipient: "@never.example", Type: event.Hard, Reason: event.UserUnknown, Fault: event.FaultRecipient})
	fill(t, q, 3, event.Event{Recipient: "@ours.example", Type: event.Soft, Reason: event.Blocklisted, Fault: event.FaultSender})
	fill(t, q, 1, event.Event{Recipient: "@spam.example", Type: event.Complaint})
	out := &answering{}
	_, stop := startDelivery(t, q, out)
	eventually(t, "the queue is empty", func() bool { return pending(t, q) == 0 })
	stop()
	st, err := q.Stats()
	if err != nil {
		t.Fatal(err)
	}
	for word, want := range map[queue.Word]uint64{queue.CountSent: 41, queue.CountDead: 2, queue.CountNotSent: 3} {
		if n := st.Counters.Output("out", word); n != want {
			t.Errorf("%s = %d, want %d", word, n, want)
		}
	}
	if len(out.taken) != 41 || !slices.IsSortedFunc(out.taken[:10], func(a, b string) int { return strings.Compare(a, b) }) {
		t.Errorf("took %v", out.taken)
	}
	dead, err := q.Dead("out")
	if err != nil || len(dead) != 2 || dead[0].Answer != "400: bad e-mail" {
		t.Errorf("dead letters %v, %v", dead, err)
	}
}

func TestDeliveryBlamesOneOfABatch(t *testing.T) {
	q := openTestQueue(t, t.TempDir())
	fill(t, q, 5, event.Event{Recipient: "@ok.example", Type: event.Hard, Fault: event.FaultRecipient})
	fill(t, q, 1, event.Event{Recipient: "@never.example", Type: event.Hard, Fault: event.FaultRecipient})
	fill(t, q, 5, event.Event{Recipient: "@fine.example", Type: event.Hard, Fault: event.FaultRecipient})
	d := &delivery{
		name: "out", out: &wholeBatches{}, queue: q, log: slog.New(slog.DiscardHandler), observe: func(string, *event.Event) {},
		settings: &outputs.Settings{Send: outputs.DefaultSend, Batch: 50},
	}
	items, err := q.Next(t.Context(), "out", 50)
	if err != nil {
		t.Fatal(err)
	}
	d.settler = newSettler(t.Context(), q, "out", func() {}, func(error) {})
	if err := errors.Join(d.ship(t.Context(), items), d.settler.end()); err != nil {
		t.Fatal(err)
	}
	st, err := q.Stats()
	if err != nil || st.Counters.Output("out", queue.CountSent) != 10 || st.Counters.Output("out", queue.CountDead) != 1 {
		t.Errorf("counters %v, %v", st.Counters, err)
	}
}

// wholeBatches refuses a batch for good if one of its events is refused.
type wholeBatches struct{}

func (wholeBatches) Send(_ context.Context, batch []event.Event) error {
	for _, e := range batch {
		if strings.HasSuffix(e.Recipient, "@never.example") {
			return event.Permanent(errors.New("400: bad e-mail"))
		}
	}
	return nil
}

// A disk that is full for a while, or for all but one item, has nothing sent again: what was sent is noted once there is room.
func TestSettlerWaitsForRoom(t *testing.T) {
	full := fmt.Errorf("write queue: %w", syscall.ENOSPC)
	all := []queue.Settled{{Seq: 1}, {Seq: 2}, {Seq: 3}, {Seq: 4}, {Seq: 5}}
	for _, room := range []int{0, 1, 3, 5} { // 0: for some seconds
		synctest.Test(t, func(t *testing.T) {
			began, stuck := time.Now(), 0
			s := &settler{ctx: t.Context(), name: "out", stuck: func(error) { stuck++ }}
			var noted []queue.Settled
			err := s.note(all, func(_ string, part []queue.Settled) error {
				if len(part) > max(1, room) || room == 0 && time.Since(began) < 5*roomEvery {
					return full
				}
				noted = append(noted, part...)
				return nil
			})
			if err != nil || !slices.Equal(noted, all) || (room == 0) != (stuck > 0) {
				t.Errorf("room for %d: noted %v, stuck %d times: %v", room, noted, stuck, err)
			}
		})
	}
	ended, end := context.WithCancel(t.Context())
	end()
	s := &settler{ctx: ended, name: "out"}
	if err := s.note(all, func(string, []queue.Settled) error { return full }); !queue.IsFull(err) {
		t.Errorf("at the end: %v", err)
	}
}

func TestDeliveryWaitsForABrokenReceiver(t *testing.T) {
	q := openTestQueue(t, t.TempDir())
	fill(t, q, 5, event.Event{Recipient: "@ok.example", Type: event.Hard, Fault: event.FaultRecipient})
	out := &answering{broken: true, tried: make(chan struct{}, 1)}
	d, _ := startDelivery(t, q, out)
	<-out.tried
	eventually(t, "status tells the problem", func() bool {
		problem, since, _ := d.state.report()
		return problem == "503: not now" && since != nil
	})
	if n := pending(t, q); n != 5 {
		t.Errorf("%d pending, want 5", n)
	}
	out.mu.Lock()
	out.broken = false
	out.mu.Unlock()
	eventually(t, "all are delivered", func() bool { return pending(t, q) == 0 })
	if problem, _, last := d.state.report(); problem != "" || last == nil {
		t.Errorf("still says %q", problem)
	}
	if len(out.taken) != 5 {
		t.Errorf("took %v", out.taken)
	}
}

func TestBackoffIsCappedAndJittered(t *testing.T) {
	var b backoff
	seen := map[time.Duration]bool{}
	for range 100 {
		d := b.next()
		if d < backoffFirst/2 || d > backoffLast*3/2 {
			t.Fatalf("waits %s", d)
		}
		seen[d] = true
	}
	if len(seen) < 50 {
		t.Error("no jitter")
	}
}

// slow is an output that takes its time, and says why it was cut off.
type slow struct{ takes time.Duration }

func (s slow) Send(ctx context.Context, _ []event.Event) error {
	select {
	case <-time.After(s.takes):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// At shutdown a POST under way may end, within the grace: cut off, it would be made twice. One that hangs is cut off.
func TestPostUnderWayMayEndAtShutdown(t *testing.T) {
	for name, c := range map[string]struct {
		takes, ends time.Duration // after the shutdown
		err         error
	}{
		"ends in time": {grace - time.Millisecond, grace - time.Millisecond, nil},
		"hangs":        {time.Hour, grace, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &delivery{out: slow{c.takes}}
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				start := time.Now()
				if err := d.attempt(ctx, nil); !errors.Is(err, c.err) || time.Since(start) != c.ends {
					t.Errorf("ended after %v with %v, want %v, %v", time.Since(start), err, c.ends, c.err)
				}
			})
		})
	}
}

// locked is an output whose receiver does not know the login for an hour.
type locked struct {
	until time.Time
	tries int
}

func (l *locked) Send(context.Context, []event.Event) error {
	if l.tries++; time.Now().Before(l.until) {
		return errors.New("401: the login is not known")
	}
	return nil
}

// A login that is wrong for an hour costs nothing but the hour: it is tried about once a minute, and status says why.
func TestDeliveryThroughAnHourOfWrongLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		out := &locked{until: began.Add(time.Hour)}
		d := &delivery{name: "out", out: out, queue: &queue.Queue{}, log: slog.New(slog.DiscardHandler), settings: &outputs.Settings{Batch: 1}, verifying: newVerifying(out, slog.New(slog.DiscardHandler))}
		d.settler = newSettler(t.Context(), nil, "out", func() {}, d.suffer)
		go func() {
			<-time.After(30 * time.Minute)
			if problem, since, _ := d.state.report(); !strings.HasPrefix(problem, "401: ") || !since.Equal(began) || d.nextTry.Load() == nil {
				t.Errorf("after half an hour: %q since %v, next try %v", problem, since, d.nextTry.Load())
			}
		}()
		err := d.sendUntilAnswered(t.Context(), []event.Event{{ID: "1"}})
		if took := time.Since(began); err != nil || took < time.Hour || took > time.Hour+2*backoffLast || out.tries > 140 {
			t.Errorf("%d tries in %v: %v", out.tries, took, err)
		}
		if problem, _, _ := d.state.report(); problem != "" {
			t.Errorf("after it: %q", problem)
		}
		if err := d.settler.end(); err != nil {
			t.Error(err)
		}
	})
}

// taking is an output that takes everything at once.
type taking struct{ n atomic.Int64 }

func (c *taking) Send(_ context.Context, batch []event.Event) error {
	c.n.Add(int64(len(batch)))
	return nil
}

// BenchmarkDeliveryBesideStorm is a delivery from a backlog, an event at a time, while a log's bounces come in as fast as
// the queue takes them.
func BenchmarkDeliveryBesideStorm(b *testing.B) {
	q, err := queue.Open(filepath.Join(b.TempDir(), "queue.db"), queue.Options{Outputs: []string{"out"}})
	if err != nil {
		b.Fatal(err)
	}
	defer q.Close()
	ctx, cancel := context.WithCancel(b.Context())
	var stored atomic.Int64
	var group sync.WaitGroup
	group.Go(func() {
		for n := 0; ctx.Err() == nil; n += 500 {
			batch := queue.Batch{Input: "in"}
			for i := range 500 {
				e := event.Event{Time: time.Unix(1_800_000_000, 0), Type: event.Hard, Reason: event.UserUnknown, Fault: event.FaultRecipient,
					Recipient: fmt.Sprintf("person%d@example.org", n+i), MessageID: fmt.Sprintf("m%d@news.example", n+i), QueueID: fmt.Sprintf("4X%dz", n+i),
					Diagnostic: fmt.Sprintf("550 5.1.1 <person%d@example.org>: Recipient address rejected: User unknown", n+i), QueueIDIssuer: "mx1", Code: 550}
				e.ID = e.MakeID()
				batch.Events = append(batch.Events, e)
			}
			if _, err := q.Commit(ctx, batch); err != nil && ctx.Err() == nil {
				b.Error(err)
			}
			stored.Add(500)
		}
	})
	out := &taking{}
	d := &delivery{name: "out", out: out, queue: q, log: slog.New(slog.DiscardHandler), observe: func(string, *event.Event) {},
		settings: &outputs.Settings{Send: outputs.DefaultSend, Batch: 1}}
	group.Go(func() {
		if err := d.run(ctx); err != nil {
			b.Error(err)
		}
	})
	for stored.Load() < 20_000 {
		time.Sleep(time.Millisecond)
	}
	sent, had, began := out.n.Load(), stored.Load(), time.Now()
	for b.Loop() {
		time.Sleep(time.Second)
	}
	seconds := time.Since(began).Seconds()
	b.ReportMetric(float64(out.n.Load()-sent)/seconds, "sent/s")
	b.ReportMetric(float64(stored.Load()-had)/seconds, "stored/s")
	cancel()
	group.Wait()
}
