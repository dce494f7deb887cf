package mail

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/event"
)

const bombSize = 1 << 20 // the most an input hands over

// fill repeats s up to the size of a whole message.
func fill(head, s string) string {
	return head + strings.Repeat(s, max(0, bombSize-len(head))/len(s))
}

func filled(head string, piece func(i int) string) string {
	var b strings.Builder
	b.WriteString(head)
	for i := 0; b.Len() < bombSize; i++ {
		b.WriteString(piece(i))
	}
	return b.String()[:bombSize]
}

func encodedPart(head, encoding, body string) string {
	return head + "Content-Transfer-Encoding: " + encoding + "\n\n" + body
}

const (
	bombFrom   = "From: MAILER-DAEMON@example.net\nSubject: Undelivered Mail Returned to Sender\n"
	bombReport = bombFrom + "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n"
	bombStatus = bombReport + "Content-Type: message/delivery-status\n\n"
	bombText   = bombFrom + "Content-Type: text/plain\n\n"
	bombProse  = "Return-Path: <>\nFrom: robot@example.net\nSubject: not\nContent-Type: text/plain; charset=utf-8\n\n"
	bombHTML   = bombFrom + "Content-Type: text/html\n\n"
)

var bombs = map[string]func() string{
	"nested multiparts": func() string {
		return filled(bombFrom, func(i int) string {
			return fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
		})
	},
	"nested multiparts, one boundary": func() string {
		return fill(bombFrom, "Content-Type: multipart/mixed; boundary=b\n\n--b\n")
	},
	"nested multiparts, prefixed boundaries": func() string {
		return filled(bombFrom, func(i int) string {
			b := strings.Repeat("b", i%900+1)
			return "Content-Type: multipart/mixed; boundary=" + b + "\n\n--" + b + "\n"
		})
	},
	"nested messages":      func() string { return fill(bombFrom, "Content-Type: message/rfc822\n\n") },
	"nested reports":       func() string { return fill("", bombReport+"Content-Type: message/rfc822\n\n") },
	"a million parts":      func() string { return fill(bombReport, "\n--b\n") },
	"parts with no header": func() string { return fill(bombReport, "--b\n\n\n") },
	"boundaries in one line": func() string {
		return fill(bombReport+"\n", "--b")
	},
	"boundaries with blanks": func() string { return fill(bombReport, "--b"+strings.Repeat(" ", 500)+"x\n") },
	"no closing boundary":    func() string { return fill(bombReport+"Content-Type: text/plain\n\n", "x\n") },
	"boundary guessed":       func() string { return fill(bombFrom+"Content-Type: multipart/mixed\n\n", "--a\n--b\n") },
	"parameters": func() string {
		return bombFrom + "Content-Type: text/plain" + fill("", "; charset=utf-8") + "\n\nx"
	},
	"continued parameters": func() string {
		return filled(bombFrom+"Content-Type: multipart/mixed", func(i int) string { return fmt.Sprintf(";\n boundary*%d=x", i) })
	},
	"unclosed quotes":       func() string { return fill(bombFrom+"Content-Type: text/plain; a=\"", ";a=\"") },
	"header fields":         func() string { return fill(bombFrom, "X: y\n") },
	"one header line":       func() string { return fill(bombFrom+"X-Failed-Recipients: ", "a@example.org,") },
	"folded header":         func() string { return fill(bombFrom+"To: ", "a@example.org,\n ") },
	"header of colons":      func() string { return fill(bombFrom, ":::::::::::::\n") },
	"header never ends":     func() string { return fill(bombFrom, "no colon here\n") },
	"encoded words":         func() string { return fill("From: MAILER-DAEMON@a.example\nSubject: ", "=?utf-8?q?=41?= ") },
	"encoded words, folded": func() string { return fill("From: MAILER-DAEMON@a.example\nSubject: ", "=?gb18030?b?w/E=?=\n ") },
	"base64": func() string {
		return encodedPart(bombFrom, "base64", base64.StdEncoding.EncodeToString(make([]byte, bombSize*3/4-200)))
	},
	"base64 of one letter a line": func() string { return encodedPart(bombFrom, "base64", fill("", "Q\n")) },
	"base64 in base64": func() string {
		inner := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("Q", bombSize/2)))
		return encodedPart(bombReport+"Content-Type: message/rfc822\n", "base64", base64.StdEncoding.EncodeToString([]byte("Content-Transfer-Encoding: base64\n\n"+inner)))
	},
	"base64 of padding":       func() string { return encodedPart(bombFrom, "base64", fill("", "====")) },
	"quoted-printable":        func() string { return encodedPart(bombFrom, "quoted-printable", fill("", "=41=0D=0A=\n")) },
	"quoted-printable broken": func() string { return encodedPart(bombFrom, "quoted-printable", fill("", "=X=")) },
	"iso-2022-jp shifts": func() string {
		return fill(bombFrom+"Content-Type: text/plain; charset=iso-2022-jp\n\n", "\x1b$B\x1b(B")
	},
	"utf-16":        func() string { return fill(bombFrom+"Content-Type: text/plain; charset=utf-16\n\n", "\xd8\x00") },
	"invalid bytes": func() string { return fill(bombText, "\xff\xfe@\x80") },
	"gb18030": func() string {
		return fill(bombFrom+"Content-Type: text/plain; charset=gb18030\n\n", "\x81\x30\x81\x30")
	},
	"a million recipients, status": func() string {
		return filled(bombStatus+"Reporting-MTA: dns; a.example\n\n", func(i int) string {
			return fmt.Sprintf("Final-Recipient: rfc822;u%d@example.org\nAction: failed\nStatus: 5.0.0\n\n", i)
		})
	},
	"one field for ever": func() string { return fill(bombStatus+"Final-Recipient: rfc822;", "\\x{41}@\n ") },
	"a million recipients, text": func() string {
		return filled(bombText, func(i int) string { return fmt.Sprintf("<u%d@example.org>: user unknown\n", i) })
	},
	"addresses in one line": func() string { return fill(bombText, "could not deliver to a@example.org ") },
	"only @":                func() string { return fill(bombText, "@") },
	"replies":               func() string { return fill(bombText, "550 5.1.1 could not deliver 550-5.1.1\n") },
	"digits and dots":       func() string { return fill(bombText+"could not deliver ", "5.5.5.") },
	"blank lines":           func() string { return fill(bombText, "\n") },
	"carriage returns":      func() string { return fill(strings.ReplaceAll(bombText, "\n", "\r"), "\r") },
	"html tags":             func() string { return fill(bombHTML, "<script><") },
	"html entities":         func() string { return fill(bombHTML, "&#64;&lt;") },
	"html never closed":     func() string { return fill(bombHTML, "<") },
	"feedback report": func() string {
		return fill(bombReport+"Content-Type: message/feedback-report\n\nFeedback-Type: abuse\n", "Original-Rcpt-To: a@example.org\n")
	},
	"words of trouble":           func() string { return fill(bombProse, "non niet keine not ") },
	"words of trouble, Cyrillic": func() string { return fill(bombProse, "не попытки ящик ") },
	"words of a delay":           func() string { return fill(bombProse, "not yet wir will non ") },
	"accents":                    func() string { return fill(bombProse, "é́ế") },
	"links":                      func() string { return fill(bombHTML, "<a href=mailto:a@example.org>x</a>") },
	"links not closed":           func() string { return fill(bombHTML, "<a href=mailto:a@example.org>") },
	"one long link":              func() string { return fill(bombHTML+"<a href=mailto:", "a") },
	"promises of others":         func() string { return fill(bombProse, "write to:\na@example.org\n") },
	"numbered addresses":         func() string { return fill(bombProse, "1) a@example.org ok.\n") },
	"field names":                func() string { return fill(bombText, "X-Listmonk-X-Listmonk-Received: a\n") },
	"srs": func() string {
		return bombText[:len(bombText)-1] + "Delivered-To: " + fill("", "SRS0=a=b=c=") + "@a\n\n"
	},
}

// A hostile message costs no more than a bounded time and 16 MiB, of which nothing stays. The time is only logged: a
// busy machine must not fail the test; a hang does.
func TestBombs(t *testing.T) {
	const most = 16 << 20
	for name, bomb := range bombs {
		t.Run(name, func(t *testing.T) {
			body := []byte(bomb())
			body = body[:min(len(body), bombSize)]
			kept := bytes.Clone(body)
			events := 0
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			err := parser{}.Parse(event.Record{Body: body}, func(event.Event) { events++ })
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			t.Logf("%v, %d KiB, %d events, %v", took, (after.TotalAlloc-before.TotalAlloc)>>10, events, err)
			if spent := after.TotalAlloc - before.TotalAlloc; spent > most {
				t.Errorf("took %d bytes of memory, more than %d", spent, most)
			}
			if took > 20*time.Second {
				t.Errorf("took %v", took)
			}
			if events > maxRecipients || events == 0 && err == nil {
				t.Errorf("%d events and error %v", events, err)
			}
			if !bytes.Equal(body, kept) {
				t.Error("changed the record's body, which an input may keep")
			}
		})
	}
}
