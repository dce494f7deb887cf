package maillog

import (
	"fmt"
	"testing"
	"time"

	"bouncefeed/internal/event"
)

// stamped tells lines of a log whose clock goes on by a millisecond each.
func stamped(t *testing.T, p *postfix) func(string, ...any) said {
	now := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
	return func(format string, args ...any) said {
		now = now.Add(time.Millisecond)
		return tellPostfix(t, p, now.Format("2006-01-02T15:04:05.000000Z07:00")+" mx1 postfix/"+fmt.Sprintf(format, args...))
	}
}

const testBounce = "relay=none, delay=0.2, delays=0.1/0/0/0.1, dsn=5.4.4, status=bounced (no)"

// A stranger opens transactions and drops them, so that his own, opened before, would be forgotten.
func TestStrangersCrowdOutNobody(t *testing.T) {
	p := newTestPostfix(t, nil)
	line := stamped(t, p)
	line("smtpd[1]: AAAAAAAAA1: client=evil.example[203.0.113.66]")
	line("smtpd[2]: AAAAAAAAA2: client=localhost[127.0.0.1]")
	for i := range 3 * maxArriving {
		line("smtpd[3]: %012X: client=evil.example[203.0.113.66]", 0xB00000000000+i)
	}
	for _, id := range []string{"AAAAAAAAA1", "AAAAAAAAA2"} {
		line("cleanup[1]: %s: message-id=<%s@news.example>", id, id)
		line("qmgr[1]: %s: from=<list@news.example>, size=1, nrcpt=1 (queue active)", id)
	}
	if said := line("smtp[1]: AAAAAAAAA1: to=<ann@example.net>, " + testBounce); said.why != whyUnopened {
		t.Errorf("a stranger's, whose beginning is forgotten: %+v", said)
	}
	if said := line("smtp[1]: AAAAAAAAA2: to=<ann@example.net>, " + testBounce); len(said.events) != 1 || said.events[0].Type != "" || !said.events[0].Sole {
		t.Errorf("ours: %+v", said)
	}
}

func TestMissedLinesBeginAnew(t *testing.T) {
	p := newTestPostfix(t, nil)
	tellPostfix(t, p, "2026-11-01T08:00:00Z mx1 systemd[1]: started")
	line := stamped(t, p)
	bounce := func() said {
		line("qmgr[1]: AAAAAAAAA1: from=<list@news.example>, size=1, nrcpt=1 (queue active)")
		return line("smtp[1]: AAAAAAAAA1: to=<ann@example.net>, " + testBounce)
	}
	if said := bounce(); said.why != whyUnopened {
		t.Errorf("nobody's: %+v", said)
	}
	line("qmgr[1]: AAAAAAAAA1: removed")
	p.Missed()
	store := map[string][]byte{}
	applyChanges(store, p.Changes())
	if len(store) != 1 {
		t.Errorf("stored: %q", store)
	}
	if said := bounce(); len(said.events) != 1 || said.events[0].Type != "" || said.events[0].Sole {
		t.Errorf("after a gap: %+v", said)
	}
}

// Who has read the id of a message of ours in what he was sent can send another one under it.
func TestSharedMessageID(t *testing.T) {
	p := newTestPostfix(t, nil)
	line := stamped(t, p)
	message := func(id, client string) {
		line("smtpd[1]: %s: client=%s", id, client)
		line("cleanup[1]: %s: message-id=<m1@news.example>", id)
		line("qmgr[1]: %s: from=<list@news.example>, size=1, nrcpt=1 (queue active)", id)
	}
	message("AAAAAAAAA1", "localhost[127.0.0.1]")
	message("AAAAAAAAA2", "evil.example[203.0.113.66]")
	line("cleanup[1]: AAAAAAAAA3: message-id=<m1@news.example>")
	line("qmgr[1]: AAAAAAAAA3: from=<list@news.example>, size=1, nrcpt=1 (queue active)")
	p.first -= 48 * time.Hour.Microseconds()
	if said := line("smtp[1]: AAAAAAAAA3: to=<victim@example.net>, orig_to=<al@news.example>, " + testBounce); len(said.events) > 0 {
		t.Errorf("what a stranger had forwarded: %+v", said)
	}
	if said := line("smtp[1]: AAAAAAAAA2: to=<victim@example.net>, " + testBounce); len(said.events) != 1 || said.events[0].Type != event.Foreign {
		t.Errorf("a stranger's own: %+v", said)
	}
	if said := line("smtp[1]: AAAAAAAAA1: to=<ann@example.net>, " + testBounce); len(said.events) != 1 || said.events[0].Type != "" {
		t.Errorf("ours: %+v", said)
	}
}

// What is forgotten for want of room is told where the line says enough, and counted where it does not.
func TestForgottenForWantOfRoom(t *testing.T) {
	p := newTestPostfix(t, func(c *postfixConfig) { c.Memory = 1 << 20 })
	line := stamped(t, p)
	const messages = 5000
	for i := range messages {
		line("pickup[1]: %012X: uid=1 from=<list@news.example>", 0xA00000000000+i)
		line("cleanup[1]: %012X: message-id=<m%d@news.example>", 0xA00000000000+i, i)
		line("qmgr[1]: %012X: from=<list@news.example>, size=1, nrcpt=1 (queue active)", 0xA00000000000+i)
		line("smtp[1]: %012X: to=<u%d@example.net>, relay=none, delay=1, delays=1/0/0/0, dsn=4.4.1, status=deferred (no)", 0xA00000000000+i, i)
	}
	p.first -= 48 * time.Hour.Microseconds()
	if said := line("qmgr[1]: %012X: from=<list@news.example>, status=expired, returned to sender", 0xA00000000000); len(said.events) != 1 || said.events[0].Type != event.Forgotten {
		t.Errorf("expired: %+v", said)
	}
	line("qmgr[1]: %012X: from=<list@news.example>, size=1, nrcpt=1 (queue active)", 0xA00000000001)
	if said := line("smtp[1]: %012X: to=<u1@example.net>, "+testBounce, 0xA00000000001); len(said.events) != 1 || said.events[0].Type != "" || said.events[0].Ours {
		t.Errorf("bounced: %+v", said)
	}
	if said := line("qmgr[1]: %012X: from=<list@news.example>, status=expired, returned to sender", 0xA00000000000+messages-1); len(said.events) != 1 || said.events[0].Type != "" {
		t.Errorf("not forgotten: %+v", said)
	}
}
