package agent

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/event"
)

// postfixMessages writes a log of messages, each with its attempts: "to=<…>, relay=…, delay=…, delays=0/0/0/1, dsn=…, status=…".
func postfixMessages(at time.Time, messages ...[]string) string {
	var b strings.Builder
	for i, attempts := range messages {
		id := fmt.Sprintf("4F1A%02X00D0", i+1)
		line := func(program, text string) {
			fmt.Fprintf(&b, "%s mx1 postfix/%s[7]: %s: %s\n", at.Format("2006-01-02T15:04:05.000000-07:00"), program, id, text)
		}
		line("smtpd", "client=localhost[127.0.0.1]")
		line("cleanup", fmt.Sprintf("message-id=<%d@news.example>", i))
		line("qmgr", "from=<bounces@news.example>, size=900, nrcpt=1 (queue active)")
		for _, a := range attempts {
			line("smtp", a)
			at = at.Add(10 * time.Minute)
		}
		line("qmgr", "removed")
	}
	return b.String()
}

// TestReportOfFiles: each recipient counts once, under the provider whose host answered, or should have.
func TestReportOfFiles(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "mail.log")
	const later = ", delay=1, delays=0/0/0/1, dsn=4.7.1, status=deferred (host x[192.0.2.1] said: 451 4.7.1 Greylisted, try again (in reply to RCPT TO command))"
	const ok = ", delay=601, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 OK)"
	text := postfixMessages(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC),
		[]string{"to=<a@gmail.com>, relay=gmail-smtp-in.l.google.com[192.0.2.1]:25" + ok},
		[]string{"to=<b@shop.example>, relay=aspmx.l.google.com[192.0.2.1]:25" + later, "to=<b@shop.example>, relay=aspmx.l.google.com[192.0.2.1]:25" + later,
			"to=<b@shop.example>, relay=aspmx.l.google.com[192.0.2.1]:25" + ok},
		[]string{"to=<c@hotmail.com>, relay=hotmail-com.olc.protection.outlook.com[192.0.2.2]:25, delay=1, delays=0/0/0/1, dsn=5.7.1, status=bounced (host hotmail-com.olc.protection.outlook.com[192.0.2.2] said: 550 5.7.1 Unfortunately, messages from [192.0.2.25] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3140). (in reply to MAIL FROM command))"},
		[]string{"to=<d@example.net>, relay=mx.example.net[192.0.2.3]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.example.net[192.0.2.3] said: 550 5.1.1 <d@example.net>: user unknown (in reply to RCPT TO command))"},
		[]string{"to=<e@yahoo.com>, relay=none, delay=1, delays=0/0/0/1, dsn=4.4.1, status=deferred (connect to mta5.am0.yahoodns.net[192.0.2.4]:25: Connection timed out)"},
		[]string{"to=<f@news.example>, relay=virtual" + ok},
		[]string{"to=<g@news.example>, relay=mx1.news.example[private/dovecot-lmtp]" + ok},
	)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := ReportOfFiles{Backfill: Backfill{Files: []string{file}, As: "postfix", Log: slog.New(slog.DiscardHandler)}}
	made, _, err := r.Make(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, g := range made.Providers {
		got[g.ID] = fmt.Sprint(g.Accepted, g.Late, g.PutOff, g.Attempts, g.Failed["hard"], g.Failed["ours"], g.Waiting)
	}
	for id, want := range map[string]string{ // accepted, late, put off, times, hard, ours, waiting
		"google": "2 1 1 2 0 0 0", "microsoft": "0 0 0 0 0 1 0", "other": "0 0 0 0 1 0 0", "yahoo": "0 0 1 1 0 0 1", "local": "2 0 0 0 0 0 0",
	} {
		if got[id] != want {
			t.Errorf("%s: %s, want %s", id, got[id], want)
		}
		delete(got, id)
	}
	if len(got) > 0 {
		t.Errorf("and %v", got)
	}
	if made.Totals.PutOffFor[event.Greylisted] != 1 || made.Totals.PutOffFor[event.Network] != 1 {
		t.Errorf("put off for %v", made.Totals.PutOffFor)
	}
	var out bytes.Buffer
	if err := made.WriteText(&out, "provider", false); err != nil || !strings.Contains(out.String(), "Unfortunately, messages from") || strings.Contains(out.String(), "@") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

// TestSkimmedAndParsedCountAlike: a parser that skims tells a report what one that does not tells.
func TestSkimmedAndParsedCountAlike(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var messages [][]string
	for i := range 200 {
		attempts := []string{fmt.Sprintf("to=<u%d@gmail.com>, relay=gmail-smtp-in.l.google.com[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 OK)", i)}
		if i%3 == 0 {
			attempts = append([]string{fmt.Sprintf("to=<u%d@gmail.com>, relay=gmail-smtp-in.l.google.com[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=4.2.1, status=deferred (host gmail-smtp-in.l.google.com[192.0.2.1] said: 450 4.2.1 too many mails (in reply to RCPT TO command))", i)}, attempts...)
		}
		messages = append(messages, attempts)
	}
	text := postfixMessages(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC), messages...)
	figures := map[string]string{}
	for name, container := range map[string]string{"plain": "", "wrapped": "compose"} { // behind a wrapper nothing is skimmed
		body := text
		if container != "" {
			body = "mail-1  | " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\nmail-1  | ") + "\n"
		}
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		r := ReportOfFiles{Backfill: Backfill{Files: []string{file}, As: "postfix", Container: container, Log: slog.New(slog.DiscardHandler)}}
		made, _, err := r.Make(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		figures[name] = fmt.Sprintf("%+v %+v", made.Totals.Figures, *made.Totals.Within)
	}
	if figures["plain"] != figures["wrapped"] || !strings.Contains(figures["plain"], "Ended:200 Accepted:200 Late:67 PutOff:67") {
		t.Errorf("skimmed %s\nparsed  %s", figures["plain"], figures["wrapped"])
	}
}

// TestReportOfALongLog: what is stored is counted beside what is parsed.
func TestReportOfALongLog(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "mail.log")
	message := []string{"to=<a@gmail.com>, relay=gmail-smtp-in.l.google.com[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 OK)"}
	gone := []string{"to=<b@gmail.com>, relay=gmail-smtp-in.l.google.com[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host gmail-smtp-in.l.google.com[192.0.2.1] said: 550 5.1.1 user unknown (in reply to RCPT TO command))"}
	at, n := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC), 12_000
	var b strings.Builder
	for i := range n {
		one := postfixMessages(at.Add(time.Duration(i)*time.Second), message, gone)
		b.WriteString(strings.NewReplacer("00D0", fmt.Sprintf("%05X", i), "<0@", fmt.Sprintf("<%d.0@", i), "<1@", fmt.Sprintf("<%d.1@", i)).Replace(one))
	}
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	r := ReportOfFiles{Backfill: Backfill{Files: []string{file}, As: "postfix", Log: slog.New(slog.DiscardHandler)}}
	made, _, err := r.Make(t.Context())
	if err != nil || made.Totals.Accepted != uint64(n) || made.Totals.Failed["hard"] != uint64(n) {
		t.Errorf("%v: %d accepted, %v failed, want %d each", err, made.Totals.Accepted, made.Totals.Failed, n)
	}
}
