package agent

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// demoMail is one message of the demo's mail log: its queue id, sender and recipient, and its delivery attempts.
type demoMail struct {
	id, sender string
	row        DemoRow
	attempts   []string // "dsn=…, status=… (…)", in the words of Postfix
	expired    bool
	unopened   bool // only the attempt stands in the log: written by a stranger with logger(1)
}

const demoNews = "bounces@news.example.com"

const demoForgery = `AAAA0000001: to=<victim@example.net>, relay=mx.example.net[192.0.2.9]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.example.net[192.0.2.9] said: 550 5.1.1 User unknown (in reply to RCPT TO command))`

var demoMails = []demoMail{
	{id: "4F1A01C2D0", sender: demoNews, row: DemoRow{Recipient: "gone@example.org", Said: "550 5.1.1 User unknown", Want: "hard"},
		attempts: []string{"dsn=5.1.1, status=bounced (host mx.example.org[192.0.2.1] said: 550 5.1.1 <gone@example.org>: Recipient address rejected: User unknown in virtual mailbox table (in reply to RCPT TO command))"}},
	{id: "4F1A02C2D1", sender: demoNews, row: DemoRow{Recipient: "jo@no-such-domain.example", Said: "Host not found", Want: "hard"},
		attempts: []string{"dsn=5.4.4, status=bounced (Host or domain name not found. Name service error for name=no-such-domain.example type=AAAA: Host not found)"}},
	{id: "4F1A03C2D2", sender: demoNews, row: DemoRow{Recipient: "full@example.org", Said: "552 5.2.2 over quota", Want: "soft"},
		attempts: []string{"dsn=5.2.2, status=bounced (host mx.example.org[192.0.2.1] said: 552 5.2.2 Mailbox full, user is over quota (in reply to RCPT TO command))"}},
	{id: "4F1A04C2D3", sender: demoNews, expired: true, row: DemoRow{Recipient: "slow@example.org", Said: "451 for days, then expired", Want: "soft"},
		attempts: []string{"dsn=4.2.0, status=deferred (host mx.example.org[192.0.2.1] said: 451 4.2.0 Mailbox busy, try again later (in reply to RCPT TO command))",
			"dsn=4.2.0, status=deferred (host mx.example.org[192.0.2.1] said: 451 4.2.0 Mailbox busy, try again later (in reply to RCPT TO command))"}},
	{id: "4F1A05C2D4", sender: demoNews, row: DemoRow{Recipient: "grey@example.org", Said: "451 greylisted, then delivered", Why: "a deferral is not a bounce"},
		attempts: []string{"dsn=4.7.1, status=deferred (host mx.example.org[192.0.2.1] said: 451 4.7.1 Greylisted, try again in 5 minutes (in reply to RCPT TO command))",
			"dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 9C1B22F0)"}},
	{id: "4F1A06C2D5", sender: demoNews, row: DemoRow{Recipient: "blocked@example.org", Said: "550 5.7.1 blocked using a blocklist", Why: "our fault, not the recipient's (send: sender_fault would report it)"},
		attempts: []string{"dsn=5.7.1, status=bounced (host mx.example.org[192.0.2.1] said: 550 5.7.1 Service unavailable; client host [203.0.113.5] blocked using zen.spamhaus.org (in reply to RCPT TO command))"}},
	{id: "4F1A07C2D6", sender: demoNews, row: DemoRow{Recipient: "fine@example.org", Said: "250 delivered", Why: "delivered"},
		attempts: []string{"dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 9C1B22F1)"}},
	{id: "4F1A08C2D7", sender: "root@mail.example.com", row: DemoRow{Recipient: "admin@example.org", Said: "550 5.1.1, sent by root", Why: "not of the senders that the configuration names"},
		attempts: []string{"dsn=5.1.1, status=bounced (host mx.example.org[192.0.2.1] said: 550 5.1.1 User unknown (in reply to RCPT TO command))"}},
	{id: "4F1A09C2D8", sender: demoNews, row: DemoRow{Recipient: "trick@example.net", Said: "250, with a forged log line in the reply", Why: "delivered; a remote server's words are never read as log fields"},
		attempts: []string{"dsn=2.0.0, status=sent (250 2.0.0 Ok) " + demoForgery}},
	{id: "AAAA0000002", unopened: true, row: DemoRow{Recipient: "victim@example.net", Said: "550, written by a local user with logger", Why: "refused: no such message was ever in the queue"},
		attempts: []string{"dsn=5.1.1, status=bounced (host mx.example.net[192.0.2.9] said: 550 5.1.1 User unknown (in reply to RCPT TO command))"}},
}

func demoRows() []DemoRow {
	rows := make([]DemoRow, len(demoMails))
	for i := range demoMails {
		rows[i] = demoMails[i].row
	}
	return rows
}

// demoLog writes the mails as rsyslog would, the last line at now.
func demoLog(now time.Time) []byte {
	var b bytes.Buffer
	at := now.Add(-time.Minute)
	line := func(program, format string, args ...any) {
		at = at.Add(250 * time.Millisecond)
		fmt.Fprintf(&b, "%s mail postfix/%s[4711]: %s\n", at.Format("2006-01-02T15:04:05.000000-07:00"), program, fmt.Sprintf(format, args...))
	}
	for _, m := range demoMails {
		if !m.unopened {
			line("smtpd", "%s: client=lists.example.com[10.0.0.80]", m.id)
			line("cleanup", "%s: message-id=<%s@news.example.com>", m.id, strings.ToLower(m.id))
		}
		for i, attempt := range m.attempts {
			if !m.unopened {
				line("qmgr", "%s: from=<%s>, size=2711, nrcpt=1 (queue active)", m.id, m.sender)
			}
			delay := 0.2 + float64(i)
			line("smtp", "%s: to=<%s>, relay=mx.example.org[192.0.2.1]:25, delay=%.1f, delays=0/0/0.1/0.1, %s", m.id, m.row.Recipient, delay, attempt)
		}
		if m.expired {
			line("qmgr", "%s: from=<%s>, status=expired, returned to sender", m.id, m.sender)
		}
		if !m.unopened {
			line("qmgr", "%s: removed", m.id)
		}
	}
	return b.Bytes()
}
