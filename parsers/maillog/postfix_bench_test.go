package maillog

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/parsers"
)

func newTestPostfix(t testing.TB, change func(*postfixConfig)) *postfix {
	t.Helper()
	c := *parsers.Modules.Defaults("postfix").(*postfixConfig)
	if change != nil {
		change(&c)
	}
	p, err := buildPostfix(config.Env{}, config.Section{}, &c)
	if err != nil {
		t.Fatal(err)
	}
	return p.(*postfix)
}

// writePostfixLoad writes what a list server's mail.log holds: of the messages some 3 % bounce, 8 % are deferred and
// tried again, and between them stand the connections of strangers. Messages overlap. It gives the number of bounces.
func writePostfixLoad(w io.Writer, messages int) (lines, bounces int) {
	const inFlight = 200
	out := bufio.NewWriterSize(w, 1<<20)
	defer out.Flush()
	rnd := rand.New(rand.NewPCG(1, 2))
	now := time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC)
	line := func(program, format string, args ...any) {
		lines++
		now = now.Add(time.Duration(rnd.IntN(4000)) * time.Microsecond)
		fmt.Fprintf(out, "%s news postfix/%s[%d]: ", now.Format("2006-01-02T15:04:05.000000-07:00"), program, 800+rnd.IntN(60))
		fmt.Fprintf(out, format+"\n", args...)
	}
	var waiting []func()
	for i := range messages {
		id := fmt.Sprintf("%05X%07X", rnd.IntN(1<<20), 0xA2E300+i%100_000)
		uuid := fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", rnd.Uint32(), rnd.IntN(1<<16), rnd.IntN(1<<12), rnd.IntN(1<<12), rnd.Uint64()&(1<<48-1))
		sender := "bounce+" + uuid + "@news.example.com"
		to := fmt.Sprintf("subscriber%d@mail%d.example.net", i, i%500)
		relay := fmt.Sprintf("mx%d.mail%d.example.net[192.0.2.%d]:25", i%3, i%500, i%250)
		if i%10 < 3 {
			line("smtpd", "connect from unknown[198.51.100.%d]", i%250)
			line("smtpd", "NOQUEUE: reject: RCPT from unknown[198.51.100.%d]: 554 5.7.1 <jo@example.org>: Relay access denied; from=<x@example.com> to=<jo@example.org> proto=ESMTP helo=<host>", i%250)
		}
		line("smtpd", "connect from list.example.com[10.0.0.7]")
		line("smtpd", "%s: client=list.example.com[10.0.0.7], sasl_method=PLAIN, sasl_username=listmonk", id)
		line("cleanup", "%s: message-id=<%024d@news.example.com>", id, i)
		line("qmgr", "%s: from=<%s>, size=%d, nrcpt=1 (queue active)", id, sender, 9000+i%5000)
		line("smtpd", "disconnect from list.example.com[10.0.0.7] ehlo=1 auth=1 mail=1 rcpt=1 data=1 quit=1 commands=6")
		kind := rnd.IntN(100)
		waiting = append(waiting, func() {
			line("smtp", "Untrusted TLS connection established to %s: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256", relay)
			if kind >= 3 && kind < 11 {
				line("smtp", "%s: to=<%s>, relay=%s, delay=1.2, delays=0.01/0.5/0.2/0.49, dsn=4.7.1, status=deferred (host %s said: 451 4.7.1 <%s>: Recipient address rejected: Greylisted, please come back in 5 minutes (in reply to RCPT TO command))", id, to, relay, relay[:len(relay)-3], to)
				line("qmgr", "%s: from=<%s>, size=%d, nrcpt=1 (queue active)", id, sender, 9000+i%5000)
			}
			if kind < 3 {
				bounces++
				line("smtp", "%s: to=<%s>, relay=%s, delay=1.2, delays=0.01/0.5/0.2/0.49, dsn=5.1.1, status=bounced (host %s said: 550 5.1.1 <%s>: Recipient address rejected: User unknown in virtual mailbox table (in reply to RCPT TO command))", id, to, relay, relay[:len(relay)-3], to)
				line("bounce", "%s: sender non-delivery notification: %s", id, id)
			} else {
				line("smtp", "%s: to=<%s>, relay=%s, delay=1.2, delays=0.01/0.5/0.2/0.49, dsn=2.0.0, status=sent (250 2.0.0 OK  1700000000 5b1f17b1804b1-42f8a1c7e2asi2193815e9.117 - gsmtp)", id, to, relay)
			}
			line("qmgr", "%s: removed", id)
		})
		for len(waiting) > inFlight || i == messages-1 && len(waiting) > 0 {
			waiting[0]()
			waiting = waiting[1:]
		}
	}
	return lines, bounces
}

func BenchmarkPostfix(b *testing.B) { benchmarkLog(b, "postfix", writePostfixLoad) }

// BenchmarkPostfixSkim reads the same by blocks; ns/op is of one line.
func BenchmarkPostfixSkim(b *testing.B) {
	var load bytes.Buffer
	count, _ := writePostfixLoad(&load, 20_000)
	p := newTestPostfix(b, nil)
	read := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	skimmed := parsers.Skimmed{Pass: func(*event.Passage) {}}
	b.SetBytes(int64(load.Len() / count))
	b.ReportAllocs()
	for n := 0; n < b.N; {
		for rest := load.Bytes(); len(rest) > 0 && n < b.N; {
			block := rest[:min(len(rest), 256<<10)]
			block = block[:bytes.LastIndexByte(block, '\n')+1]
			rest = rest[len(block):]
			n += bytes.Count(block, []byte("\n"))
			for len(block) > 0 {
				p.Skim(block, read, &skimmed)
				line, behind, _ := bytes.Cut(block[skimmed.Bytes:], []byte("\n"))
				if block, skimmed.Bytes = behind, 0; len(line) > 0 {
					if err := p.Parse(event.Record{Time: read, Body: line}, func(event.Event) {}); err != nil {
						b.Fatal(err)
					}
				}
			}
			p.Changes()
		}
	}
}
