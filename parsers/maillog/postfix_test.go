package maillog

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/parsers/parsertest"
)

func tellPostfix(t testing.TB, p *postfix, line string) said {
	t.Helper()
	return tellRecord(t, p, event.Record{Time: parsertest.Time, Body: []byte(line)})
}

func TestPostfixStoresNothingOfWhatCameAndWent(t *testing.T) {
	p := newTestPostfix(t, nil)
	data, err := os.ReadFile("../testdata/postfix/01-bounces.in")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	for _, line := range lines {
		tellPostfix(t, p, line)
	}
	if changes := p.Changes(); len(changes) != 1 || changes[firstLineKey] == nil {
		t.Errorf("%d changes after messages that came and went, expected the time of the first line only", len(changes))
	}
	for _, line := range lines[:3] {
		tellPostfix(t, p, line)
	}
	store := map[string][]byte{}
	applyChanges(store, p.Changes())
	for _, line := range lines[3:] {
		tellPostfix(t, p, line)
	}
	changes := p.Changes()
	applyChanges(store, changes)
	if len(changes) != 1 || len(store) != 0 {
		t.Errorf("changes %v leave %v, expected the one message to be taken back", changes, store)
	}
}

func TestPostfixDamagedState(t *testing.T) {
	p := newTestPostfix(t, nil)
	data, err := os.ReadFile("../testdata/postfix/02-deferrals.in")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(data), "\n")[:6] {
		tellPostfix(t, p, line)
	}
	for key, value := range p.Changes() {
		if key == firstLineKey {
			continue
		}
		for n := range value {
			if m, err := decodeMessage(key, value[:n]); err == nil && n > 0 && m.more == nil && len(m.pending) == 3 {
				t.Errorf("%d of %d bytes read as a whole", n, len(value))
			}
		}
		if _, err := decodeMessage(key, append(value, 0)); err == nil {
			t.Error("trailing bytes went unnoticed")
		}
	}
}

// TestPostfixBounds opens messages that never end.
func TestPostfixBounds(t *testing.T) {
	p := newTestPostfix(t, func(c *postfixConfig) { c.Memory = 1 << 20 })
	store := map[string][]byte{}
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	line := func(format string, args ...any) said {
		now = now.Add(time.Millisecond)
		return tellPostfix(t, p, now.Format("2006-01-02T15:04:05.000000Z07:00")+" mx1 postfix/"+fmt.Sprintf(format, args...))
	}
	for i := range 30_000 {
		line("smtpd[1]: %012X: client=localhost[127.0.0.1]", 0xA00000000000+i)
		if i%3 == 0 {
			line("cleanup[1]: %012X: message-id=<m%d@news.example>", 0xA00000000000+i, i)
			line("qmgr[1]: %012X: from=<list@news.example>, size=1, nrcpt=1 (queue active)", 0xA00000000000+i)
			line("smtp[1]: %012X: to=<u%d@example.net>, relay=none, delay=1, delays=1/0/0/0, dsn=4.4.1, status=deferred (no)", 0xA00000000000+i, i)
		}
		if i%1000 == 0 {
			applyChanges(store, p.Changes())
		}
	}
	applyChanges(store, p.Changes())
	m := p.memory
	if m.size > m.limit+1000 || m.arriving.waiting > maxArriving+1 {
		t.Errorf("%d bytes, %d arriving messages, limits %d and %d", m.size, m.arriving.waiting, m.limit, maxArriving)
	}
	if len(store) != len(m.messages)+1 || len(m.firsts) > len(m.messages) {
		t.Errorf("%d values stored, %d Message-IDs for %d messages", len(store), len(m.firsts), len(m.messages))
	}
	if said := line("smtp[1]: %012X: to=<u@example.net>, relay=none, delay=1, delays=1/0/0/0, dsn=5.4.4, status=bounced (no)", 0xA00000000000+29_997); len(said.events) != 1 || said.events[0].MessageID != "m29997@news.example" {
		t.Errorf("the last message is not known any more: %+v", said)
	}
	now = now.Add(11 * 24 * time.Hour)
	line("smtpd[1]: ABCDEF012345: client=localhost[127.0.0.1]")
	applyChanges(store, p.Changes())
	if len(m.messages) != 1 || len(store) != 2 || m.size > 1000 {
		t.Errorf("%d messages, %d stored, %d bytes after eleven days", len(m.messages), len(store), m.size)
	}
}

// A journal entry has its header beside the message, and its own time.
func TestPostfixJournal(t *testing.T) {
	p := newTestPostfix(t, nil)
	when := time.Date(2026, 11, 20, 8, 0, 0, 123_000_000, time.UTC)
	entry := func(identifier, message string) said {
		return tellRecord(t, p, event.Record{Time: when, Body: []byte(message), Syslog: &event.Syslog{Tag: identifier, Host: "mx1"}})
	}
	entry("postfix/qmgr", "4A1B2C3D01: from=<list@news.example>, size=1, nrcpt=1 (queue active)")
	said := entry("postfix/smtp", "4A1B2C3D01: to=<ann@example.net>, relay=none, delay=1, delays=1/0/0/0, dsn=5.4.4, status=bounced (no)\n")
	if len(said.events) != 1 {
		t.Fatalf("%+v", said)
	}
	if e := said.events[0]; e.Recipient != "ann@example.net" || e.QueueIDIssuer != "mx1" || !e.Time.Equal(when) || e.Sender != "list@news.example" {
		t.Errorf("%+v", e)
	}
	if said := entry("logger", "4A1B2C3D01: to=<ann@example.net>, relay=none, delay=1, delays=1/0/0/0, dsn=5.4.4, status=bounced (no)"); len(said.events) != 0 {
		t.Errorf("another program is believed: %+v", said)
	}
}

func TestPostfixTransports(t *testing.T) {
	line := "2026-11-20T08:00:00Z mx1 postfix/courier[5]: 4A1B2C3D01: to=<ann@example.net>, relay=none, delay=1, delays=1/0/0/0, dsn=5.4.4, status=bounced (no)"
	cut := "<22>1 2026-11-20T08:00:00Z mx1 courier 5 - -  4A1B2C3D01: to=<ann@example.net>, relay=none, delay=1, delays=1/0/0/0, dsn=5.4.4, status=bounced (no)"
	for _, names := range [][]string{nil, {"courier"}} {
		for _, line := range []string{line, cut} {
			p := newTestPostfix(t, func(c *postfixConfig) { c.Transports = names })
			tellPostfix(t, p, "2026-11-20T08:00:00Z mx1 postfix/qmgr[5]: 4A1B2C3D01: from=<list@news.example>, size=1, nrcpt=1 (queue active)")
			if said := tellPostfix(t, p, line); len(said.events) != len(names) {
				t.Errorf("transports %v: %+v", names, said)
			}
		}
	}
}

func TestPostfixLongQueueID(t *testing.T) {
	// Seconds 1795161600 (2026-11-20T08:00:00Z), microseconds 250000.
	const digits = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
	encode := func(n int64, width int) string {
		var b []byte
		for range width {
			b = append([]byte{digits[n%52]}, b...)
			n /= 52
		}
		return string(b)
	}
	id := encode(1795161600, 6) + encode(250_000, 4) + "z3kLqB"
	if got, ok := longQueueIDTime(id); !ok || got != 1795161600_250000 {
		t.Errorf("%s: %d %v", id, got, ok)
	}
	for _, id := range []string{"4A1B2C3D01", "z", "0123456789z1", strings.Repeat("y", 26) + "z1"} {
		if got, ok := longQueueIDTime(id); ok && got != 0 && id != "0123456789z1" {
			t.Errorf("%s: %d", id, got)
		}
	}
	// A long id tells that the message came after the first line, whatever its delay says.
	p := newTestPostfix(t, nil)
	tellPostfix(t, p, "2026-11-20T07:59:00Z mx1 systemd[1]: started")
	line := "2026-11-20T08:00:01Z mx1 postfix/smtp[5]: %s: to=<ann@example.net>, relay=none, delay=900, delays=900/0/0/0, dsn=5.4.4, status=bounced (no)"
	if said := tellPostfix(t, p, fmt.Sprintf(line, id)); said.why != whyUnopened {
		t.Errorf("%+v", said)
	}
	if said := tellPostfix(t, p, fmt.Sprintf(line, encode(1795161500, 6)+encode(1, 4)+"z3kLqB")); len(said.events) != 1 {
		t.Errorf("%+v", said)
	}
}

func FuzzPostfix(f *testing.F) { parsertest.Fuzz(f, "postfix", postfixPieces, checkPostfix) }

func postfixPieces(seed []byte) [][]byte {
	const end = ", relay=mx.example.net[192.0.2.1]:25, delay=0.2, delays=0.1/0/0/0.1, dsn=5.1.1, status=bounced (said: 550 5.1.1 no)"
	pieces := append(parsertest.Windows(seed), []byte("to=<>, orig_to=<al@news.example>"+end), []byte("to=<Al@news.example>, orig_to=<al@news.example>"+end))
	for line := range bytes.SplitSeq(seed, []byte("\n")) {
		if _, text, ok := bytes.Cut(line, []byte(": to=<")); ok {
			pieces = append(pieces, append([]byte("to=<"), text...))
		}
	}
	return pieces
}

func checkPostfix(t testing.TB, _ string) parsertest.Check {
	loaded := newTestPostfix(t, nil)
	return func(t testing.TB, data []byte) {
		p, store := newTestPostfix(t, nil), map[string][]byte{}
		for line := range bytes.SplitSeq(data, []byte("\n")) {
			for _, e := range tellPostfix(t, p, string(line)).events {
				if e.Type != event.Foreign && !bytes.Contains(data, []byte("to=<"+e.Recipient+">")) {
					t.Errorf("recipient %q stands in no to= or orig_to=", e.Recipient)
				}
			}
			applyChanges(store, p.Changes())
		}
		if err := loaded.Load(maps.All(store)); err != nil {
			t.Error(err)
		}

		// The same bytes as one delivery line: its recipient is the first address, or the one behind orig_to=.
		p = newTestPostfix(t, nil)
		tellPostfix(t, p, "2026-11-20T08:00:00Z mx1 postfix/qmgr[1]: 4A1B2C3D01: from=<list@news.example>, size=1, nrcpt=1 (queue active)")
		text := strings.TrimRight(string(data), "\r\n")
		for _, e := range tellPostfix(t, p, "2026-11-20T08:00:00Z mx1 postfix/smtp[1]: 4A1B2C3D01: "+text).events {
			if e.Type == "" && !beginsWithRecipient(text, &e) {
				t.Errorf("recipient %q (%q) of %q", e.Recipient, e.OriginalRecipient, text)
			}
		}
	}
}

// beginsWithRecipient says whether a delivery line names its recipient first, or behind the address that it was rewritten
// to, which may be none or the same in other letters.
func beginsWithRecipient(line string, e *event.Event) bool {
	to, known, _ := strings.Cut(strings.TrimPrefix(line, "to=<"), ">, orig_to=<")
	return strings.HasPrefix(line, "to=<"+e.Recipient+">, ") ||
		strings.HasPrefix(line, "to=<"+e.OriginalRecipient+">, orig_to=<"+e.Recipient+">, ") ||
		e.OriginalRecipient == "" && strings.EqualFold(to, e.Recipient) && strings.HasPrefix(known, e.Recipient+">, ")
}
