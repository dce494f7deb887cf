package maillog

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/address"
	"bouncefeed/parsers/parsertest"
)

// TestEximBounds opens messages and lines that never end.
func TestEximBounds(t *testing.T) {
	p := newTestLog(t, "exim").(*exim)
	p.memory.limit = 1 << 20
	store := map[string][]byte{}
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	line := func(format string, args ...any) {
		now = now.Add(time.Millisecond)
		tellLog(t, p, now.Format("2006-01-02T15:04:05.000000Z07:00")+" mx1 "+fmt.Sprintf(format, args...))
	}
	for i := range 20_000 {
		id := fmt.Sprintf("1xUJXN-%06d-0x", i)
		line("exim[1]: %s listmonk id=%s campaign= subscriber=6f1c0a52-31ad-4e0b-9d57-0c0de5b2b001", id, id)
		if i%3 == 0 {
			line("exim[1]: %s <= list@news.example U=list P=local S=1 id=m%d@news.example", id, i)
			line("exim[1]: %s == u%d@example.net R=r T=t defer (-44): no", id, i)
		}
		line("exim[%d]: [1/3] %s ** u%d@example.net R=r T=t: %s", i, id, i, strings.Repeat("x", 800))
		if i%1000 == 0 {
			applyChanges(store, p.Changes())
		}
	}
	applyChanges(store, p.Changes())
	if m := p.memory; m.size > m.limit+1000 || m.arriving.waiting > maxArriving+1 || len(p.joins.open) > eximMaxJoins {
		t.Errorf("%d bytes, %d arriving messages, %d lines in parts", m.size, m.arriving.waiting, len(p.joins.open))
	}
	if want := len(p.memory.messages) + len(p.joins.open) + 1; len(store) != want {
		t.Errorf("%d values stored, expected %d", len(store), want)
	}
}

// TestEximArrival reads what stands behind the sender in arrivals.
func TestEximArrival(t *testing.T) {
	for fields, want := range map[string]eximArrival{
		" H=mx.example.net (helo) [192.0.2.7]:4711 I=[192.0.2.1]:25 P=esmtp S=1 id=a@b": {messageID: []byte("a@b"), client: []byte("[192.0.2.7]")},
		" H=([192.0.2.8]) [192.0.2.7] P=esmtp S=1 id=a@b":                               {messageID: []byte("a@b"), client: []byte("[192.0.2.7]")},
		" H=[2001:db8::7] P=esmtpsa A=plain:x S=1":                                      {client: []byte("[2001:db8::7]"), authenticated: true},
		" U=list P=local S=1 id=a@b T=\"x id=c@d\"":                                     {messageID: []byte("a@b")},
		" H=mx.example.net [192.0.2.7] U=x A=plain:x P=esmtp S=1":                       {client: []byte("[192.0.2.7]")},
		" H=(x y z) [127.0.0.1] P=esmtp S=1":                                            {client: []byte("[]"), ambiguous: true},
		" H=(x) [127.0.0.1]) [192.0.2.7] P=esmtp S=1":                                   {client: []byte("[127.0.0.1]"), ambiguous: true},
		" H=(x) [127.0.0.1] (y) [192.0.2.7]:25 P=esmtp S=1":                             {client: []byte("[127.0.0.1]"), ambiguous: true},
		" H=(x) [127.0.0.1] P=esmtp H=y [192.0.2.7] S=1":                                {client: []byte("[192.0.2.7]"), ambiguous: true},
		" H=mx.example.net [192.0.2.7] U=x S=1 id=a@b P=esmtp S=1 id=c@d":               {messageID: []byte("c@d"), client: []byte("[192.0.2.7]"), ambiguous: true},
		"": {},
	} {
		if got := scanEximArrival([]byte(fields)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s\ngot  %+v\nwant %+v", fields, got, want)
		}
	}
}

// TestEximLongLines holds reading to lines as long as an input lets through, made of what is looked for most often.
func TestEximLongLines(t *testing.T) {
	const head = "2026-11-20 08:00:02 1xUJXN-0003Ga-0x "
	p := newTestLog(t, "exim")
	tellLog(t, p, head+"<= list@news.example U=list P=local S=1 id=m1@news.example")
	for _, unit := range []string{" <", " i=", ` <"`, ` <"\"`, ` <a@b`, ` <a@b>`, ` <"a"@b> R=`, "\x00", "\xff", `\320`, " H=", ": ", `"`, "(", " DT=", "[1/2] "} {
		for _, marker := range []string{"** ", "== ", "=> ", "<= ", "** a@b", "** a@b R=r T=t: SMTP error from remote mail server after ", "listmonk id="} {
			line := head + marker + strings.Repeat(unit, (16<<10)/len(unit))
			for _, e := range tellLog(t, p, line).events {
				if len(e.Diagnostic) > maxDiagnostic+8 || len(e.Recipient) > address.MaxLength {
					t.Errorf("%q: %d bytes of %q", unit, len(e.Diagnostic), e.Recipient)
				}
			}
		}
	}
}

func FuzzExim(f *testing.F) { parsertest.Fuzz(f, "exim", eximPieces, checkExim) }

func eximPieces(seed []byte) [][]byte {
	pieces := parsertest.Windows(seed)
	for line := range bytes.SplitSeq(seed, []byte("\n")) {
		if _, text, ok := bytes.Cut(line, []byte(" ** ")); ok {
			pieces = append(pieces, text)
		}
	}
	return pieces
}

func checkExim(t testing.TB, _ string) parsertest.Check {
	loaded := newTestLog(t, "exim")
	return func(t testing.TB, data []byte) {
		p, store := newTestLog(t, "exim"), map[string][]byte{}
		for line := range bytes.SplitSeq(data, []byte("\n")) {
			tellLog(t, p, string(line))
			applyChanges(store, p.Changes())
		}
		if err := loaded.Load(maps.All(store)); err != nil {
			t.Error(err)
		}

		// The same bytes as one failure: the recipient stands in angle brackets with valid fields behind, or first.
		p = newTestLog(t, "exim")
		tellLog(t, p, "2026-11-20 08:00:01 1xUJXN-0003Ga-0x <= list@news.example U=list P=local S=1")
		text := strings.TrimRight(string(data), "\r\n")
		for _, e := range tellLog(t, p, "2026-11-20 08:00:02 1xUJXN-0003Ga-0x ** "+text).events {
			if !strings.HasPrefix(text, e.Recipient) && !strings.Contains(text, " <"+e.Recipient+">") {
				t.Errorf("recipient %q of %q", e.Recipient, text)
			}
		}
	}
}

// writeEximLoad writes what a list server's mainlog holds: of the messages some 3 % bounce, 8 % are deferred and tried
// again. Messages overlap. It gives the number of bounces.
func writeEximLoad(w io.Writer, messages int) (lines, bounces int) {
	const inFlight = 200
	out := bufio.NewWriterSize(w, 1<<20)
	defer out.Flush()
	rnd := rand.New(rand.NewPCG(1, 2))
	now := time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC)
	line := func(format string, args ...any) {
		lines++
		now = now.Add(time.Duration(rnd.IntN(4000)) * time.Microsecond)
		out.WriteString(now.Format("2006-01-02 15:04:05 "))
		fmt.Fprintf(out, format+"\n", args...)
	}
	var waiting []func()
	for i := range messages {
		id := fmt.Sprintf("1w7k9k-%011d-%04d", i, i%10000)
		to := fmt.Sprintf("subscriber%d@example%d.net", i, i%97)
		host := fmt.Sprintf("mx%d.example%d.net [192.0.2.%d]", i%3, i%97, i%250)
		line("%s <= bounces@news.example.org H=localhost (listmonk) [127.0.0.1] P=esmtp S=48213 id=%024d@news.example.org", id, i)
		waiting = append(waiting, func() {
			switch n := i % 100; {
			case n < 3:
				bounces++
				line("%s ** %s R=dnslookup T=remote_smtp H=%s X=TLS1.3:ECDHE_X25519__RSA_PSS_RSAE_SHA256__AES_256_GCM:256 CV=yes: SMTP error from remote mail server after RCPT TO:<%s>: 550 5.1.1 <%s>: Recipient address rejected: User unknown in virtual mailbox table", id, to, host, to, to)
			case n < 11:
				line("%s == %s R=dnslookup T=remote_smtp defer (-44) H=%s: SMTP error from remote mail server after RCPT TO:<%s>: 451 4.7.1 Greylisting in action, please come back later", id, to, host, to)
				fallthrough
			default:
				line("%s => %s R=dnslookup T=remote_smtp H=%s X=TLS1.3:ECDHE_X25519__RSA_PSS_RSAE_SHA256__AES_256_GCM:256 CV=yes DN=\"CN=mx.example%d.net\" C=\"250 2.0.0 OK  1700000000 5b1f17b1804b1-42f8a1c7e2asi2193815e9.117 - gsmtp\"", id, to, host, i%97)
			}
			line("%s Completed", id)
		})
		for len(waiting) > inFlight || i == messages-1 && len(waiting) > 0 {
			waiting[0]()
			waiting = waiting[1:]
		}
	}
	return lines, bounces
}

func BenchmarkExim(b *testing.B) { benchmarkLog(b, "exim", writeEximLoad) }
