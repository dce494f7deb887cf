package maillog

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/address"
	"bouncefeed/parsers/parsertest"
)

func FuzzSendmail(f *testing.F)  { parsertest.Fuzz(f, "sendmail", parsertest.Windows, checkLog) }
func FuzzOpensmtpd(f *testing.F) { parsertest.Fuzz(f, "opensmtpd", parsertest.Windows, checkLog) }

// checkLog reads the lines of data, and checks that no recipient is made up and that what is stored can be loaded.
func checkLog(t testing.TB, kind string) parsertest.Check {
	loaded := newTestLog(t, kind)
	return func(t testing.TB, data []byte) {
		p, store := newTestLog(t, kind), map[string][]byte{}
		for line := range bytes.SplitSeq(data, []byte("\n")) {
			for _, e := range tellLog(t, p, string(line)).events {
				if !bytes.Contains(data, []byte(e.Recipient)) || !bytes.Contains(data, []byte(e.OriginalRecipient)) {
					t.Errorf("%q and %q stand nowhere", e.Recipient, e.OriginalRecipient)
				}
			}
			applyChanges(store, p.Changes())
		}
		if err := loaded.Load(maps.All(store)); err != nil {
			t.Error(err)
		}
	}
}

// TestSyslogLongLines holds reading to lines as long as an input lets through, made of what is looked for most often.
func TestSyslogLongLines(t *testing.T) {
	const stamp = "2026-11-20T08:00:01.100000+00:00 mx1 "
	for kind, heads := range map[string][]string{
		"sendmail": {
			"sm-mta[1]: 6AK801aB000201: to=", "sm-mta[1]: 6AK801aB000201: to=<a@b>, ", "sm-mta[1]: 6AK801aB000201: to=<a@b>, dsn=5.1.1, reply=",
			"sm-mta[1]: 6AK801aB000201: from=", "sm-mta[1]: 6AK801aB000201: from=<a@b>, size=1, class=0, nrcpts=9, msgid=",
		},
		"opensmtpd": {
			"smtpd[1]: 1111111111111111 mta delivery evpid=aaaa000100000001 ", "smtpd[1]: 1111111111111111 smtp envelope evpid=aaaa000100000001 from=",
			"smtpd[1]: relay: PermFail for aaaa000100000001: ", "smtpd[1]: 1111111111111111 mta delivery evpid=aaaa000100000001 from=<a@b> to=<c@d> stat=",
		},
	} {
		p := newTestLog(t, kind)
		for _, head := range heads {
			for _, unit := range []string{"<", "<a@b>,", `"`, `"\`, ", ", "\x00", "\xff", `\320`, "=", "a=b, ", "a=b ", ": ", "["} {
				for _, e := range tellLog(t, p, stamp+head+strings.Repeat(unit, (16<<10)/len(unit))).events {
					if len(e.Diagnostic) > maxDiagnostic+8 || len(e.Recipient) > address.MaxLength {
						t.Errorf("%q: %d bytes of %q", unit, len(e.Diagnostic), e.Recipient)
					}
				}
			}
		}
	}
}

// TestSendmailBounds opens messages that are never done with, and others that are.
func TestSendmailBounds(t *testing.T) {
	p := newTestLog(t, "sendmail").(*sendmail)
	p.memory.limit = 1 << 20
	store := map[string][]byte{}
	for i := range 20_000 {
		id := fmt.Sprintf("6AK801aB%06d", i)
		tellLog(t, p, fmt.Sprintf("2026-11-20T08:00:01Z mx1 sm-mta[1]: %s: from=<list@news.example>, size=1, class=0, nrcpts=1, msgid=<m%d@news.example>, relay=x@localhost", id, i))
		if i%2 == 0 {
			tellLog(t, p, fmt.Sprintf("2026-11-20T08:00:01Z mx1 sm-mta[1]: %s: to=<u%d@example.net>, delay=00:00:00, dsn=2.0.0, stat=Sent", id, i))
		}
		if i%1000 == 0 {
			applyChanges(store, p.Changes())
		}
	}
	applyChanges(store, p.Changes())
	if m := p.memory; m.size > m.limit+1000 || m.arriving.waiting > maxArriving+1 || len(m.messages)+1 != len(store) {
		t.Errorf("%d bytes, %d done, %d messages, %d stored", m.size, m.arriving.waiting, len(m.messages), len(store))
	}
}

func writeSendmailLoad(w io.Writer, messages int) (lines, bounces int) {
	out := bufio.NewWriterSize(w, 1<<20)
	defer out.Flush()
	rnd := rand.New(rand.NewPCG(1, 2))
	now := time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC)
	line := func(format string, args ...any) {
		lines++
		now = now.Add(time.Duration(rnd.IntN(4000)) * time.Microsecond)
		fmt.Fprintf(out, "%s news sm-mta[%d]: ", now.Format("2006-01-02T15:04:05.000000-07:00"), 800+rnd.IntN(60))
		fmt.Fprintf(out, format+"\n", args...)
	}
	for i := range messages {
		id := fmt.Sprintf("621600Lx%06d", i)
		line("%s: from=<bounces@news.example.org>, size=48213, class=0, nrcpts=1, msgid=<%024d@news.example.org>, bodytype=8BITMIME, proto=ESMTP, daemon=MTA-v4, relay=localhost [127.0.0.1]", id, i)
		if i%100 < 3 {
			bounces++
			line("%s: to=<subscriber%d@example%d.net>, delay=00:00:01, xdelay=00:00:01, mailer=esmtp, pri=30767, relay=mx.example%d.net. [192.0.2.%d], dsn=5.1.1, reply=550 5.1.1 <subscriber%d@example.net>: Recipient address rejected: User unknown in virtual mailbox table, stat=User unknown", id, i, i%97, i%97, i%250, i)
			line("%s: 621600Lz%06d: DSN: User unknown", id, i)
			continue
		}
		line("%s: to=<subscriber%d@example%d.net>, delay=00:00:01, xdelay=00:00:01, mailer=esmtp, pri=30767, relay=mx.example%d.net. [192.0.2.%d], dsn=2.0.0, stat=Sent (OK  1700000000 5b1f17b1804b1-42f8a1c7e2asi2193815e9.117 - gsmtp)", id, i, i%97, i%97, i%250)
	}
	return lines, bounces
}

func BenchmarkSendmail(b *testing.B) { benchmarkLog(b, "sendmail", writeSendmailLoad) }

func writeOpensmtpdLoad(w io.Writer, messages int) (lines, bounces int) {
	out := bufio.NewWriterSize(w, 1<<20)
	defer out.Flush()
	now := time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC)
	line := func(format string, args ...any) {
		lines++
		now = now.Add(2 * time.Millisecond)
		fmt.Fprintf(out, "%s news smtpd[378]: ", now.Format("2006-01-02T15:04:05.000000-07:00"))
		fmt.Fprintf(out, format+"\n", args...)
	}
	for i := range messages {
		session, id, to := fmt.Sprintf("a7d366%010x", i), fmt.Sprintf("%08x00000001", i), fmt.Sprintf("subscriber%d@example%d.net", i, i%97)
		line("%s smtp connected address=127.0.0.1 host=localhost", session)
		line("%s smtp message msgid=%08x size=48213 nrcpt=1 proto=ESMTP", session, i)
		line("%s smtp envelope evpid=%s from=<bounces@news.example.org> to=<%s>", session, id, to)
		line("%s smtp disconnected reason=quit", session)
		result, stat := "Ok", "250 2.0.0 OK  1700000000 5b1f17b1804b1-42f8a1c7e2asi2193815e9.117 - gsmtp"
		if i%100 < 3 {
			bounces++
			result, stat = "PermFail", "550 5.1.1 Recipient address rejected: User unknown in virtual mailbox table"
		}
		line("a7d4660000000000 mta delivery evpid=%s from=<bounces@news.example.org> to=<%s> rcpt=<-> source=\"198.51.100.2\" relay=\"192.0.2.%d (mx.example.net)\" delay=1s result=\"%s\" stat=\"%s\"", id, to, i%250, result, stat)
	}
	return lines, bounces
}

func BenchmarkOpensmtpd(b *testing.B) { benchmarkLog(b, "opensmtpd", writeOpensmtpdLoad) }
