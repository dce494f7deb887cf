package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	log := filepath.Join(t.TempDir(), "mail.log")
	text := `2026-11-20T09:00:00.000000+00:00 mx1 postfix/smtpd[7]: 4F1A0100D0: client=localhost[127.0.0.1]
2026-11-20T09:00:00.100000+00:00 mx1 postfix/cleanup[7]: 4F1A0100D0: message-id=<1@news.example>
2026-11-20T09:00:00.200000+00:00 mx1 postfix/qmgr[7]: 4F1A0100D0: from=<bounces@news.example>, size=900, nrcpt=1 (queue active)
2026-11-20T09:00:01.000000+00:00 mx1 postfix/smtp[7]: 4F1A0100D0: to=<jo@gmail.com>, relay=gmail-smtp-in.l.google.com[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 2.0.0 OK)
2026-11-20T09:00:01.100000+00:00 mx1 postfix/qmgr[7]: 4F1A0100D0: removed
`
	if err := os.WriteFile(log, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, "", "report", log).expect(t, 0, "google                   1      100.0%", "")
	command(t, "", "report", "--json", log).expect(t, 0, `"id":"google"`, "")
	hostile := strings.Replace(text, "dsn=2.0.0, status=sent (250 2.0.0 OK)", "dsn=5.7.1, status=bounced (host x[192.0.2.1] said: 550 5.7.1 spam \u202e\u009b31m (in reply to RCPT TO command))", 1)
	if err := os.WriteFile(log, []byte(hostile), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := command(t, "", "report", log); !strings.Contains(r.out, "spam ??31m") {
		t.Errorf("not cleaned: %q", r.out)
	}
	if err := os.WriteFile(log, []byte("nothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, "", "report", "--as", "postfix", log).expect(t, 0, "nothing that was read tells of a delivery", "")
	command(t, "", "report", "--by", "weather", log).expect(t, exitUsage, "", "a report lists by provider, domain, reason, day, campaign")
	command(t, "", "report", "--provider", "gogle", log).expect(t, exitUsage, "", "none is called so")
	command(t, "", "report", "--since", "soon", log).expect(t, exitUsage, "", "is no time")
	command(t, "", "report", "--as", "postfix").expect(t, exitUsage, "", "needs a file")
	command(t, "", "report", filepath.Join(t.TempDir(), "none")).expect(t, exitFailure, "", "no such file")
}
