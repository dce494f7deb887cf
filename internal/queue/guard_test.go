package queue

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/internal/guard"
)

// guarded is a queue with a guard, at a time that is set at will.
type guarded struct {
	*testing.T
	*Queue
	path string
	now  time.Time
	said []string
	n    int
}

func newGuarded(t *testing.T) *guarded {
	g := &guarded{T: t, path: filepath.Join(t.TempDir(), "queue.db"), now: time.Unix(1_800_000_000, 0).Truncate(time.Hour)}
	g.open()
	return g
}

func (g *guarded) open() {
	g.Helper()
	if g.Queue != nil {
		if err := g.Close(); err != nil {
			g.Fatal(err)
		}
	}
	g.Queue = openAt(g.T, g.path, Options{
		Outputs: []string{"out"}, Now: func() time.Time { return g.now },
		Guard: &Guard{
			Rule: guard.Rule{Hard: 50, Times: 5, Share: 0.1},
			Provider: func(_, domain string) string {
				if domain == "gmail.com" || domain == "googlemail.com" {
					return "google"
				}
				return ""
			},
			Warn: func(e Excess) { g.said = append(g.said, e.Of) },
		},
	})
}

// failures gives n hard bounces of a log, to domain, just now.
func (g *guarded) failures(n int, domain string) (all []event.Event) {
	for range n {
		g.n++
		e := bounce(g.n)
		e.Time, e.Ours, e.RemoteMTA = g.now, true, "mx."+domain
		e.Recipient = fmt.Sprintf("person%d@%s", g.n, domain)
		e.ID = e.MakeID()
		all = append(all, e)
	}
	return all
}

func (g *guarded) store(events []event.Event, mails ...Mail) (held int) {
	g.Helper()
	r := commit(g.T, g.Queue, Batch{Counts: read(uint64(len(events))), Events: events, Mails: mails, Log: len(events) == 0 || events[0].Ours})
	for i := range r.Held {
		if r.Held[i] {
			held++
		}
	}
	return held
}

func (g *guarded) mails(n uint64, domain string) Mail {
	return Mail{domain, "mx." + domain, guard.HourOf(g.now), n}
}

func (g *guarded) held() []HeldEvent {
	g.Helper()
	all, err := g.Held()
	if err != nil {
		g.Fatal(err)
	}
	return all
}

func TestGuardHoldsAnOutage(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	outage := g.failures(300, "gmail.com")
	if held := g.store(outage); held != 250 {
		t.Fatalf("%d of 300 held", held)
	}
	g.open()
	if held := g.store(g.failures(10, "gmail.com")); held != 10 {
		t.Errorf("after a restart %d of 10 held", held)
	}
	if held := g.store(g.failures(10, "googlemail.com")); held != 10 {
		t.Errorf("of another domain of the provider %d of 10 held", held)
	}
	if fmt.Sprint(g.said) != "[provider/google]" {
		t.Errorf("said: %v", g.said)
	}
	for _, h := range g.held() {
		if h.Excess != "provider google" || h.Why != whyExcess+"provider google" {
			t.Fatalf("%q: %q", h.Excess, h.Why)
		}
	}
	if r := commit(t, g.Queue, Batch{Input: "mail", Counts: read(1), Events: outage[299:]}); !r.Repeat[0] {
		t.Error("what tells again of a bounce that is held is no repeat")
	}
	checkAccounts(t, g.Queue, "out")
	if since, err := g.Excessive(); err != nil || !since["provider/google"].Equal(g.now) {
		t.Errorf("since %v, %v", since, err)
	}
	g.now = g.now.Add(3 * time.Hour)
	if since, err := g.Excessive(); err != nil || len(since) != 0 {
		t.Errorf("three hours later, since %v, %v", since, err)
	}
	if held := g.store(g.failures(20, "gmail.com")); held != 0 {
		t.Errorf("when it is over %d of 20 held", held)
	}
	checkAccounts(t, g.Queue, "out")
}

// What an admin has released is plausible from then on.
func TestGuardLearns(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	campaign := func() int { return g.store(g.failures(300, "gmail.com")) }
	if held := campaign(); held != 250 {
		t.Fatalf("%d of 300 held", held)
	}
	last := g.held()[249]
	if n, err := g.DropHeld([]uint64{last.Seq}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if n, err := g.ReleaseHeld(nil); n != 249 || err != nil {
		t.Fatal(n, err)
	}
	if s := stats(t, g.Queue); s.Pending["out"] != 299 || s.Held != 0 {
		t.Errorf("%d pending, %d held", s.Pending["out"], s.Held)
	}
	if r := commit(t, g.Queue, Batch{Counts: read(1), Events: []event.Event{last.Event}}); !r.Repeat[0] {
		t.Error("what was dropped is told again")
	}
	g.now = g.now.Add(7 * 24 * time.Hour)
	maintain(t, g.Queue)
	if held := campaign(); held != 0 {
		t.Errorf("the next time %d of 300 held", held)
	}
	if held := g.store(g.failures(1000, "gmail.com")); held == 0 {
		t.Error("ten times as many are held by nobody")
	}
	checkAccounts(t, g.Queue, "out")
}

func TestGuardSoftens(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.store(g.failures(60, "example.net"))
	if n, err := g.SoftenHeld(g.now.Add(-time.Minute)); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	if n, err := g.SoftenHeld(g.now); n != 10 || err != nil {
		t.Fatal(n, err)
	}
	soft := 0
	for _, i := range next(t, g.Queue, "out") {
		if i.Event.Type == event.Soft {
			soft++
		}
	}
	if soft != 10 || len(g.held()) != 0 {
		t.Errorf("%d sent as soft, %d held", soft, len(g.held()))
	}
	checkAccounts(t, g.Queue, "out")
}

// A report that waited for the log is judged when its time has come.
func TestGuardJudgesWhatWaited(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	b := Batch{Counts: read(60)}
	for _, e := range g.failures(60, "example.net") {
		b.Held = append(b.Held, Held{Event: e, Why: "waits", Until: g.now.Add(time.Second)})
	}
	commit(t, g.Queue, b)
	if _, err := g.ReleaseWaiting(g.now.Add(time.Minute), func(*event.Event) string { return "" }); err != nil {
		t.Fatal(err)
	}
	if n := len(g.held()); n != 10 {
		t.Errorf("%d held", n)
	}
	checkAccounts(t, g.Queue, "out")
}

// A transaction that is done again without another's part counts nothing twice.
func TestGuardCountsOnce(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	p, err := prepare(&Batch{Input: "in", Counts: read(50), Events: g.failures(50, "example.net")}, g.now, g.o.Guard)
	if err != nil {
		t.Fatal(err)
	}
	broken := func(*txn) error { return errors.New("broken") }
	sound, spoilt := &op{apply: p.apply, done: make(chan struct{})}, &op{apply: broken, done: make(chan struct{})}
	g.lock <- struct{}{}
	g.writeGroup([]*op{sound, spoilt})
	<-g.lock
	if sound.err != nil || spoilt.err == nil {
		t.Fatal(sound.err, spoilt.err)
	}
	if held := g.store(g.failures(1, "example.net")); held != 1 || len(g.held()) != 1 {
		t.Errorf("%d and %d held", held, len(g.held()))
	}
}

// Many failures are plausible where there is much mail, in whatever order a batch tells of it; not if it ceases to arrive.
func TestGuardKnowsHowMuchIsSent(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	if held := g.store(g.failures(400, "gmail.com"), g.mails(10_000, "gmail.com"), g.mails(100_000, "example.org")); held != 0 {
		t.Errorf("%d held of 400 among 10000 mails", held)
	}
	g.now = g.now.Add(time.Minute)
	if held := g.store(g.failures(300, "gmail.com"), g.mails(1000, "gmail.com")); held != 0 {
		t.Errorf("%d held of 300 among 1000 mails", held)
	}
	g.now = g.now.Add(time.Minute)
	if held := g.store(g.failures(1000, "gmail.com")); held < 900 {
		t.Errorf("%d held of 1000 when nothing arrives any more", held)
	}
	checkAccounts(t, g.Queue, "out")
}

// A backlog is judged as if it had been read when it happened: many days' failures are no outage, one hour's are.
func TestGuardReadsABacklog(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	start := g.now
	var old []event.Event
	for h := range 20 * 24 {
		g.now = start.Add(-time.Duration(h) * time.Hour)
		old = append(old, g.failures(4, "closed.example")...)
	}
	g.now = start
	if held := g.store(old); held != 0 {
		t.Errorf("%d held of 20 days' %d", held, len(old))
	}
	g.now = start.Add(-100 * time.Hour)
	outage := g.failures(200, "closed.example")
	g.now = start
	if held := g.store(outage); held < 140 {
		t.Errorf("%d held of an outage in the backlog of 200", held)
	}
	// Reports are dated by strangers: spread over years they are held beyond some number.
	var reports []event.Event
	for i := range 3000 {
		g.now = start.Add(-time.Duration(i+1) * 3 * time.Hour)
		reports = append(reports, g.failures(1, fmt.Sprintf("d%d.example", i))...)
		reports[i].Ours = false // no log tells of it
	}
	g.now = start
	if held := g.store(reports); held != 2000 {
		t.Errorf("%d held of 3000 old reports", held)
	}
	checkAccounts(t, g.Queue, "out")
}

// Bounces that blame the sender are never held, and said once.
func TestGuardWarnsOfSenderFaults(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	blocked := g.failures(80, "example.net")
	for i := range blocked {
		blocked[i].Type, blocked[i].Reason, blocked[i].Fault = event.Soft, event.Blocklisted, event.FaultSender
	}
	if held := g.store(blocked); held != 0 || len(g.held()) != 0 {
		t.Errorf("%d held", held)
	}
	if since, err := g.Excessive(); err != nil || len(since) != 1 || since[ScopeSender].IsZero() {
		t.Errorf("%v, %v", since, err)
	}
	if fmt.Sprint(g.said) != "[sender]" {
		t.Errorf("said: %v", g.said)
	}
}

// Strangers name domains: not all are known by themselves, and none for ever.
func TestGuardBoundsItsScopes(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.scopes = maxScopes - 1
	var all []event.Event
	for i := range 30 {
		all = append(all, g.failures(1, fmt.Sprintf("d%d.example", i))...)
	}
	g.store(all)
	g.open()
	if g.scopes > 5 {
		t.Errorf("%d scopes kept", g.scopes)
	}
	g.now = g.now.Add(48 * time.Hour)
	maintain(t, g.Queue)
	if g.scopes != 0 {
		t.Errorf("%d scopes kept two days later", g.scopes)
	}
}
