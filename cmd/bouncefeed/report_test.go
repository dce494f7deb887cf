package main

import (
	"os"
	"path/filepath"
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
	command(t, "", "report", "--by", "weather", log).expect(t, exitUsage, "", "a report lists by provider, domain, reason, day")
	command(t, "", "report", "--provider", "gogle", log).expect(t, exitUsage, "", "none is called so")
	command(t, "", "report", "--since", "soon", log).expect(t, exitUsage, "", "is no time")
	command(t, "", "report").expect(t, exitUsage, "", "needs a file")
	command(t, "", "report", filepath.Join(t.TempDir(), "none")).expect(t, exitFailure, "", "no such file")
}
