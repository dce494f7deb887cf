package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/e2e/e2etest"
	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
	"bouncefeed/outputs"
)

// impatient are rules for tests: as listmonkRules, but nothing is proved by waiting alone.
var impatient = verifyRules{
	holds: 1100, unsure: 200 * time.Millisecond, broken: time.Hour, quiet: time.Hour,
	soon: 5 * time.Millisecond, seldom: 50 * time.Millisecond, rarely: 200 * time.Millisecond, often: 100, most: 5000,
}

// shipper posts and reads back as a delivery does, to a listmonk of its own.
type shipper struct {
	t      *testing.T
	m      *e2etest.Listmonk
	out    outputs.Verifier
	v      verification
	queued int
	upTo   uint64
	counts map[queue.Word]uint64
	reads  int
}

func newShipper(t *testing.T, more string) *shipper {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := e2etest.NewListmonk(e2etest.MayRead...)
	m.Start(t, l)
	t.Setenv("LISTMONK_TOKEN", e2etest.Token)
	cfg, err := config.Parse("test.yaml", []byte(fmt.Sprintf("outputs: {lm: {type: listmonk, url: %q, username: %s, password_env: LISTMONK_TOKEN%s}}", m.URL, e2etest.User, more)))
	if err != nil {
		t.Fatal(err)
	}
	built, err := outputs.Modules.Build(config.Env{Name: "lm", Host: "mx1"}, cfg.Outputs[0].Value)
	if err != nil {
		t.Fatal(err)
	}
	return &shipper{t: t, m: m, out: built.Output.(outputs.Verifier), v: verification{rules: impatient}, counts: map[queue.Word]uint64{}}
}

// event is one of the nth subscriber, who is subscribed.
func (s *shipper) event(n int) event.Event {
	uuid, email := fmt.Sprintf("5d1c9f5e-90a1-4f5f-8f62-%012d", n), fmt.Sprintf("u%d@example.org", n)
	s.m.Subscribe(uuid, email)
	return s.stranger(n)
}

// stranger is one of the nth subscriber, whom listmonk does not know.
func (s *shipper) stranger(n int) event.Event {
	return event.Event{ID: fmt.Sprintf("id%d", n), Time: time.Now().UTC(), Type: event.Soft,
		Recipient: fmt.Sprintf("u%d@example.org", n), SubscriberUUID: fmt.Sprintf("5d1c9f5e-90a1-4f5f-8f62-%012d", n)}
}

// ship posts e until it is taken, or perhaps taken.
func (s *shipper) ship(e event.Event) {
	s.queued++
	began, uncertain := s.send(e)
	s.v.add(queue.Item{Seq: uint64(s.queued), Event: e}, began, time.Now(), uncertain)
	s.step()
}

func (s *shipper) send(e event.Event) (began time.Time, uncertain bool) {
	for {
		began = time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), e2etest.Patience)
		err := s.out.Send(ctx, []event.Event{e})
		cancel()
		if _, is := errors.AsType[*outputs.UncertainError](err); err == nil || is {
			return began, err != nil
		}
		s.v.refused(time.Now())
		if s.t.Failed() {
			s.t.FailNow()
		}
		time.Sleep(time.Millisecond)
	}
}

// step reads back if it is time to, and posts again what is missing.
func (s *shipper) step() {
	if at := s.v.due(); !at.IsZero() && !time.Now().Before(at) {
		barrier := s.v.barrier(time.Now())
		a, err := s.out.Stored(context.Background(), s.v.wanted())
		if s.reads++; err == nil {
			s.v.learn(a, barrier, time.Now(), s.out.Otherwise)
		} else {
			s.v.read(a, time.Now())
		}
	}
	for p := s.v.next(); p != nil; p = s.v.next() {
		began, uncertain := s.send(p.event)
		s.v.again(p, began, time.Now(), uncertain)
	}
	upTo, counts := s.v.done()
	s.upTo = max(s.upTo, upTo)
	for w, n := range counts {
		s.counts[w] += n
	}
}

// finish goes on until n events are settled. As life does, it brings a bounce now and then.
func (s *shipper) finish(n int) {
	s.t.Helper()
	later := 1_000_000
	next := time.Now()
	e2etest.WaitFor(s.t, time.Millisecond, "all is settled", func() bool {
		if s.step(); time.Now().After(next) {
			s.ship(s.event(later))
			later++
			next = time.Now().Add(100 * time.Millisecond)
		}
		return s.upTo >= uint64(n)
	})
}

// require is that each of the first n events is stored once.
func (s *shipper) require(n int) {
	s.t.Helper()
	ids := s.m.Stored()
	lost, doubled := 0, 0
	for i := range n {
		switch ids[fmt.Sprintf("id%d", i)] {
		case 0:
			lost++
		case 1:
		default:
			doubled++
		}
	}
	r := s.m.Requests()
	s.t.Logf("%d events, %d posts, %d readings of %d pages; listmonk lost %d", s.queued, r["POST /webhooks/bounce"], s.reads, r["GET /api/bounces"], s.m.Lost())
	if lost > 0 || doubled > 0 {
		s.t.Errorf("%d lost, %d doubled", lost, doubled)
	}
}

// Whatever ends what listmonk holds in memory, each bounce becomes stored once.
func TestVerifyStoresOnce(t *testing.T) {
	restart := func(s *shipper) { s.m.Kill(); s.m.Start(s.t, nil) }
	for _, c := range []struct {
		name   string
		n      int
		insert time.Duration
		at     map[int]func(*shipper)
	}{
		{"nothing happens", 1500, 0, nil},
		{"killed", 1500, 0, map[int]func(*shipper){400: restart, 900: restart}},
		{"slow, killed", 700, time.Millisecond, map[int]func(*shipper){400: restart}},
		{"killed at the last", 300, time.Millisecond, map[int]func(*shipper){300: restart}},
		{"settings saved", 1500, 0, map[int]func(*shipper){700: func(s *shipper) { s.m.SaveSettings(s.t, true, true) }}},
		{"database away", 1500, 0, map[int]func(*shipper){300: func(s *shipper) { s.m.Database(false) }, 900: func(s *shipper) { s.m.Database(true) }}},
		{"locked", 900, 0, map[int]func(*shipper){100: func(s *shipper) {
			unlock := s.m.Lock()
			time.AfterFunc(300*time.Millisecond, unlock)
		}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShipper(t, "")
			s.m.Insert(c.insert)
			for n := range c.n {
				if f := c.at[n]; f != nil {
					f(s)
				}
				s.ship(s.event(n))
			}
			if f := c.at[c.n]; f != nil {
				f(s)
			}
			posts := s.m.Requests()["POST /webhooks/bounce"]
			if reads := s.m.Requests()["GET /api/bounces"]; reads*20 > posts {
				t.Errorf("%d readings for %d posts", reads, posts)
			}
			s.finish(c.n)
			s.require(c.n)
			if s.counts[queue.CountNotStored] > 0 {
				t.Errorf("%v", s.counts)
			}
		})
	}
}

// Trusted, the same loses: what the tests above show is not for nothing.
func TestWithoutVerifyingItLoses(t *testing.T) {
	s := newShipper(t, "")
	s.m.Insert(time.Millisecond)
	for n := range 400 {
		s.send(s.event(n))
	}
	s.m.Kill()
	s.m.Start(t, nil)
	if lost := s.m.Lost(); lost < 10 {
		t.Errorf("lost %d", lost)
	}
}

// What listmonk can't store is tried once more, by address alone too, and then counted. What it knows by another UUID is
// stored.
func TestVerifyNotStored(t *testing.T) {
	s := newShipper(t, "")
	for n := range 40 {
		switch {
		case n%4 == 0: // unknown
			s.ship(s.stranger(n))
		case n%4 == 1: // imported again
			e := s.event(n)
			s.m.Unsubscribe(e.Recipient)
			s.m.Subscribe(fmt.Sprintf("5d1c9f5e-90a1-4f5f-8f62-%012d", 5000+n), e.Recipient)
			s.ship(e)
		case n == 2:
			e := s.event(n)
			s.m.Blocklist(e.Recipient)
			s.ship(e)
		default:
			s.ship(s.event(n))
		}
	}
	s.finish(40)
	if s.counts[queue.CountNotStored] != 11 || s.counts[queue.CountStored] < 29 {
		t.Errorf("%v", s.counts)
	}
	ids := s.m.Stored()
	for n := range 40 {
		want := 1
		if n%4 == 0 || n == 2 {
			want = 0
		}
		if got := ids[fmt.Sprintf("id%d", n)]; got != want {
			t.Errorf("%d: stored %d times", n, got)
		}
	}
}

// Nothing is known to be stored in which nobody believes: a list of strangers is through once so many more were taken as
// the receiver can hold.
func TestVerifyOfStrangersGoesOn(t *testing.T) {
	s := newShipper(t, "")
	s.v.rules.holds = 100
	for n := range 600 {
		s.ship(s.stranger(n))
	}
	for n := 600; s.upTo < 400; n++ {
		s.ship(s.stranger(n))
		if n > 10_000 {
			t.Fatal("it stands still")
		}
	}
	if s.counts[queue.CountNotStored] < 400 || s.counts[queue.CountStored] > 0 {
		t.Errorf("%v", s.counts)
	}
}

// What another life of the daemon posted, or may have, is asked for before it is posted again.
func TestVerifyAfterAKill(t *testing.T) {
	s := newShipper(t, "")
	for n := range 50 { // of which 5 were not posted yet, as the daemon does not know
		e := s.event(n)
		if n < 45 {
			s.send(e)
		}
		s.queued++
		s.v.addOld(queue.Item{Seq: uint64(s.queued), Event: e}, time.Now(), s.v.rules.unsure)
	}
	s.finish(50)
	s.require(50)
}

func TestVerifyWaits(t *testing.T) {
	at := time.Date(2026, 11, 29, 16, 0, 0, 0, time.UTC)
	v := verification{rules: listmonkRules}
	none := func(e event.Event) (event.Event, bool) { return e, false }
	item := func(n int) queue.Item { return queue.Item{Seq: uint64(n), Event: event.Event{ID: fmt.Sprint(n)}} }
	absent := func(ids ...string) outputs.Answered {
		a := outputs.Answered{Stored: map[string]bool{}, Requests: 1}
		for _, id := range ids {
			a.Stored[id] = false
		}
		return a
	}
	if !v.due().IsZero() {
		t.Error("nothing was posted, nothing is asked")
	}
	v.add(item(1), at, at.Add(time.Millisecond), false)
	v.add(item(2), at.Add(time.Second), at.Add(2*time.Second), true)
	if v.due() != at.Add(3*time.Second) {
		t.Errorf("due %v", v.due())
	}
	for range 5 { // however often it is not there
		at = at.Add(time.Minute)
		v.learn(absent("1", "2"), v.barrier(at), at, none)
		if v.next() != nil || v.due().Sub(at) > time.Minute {
			t.Fatalf("posted again, or due %v", v.due())
		}
	}
	v.refused(at)
	at = at.Add(listmonkRules.broken)
	if v.learn(absent("1", "2"), v.barrier(at), at, none); len(v.lost) != 2 {
		t.Error("a refused connection proves that all before is through")
	}
	v = verification{rules: listmonkRules}
	v.add(item(1), at, at, false)
	at = at.Add(listmonkRules.quiet)
	if v.learn(absent("1"), v.barrier(at), at, none); v.next() == nil {
		t.Error("nor does it wait for ever")
	}
	v.add(item(2), at, at, false)
	v.skip(3)
	if upTo := v.trust(); upTo != 0 || len(v.posted) != 3 {
		t.Error("what is missing is not trusted")
	}
	v.giveUp(v.posted[0])
	if upTo, counts := v.done(); upTo != 1 || counts[queue.CountNotStored] != 1 {
		t.Errorf("%d %v", upTo, counts)
	}
	if upTo := v.trust(); upTo != 3 || len(v.posted) != 0 || v.open != 0 {
		t.Errorf("%d", upTo)
	}
}
