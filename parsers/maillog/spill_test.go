package maillog

import (
	"fmt"
	"iter"
	"maps"
	"testing"
	"time"

	"bouncefeed/internal/event"
)

// storedMap is what a parser has stored.
type storedMap map[string][]byte

func (s storedMap) Value(key string) []byte        { return s[key] }
func (s storedMap) All() iter.Seq2[string, []byte] { return maps.All(s) }

func (s storedMap) spilled() (n int) {
	for key := range s {
		if isSpilled(key) {
			n++
		}
	}
	return n
}

// newSpilling is a Postfix parser with as little memory as may be, and what it has stored.
func newSpilling(t *testing.T, stored storedMap) *postfix {
	t.Helper()
	p := newTestPostfix(t, nil)
	p.memory.limit = 20_000
	p.KeepStored(stored)
	if err := p.Load(stored.All()); err != nil {
		t.Fatal(err)
	}
	return p
}

const deferral = "relay=mx.example.net[192.0.2.1]:25, delay=1, delays=0/0/1/0, dsn=4.2.2, status=deferred (host mx.example.net[192.0.2.1] said: 452 4.2.2 full)"

// deferMany has n messages put off, ours or strangers', and stores what the parser remembers now and then.
func deferMany(p *postfix, stored storedMap, line func(string, ...any) said, client string, from, n int) {
	for i := from; i < from+n; i++ {
		line("smtpd[1]: %010X: client=%s", i, client)
		line("cleanup[1]: %010X: message-id=<%d@news.example>", i, i)
		line("qmgr[1]: %010X: from=<list@news.example>, size=1, nrcpt=1 (queue active)", i)
		line("smtp[1]: %010X: to=<u%d@example.net>, %s", i, i, deferral)
		if i%7 == 0 {
			applyChanges(stored, p.Changes())
		}
	}
	applyChanges(stored, p.Changes())
}

// Messages that the memory has no room for are as good as the others, also for a parser that begins with what is stored.
func TestSpilledMessagesComeBack(t *testing.T) {
	stored := storedMap{}
	p := newSpilling(t, stored)
	line := stamped(t, p)
	const ours, foreigns = 200, 100
	deferMany(p, stored, line, "localhost[127.0.0.1]", 0x100000, ours)
	deferMany(p, stored, line, "evil.example[203.0.113.66]", 0x200000, foreigns)
	if n := stored.spilled(); n < 200 || len(p.memory.messages) > 100 || p.memory.forgot != 0 {
		t.Fatalf("%d spilled, %d in memory, forgot %d", n, len(p.memory.messages), p.memory.forgot)
	}
	p = newSpilling(t, stored)
	line = stamped(t, p)
	for i := range ours {
		said := line("qmgr[1]: %010X: from=<list@news.example>, status=expired, returned to sender", 0x100000+i)
		if len(said.events) != 1 || said.events[0].Recipient != fmt.Sprintf("u%d@example.net", 0x100000+i) || !said.events[0].Sole || said.events[0].Code != 452 {
			t.Fatalf("expired %d: %+v", i, said)
		}
		line("qmgr[1]: %010X: removed", 0x100000+i)
		if i%5 == 0 {
			applyChanges(stored, p.Changes())
		}
	}
	for i := range foreigns {
		line("qmgr[1]: %010X: from=<list@news.example>, size=1, nrcpt=1 (queue active)", 0x200000+i)
		if said := line("smtp[1]: %010X: to=<ann@example.net>, %s", 0x200000+i, testBounce); len(said.events) != 1 || said.events[0].Type != event.Foreign {
			t.Fatalf("a stranger's: %+v", said)
		}
		line("qmgr[1]: %010X: removed", 0x200000+i)
	}
	applyChanges(stored, p.Changes())
	if len(stored) != 1 || p.memory.spill.others != (spillSum{}) || p.memory.spill.alien != (spillSum{}) {
		t.Errorf("left: %d, %+v", len(stored), p.memory.spill)
	}
}

// Strangers' messages crowd out no other's, and what is too much or too old goes, the oldest first.
func TestSpillIsBounded(t *testing.T) {
	stored := storedMap{}
	p := newSpilling(t, stored)
	line := stamped(t, p)
	deferMany(p, stored, line, "localhost[127.0.0.1]", 0x100000, 100)
	deferMany(p, stored, line, "evil.example[203.0.113.66]", 0x200000, 2000)
	if s := p.memory.spill; s.others.messages != 100 || s.alien.bytes > spillTimes*p.memory.limit+1000 || p.memory.forgot != 0 {
		t.Fatalf("%+v of strangers, %+v of others, forgot %d", s.alien, s.others, p.memory.forgot)
	}
	deferMany(p, stored, line, "localhost[127.0.0.1]", 0x300000, 2000)
	if s := p.memory.spill; s.others.bytes > spillTimes*p.memory.limit+1000 || s.others.messages < 100 || p.memory.forgot == 0 {
		t.Fatalf("%+v, forgot %d", s.others, p.memory.forgot)
	}
	expired := ": from=<list@news.example>, status=expired, returned to sender"
	if said := line("qmgr[1]: %010X%s", 0x300000, expired); len(said.events) != 1 || said.events[0].Type != event.Forgotten {
		t.Errorf("an old one: %+v", said)
	}
	if said := line("qmgr[1]: %010X%s", 0x300000+1900, expired); len(said.events) != 1 || said.events[0].Type != "" {
		t.Errorf("a new one: %+v", said)
	}
	before := stored.spilled()
	p.memory.bound(time.Date(2026, 12, 5, 0, 0, 0, 0, time.UTC).UnixMicro())
	applyChanges(stored, p.Changes())
	if n := stored.spilled(); n != 0 || before == 0 {
		t.Errorf("%d of %d too old ones are left", n, before)
	}
}

// A stranger who sends again, under the Message-ID of one of ours that is spilled, does not make it his.
func TestSpilledKeepsItsMessageID(t *testing.T) {
	stored := storedMap{}
	p := newSpilling(t, stored)
	line := stamped(t, p)
	deferMany(p, stored, line, "localhost[127.0.0.1]", 0x100000, 100)
	line("smtpd[1]: AAAAAAAAA1: client=evil.example[203.0.113.66]")
	line("cleanup[1]: AAAAAAAAA1: message-id=<%d@news.example>", 0x100000)
	line("qmgr[1]: AAAAAAAAA1: from=<list@news.example>, size=1, nrcpt=1 (queue active)")
	line("qmgr[1]: %010X: from=<list@news.example>, size=1, nrcpt=1 (queue active)", 0x100000)
	if said := line("smtp[1]: %010X: to=<u@example.net>, %s", 0x100000, testBounce); len(said.events) != 1 || said.events[0].Type != "" || said.events[0].Sole {
		t.Errorf("ours, whose Message-ID proves nothing any more: %+v", said)
	}
	if said := line("smtp[1]: AAAAAAAAA1: to=<u@example.net>, %s", testBounce); len(said.events) != 1 || said.events[0].Type != event.Foreign {
		t.Errorf("the stranger's: %+v", said)
	}
}

// What was forgotten for good is told where its line says enough, else counted.
func TestForgottenIsCounted(t *testing.T) {
	for kind, c := range map[string]struct{ line, want string }{
		"postfix":   {"2026-11-21T10:00:00Z mx1 postfix/qmgr[1]: AAAAAAAAA1: from=<list@news.example>, status=expired, returned to sender", "forgotten"},
		"exim":      {"2026-11-21 10:00:00 1xVnJg-0004aa-0A ** jo@example.net R=dnslookup T=smtp: SMTP error: 550 5.1.1 no", "forgotten"},
		"sendmail":  {"Nov 21 10:00:00 mx1 sendmail[1]: 6AM76LxF002152: to=<jo@example.net>, delay=3+00:00:00, mailer=esmtp, relay=mx.example.net. [192.0.2.1], dsn=5.1.1, stat=User unknown", "forgotten"},
		"opensmtpd": {`Nov 21 10:00:00 mx1 smtpd[1]: 5f4bba4d00000001 mta delivery evpid=4bba4df30d8f803b from=<list@news.example> to=<jo@example.net> rcpt=<-> source="-" relay="-" delay=3d result="PermFail" stat="550 5.1.1 no"`, ""},
	} {
		p := newTestLog(t, kind)
		p.(interface{ forgetOne(time.Time) }).forgetOne(time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC))
		said := tellLog(t, p, c.line)
		if len(said.events) != 1 || string(said.events[0].Type) != c.want {
			t.Errorf("%s: %+v", kind, said)
		}
	}
}

// forgetOne has a tracker, days after its first line, as if it had forgotten a message.
func (t *tracker) forgetOne(at time.Time) {
	t.first, t.memory.forgot = at.AddDate(0, 0, -5).UnixMicro(), at.UnixMicro()
}
