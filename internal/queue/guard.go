package queue

import (
	"maps"
	"slices"
	"strings"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/internal/guard"
)

// Guard has hard bounces held that are more than is plausible (internal/guard). They are judged in the transaction that
// stores them, so that repeats are not counted and what is known of the last hours survives as what is stored does.
//
// Unlike other held events they are proven: what tells of them again is a repeat. They have numbers of their own.
type Guard struct {
	guard.Rule
	Provider func(host, domain string) string // whose mailbox it is; "": of nobody who is known
	Warn     func(Excess)                     // an excess has begun; it must not call the queue
}

// Excess is more of something than is plausible.
type Excess struct {
	Of    string // "all", "domain/example.org", "provider/google", "relay/mx.example.org", "late"; or "sender": not held
	Event event.Event
}

// Mail is how many mails of an hour did not fail, as far as a log tells.
type Mail struct {
	Domain string `json:"domain"`
	Relay  string `json:"relay,omitempty"` // host to which they went
	Hour   int64  `json:"hour"`            // guard.HourOf
	N      uint64 `json:"n"`
}

// Scopes that are no domain, provider or relay.
const (
	scopeAll    = "all"
	scopeLate   = "late"   // told long after it failed, and by no log
	ScopeSender = "sender" // soft bounces that are the sender's fault: nothing is held
)

const (
	guardedReference = 1 << 60           // in the index: stands for an event that the guard holds
	guardedFrom      = 1_000_000_000_000 // their numbers are above
	maxGuarded       = 100_000           // held at a time; the oldest then go out as soft
	maxScopes        = 10_000            // domains and relays known by themselves; the others are judged with all only

	lateAfter = time.Hour
	lateTimes = 20 // as many may be late as within an hour are plausible: an old mailbox that is read for the first time

	whyExcess = "more hard bounces than is plausible within an hour: "
)

func isGuarded(seq uint64) bool { return seq > guardedFrom }

// shared is what a mail has in common with others, the most telling first.
func (g *Guard) shared(domain, relay string) (scopes []string) {
	domain, relay = strings.ToLower(domain), strings.ToLower(relay)
	if g.Provider != nil {
		if p := g.Provider(relay, domain); p != "" {
			scopes = append(scopes, "provider/"+p)
		}
	}
	if relay != "" && len(relay) <= 255 {
		scopes = append(scopes, "relay/"+relay)
	}
	if domain != "" && len(domain) <= 255 {
		scopes = append(scopes, "domain/"+domain)
	}
	return append(scopes, scopeAll)
}

// watched is what a transaction knows of the guard's scopes.
type watched struct {
	scopes map[string]*guard.Scope // looked at; nil: not there
	mails  map[string]*stream      // of the batch that is being stored
	begun  []Excess
}

// stream is the mails of a batch that did not fail, which are counted in between of those that did: the order of a batch's
// mails is not known.
type stream struct {
	hours map[int64]uint64
	fails uint64 // still to come
}

// scope gives what is known; nil: nothing.
func (t *txn) scope(name string, create bool) (*guard.Scope, error) {
	s, known := t.watched.scopes[name]
	if s != nil || known && !create {
		return s, nil
	}
	if t.watched.scopes == nil {
		t.watched.scopes = map[string]*guard.Scope{}
	}
	b := t.Bucket(bucketGuard)
	if v := b.Get([]byte(name)); v != nil {
		text, err := unseal([]byte(name), v)
		if err != nil {
			return nil, err
		}
		if s, err = guard.Decode(text); err != nil {
			return nil, err
		}
	} else if create && (t.q.scopes < maxScopes || !strings.HasPrefix(name, "domain/") && !strings.HasPrefix(name, "relay/")) {
		t.q.scopes++ // Maintain counts anew
		s = &guard.Scope{}
	}
	t.watched.scopes[name] = s
	return s, nil
}

// expect prepares for a batch.
func (t *txn) expect(p *prepared) error {
	if t.q.o.Guard == nil {
		return nil
	}
	t.watched.mails = map[string]*stream{}
	of := func(name string) *stream {
		s := t.watched.mails[name]
		if s == nil {
			s = &stream{hours: map[int64]uint64{}}
			t.watched.mails[name] = s
		}
		return s
	}
	for i := range p.events {
		for _, name := range p.events[i].shared {
			of(name).fails++
		}
	}
	for i := range p.Mails {
		for _, name := range append(p.shared[i], ScopeSender) {
			if t.watched.mails[name] == nil {
				if s, err := t.scope(name, false); s == nil || err != nil {
					if err != nil {
						return err
					}
					continue
				}
			}
			of(name).hours[p.Mails[i].Hour] += p.Mails[i].N
		}
	}
	return nil
}

// flow counts the mails of a scope that are due before the next failure; all: that are left.
func (m *stream) flow(s *guard.Scope, now time.Time, all bool) {
	for _, hour := range slices.Sorted(maps.Keys(m.hours)) {
		n := m.hours[hour]
		if !all && m.fails > 1 {
			n = (n + m.fails - 1) / m.fails
		}
		s.Deliver(hour, n, now)
		if m.hours[hour] -= n; m.hours[hour] == 0 {
			delete(m.hours, hour)
		}
	}
	m.fails -= min(m.fails, 1)
}

// flowRest counts what is left of a batch's mails.
func (t *txn) flowRest() error {
	for _, name := range slices.Sorted(maps.Keys(t.watched.mails)) {
		s, err := t.scope(name, false)
		if err != nil {
			return err
		}
		if s != nil {
			t.watched.mails[name].flow(s, t.now, true)
		}
	}
	t.watched.mails = nil
	return nil
}

// judge counts a new bounce, and says of what there are more than is plausible; "": it may be sent.
func (t *txn) judge(e *event.Event, shared []string) (excess string, err error) {
	if t.q.o.Guard == nil || len(shared) == 0 {
		return "", nil
	}
	var most, all uint64 // failures in those that are in excess
	for _, name := range shared {
		s, err := t.scope(name, true)
		if err != nil {
			return "", err
		}
		if s == nil {
			continue
		}
		if m := t.watched.mails[name]; m != nil {
			m.flow(s, t.now, false)
		}
		rule, at := t.q.o.Guard.Rule, failedAt(name, e, t.now)
		if name == scopeLate {
			rule.Hard *= lateTimes
		}
		if !s.Fail(rule, at, t.now) {
			continue
		}
		switch n := s.Hard(at); {
		case name == scopeAll || name == scopeLate || name == ScopeSender:
			if all = n; excess == "" || 4*all > 5*most { // one part does not explain it
				excess = name
			}
		case 4*n > 5*most: // the first is the more telling one
			excess, most = name, n
		}
	}
	return excess, t.note(e, excess)
}

func (t *txn) note(e *event.Event, excess string) error {
	if excess == "" {
		return nil
	}
	s, err := t.scope(excess, true)
	if err != nil {
		return err
	}
	if s.Mark(t.now) {
		t.watched.begun = append(t.watched.begun, Excess{excess, *e})
	}
	return nil
}

// watchedBy gives the scopes in which a new event is judged. The relay counts only where a log tells it: a report's remote
// host is not the one that we spoke to, if a smarthost lies between.
func (g *Guard) watchedBy(e *event.Event, log bool, now time.Time) (shared []string) {
	switch {
	case g == nil:
	case e.Type == event.Hard:
		relay := ""
		if log {
			relay = e.RemoteMTA
		}
		shared = g.shared(e.Recipient[strings.LastIndexByte(e.Recipient, '@')+1:], relay)
		if !log && now.Sub(e.Time) > lateAfter {
			shared = append(shared, scopeLate)
		}
	case e.Type == event.Soft && e.Fault == event.FaultSender:
		shared = []string{ScopeSender}
	}
	return shared
}
