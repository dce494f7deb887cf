package agent

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/page"
	"bouncefeed/internal/report"
)

// TestDemoMonth: the made-up log tells what the demo is to show, on whatever day it is looked at.
func TestDemoMonth(t *testing.T) {
	t.Parallel()
	for _, now := range []time.Time{
		time.Date(2026, 11, 29, 22, 0, 0, 0, time.UTC), // a Sunday: little was sent since Friday
	} {
		d, err := newDemo(demoMonth(now))
		if err != nil {
			t.Fatal(err)
		}
		defer d.close()
		r := &ReportOfFiles{Backfill: Backfill{Files: []string{d.mailLog}, As: "postfix", Log: slog.New(slog.DiscardHandler)}}
		tally, sum, err := r.read(t.Context())
		if err != nil || len(sum.Refused) > 0 {
			t.Fatalf("%v, refused %v", err, sum.Refused)
		}
		source := &pageSource{agent: &Agent{config: &config.Config{}}, now: func() time.Time { return now }, report: func(args ReportArgs) (*report.Report, error) {
			o, err := args.options("mx1", now)
			return tally.Make(o), err
		}}
		made, err := source.Report(t.Context(), 28, "")
		if err != nil {
			t.Fatal(err)
		}
		var open []string
		for i := range made.Findings {
			if f := &made.Findings[i]; f.Until == nil {
				open = append(open, f.ID+" "+f.Provider+f.Subject)
			}
		}
		for _, want := range []string{"provider_blocks microsoft", "provider_defers yahoo", "typo_domains gamil.com"} {
			if !slices.Contains(open, want) {
				t.Errorf("%s: %s is not found, but %v", now, want, open)
			}
		}
		if n := made.Totals.Failed["unknown"]; n > 0 {
			t.Errorf("%d replies of the demo's are not understood", n)
		}
	}
}

func TestDemoPage(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var said []byte
	err := DemoPage(ctx, "test", "127.0.0.1:0", slog.New(slog.DiscardHandler), func(url string) {
		defer cancel()
		answer, err := http.Get(url)
		if err != nil {
			t.Error(err)
			return
		}
		defer answer.Body.Close()
		said, err = io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Errorf("%s, %v", answer.Status, err)
		}
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	for _, want := range []string{"mail.example.com", "Microsoft refuses us", "/provider/google?days=28", "listmonk"} {
		if !bytes.Contains(said, []byte(want)) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

// TestPageOfTheDaemon: what its log tells stands on the page that it serves, without an address; another site's form is not taken.
func TestPageOfTheDaemon(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	if err := os.WriteFile(log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a := watched(t, dir)
	if err := os.WriteFile(log, demoLog(time.Now()), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the deliveries are counted, and all is read", func() bool {
		made, err := a.report(ReportArgs{Since: time.Now().Add(-24 * time.Hour)})
		if err != nil || made.Totals.Reasons[event.Blocklisted] == 0 {
			return false
		}
		st, err := a.Status()
		return err == nil && st.Inputs[0].Lag == 0
	})
	answer := asked(t, dir, "/")
	said, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK || !strings.Contains(answer.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Fatalf("%s, %v, %v", answer.Status, answer.Header, err)
	}
	for _, want := range []string{"/provider/other?days=28", "using zen.spamhaus.org", "up to date"} {
		if !bytes.Contains(said, []byte(want)) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if address := regexp.MustCompile(`[a-z]+@(news\.)?example`).Find(bytes.ReplaceAll(said, []byte("address@"), nil)); address != nil {
		t.Errorf("the page names %s", address)
	}
	r := httptest.NewRequest("POST", "http://localhost/explain", strings.NewReader("text=550+gone"))
	r.Header.Set("Origin", "https://elsewhere.example")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	if a.web.ServeHTTP(w, r); w.Code != http.StatusForbidden {
		t.Errorf("another site's form: %d", w.Code)
	}
}

func TestInputOnPage(t *testing.T) {
	t.Parallel()
	for want, st := range map[string]InputStatus{
		"up to date": {}, "at work": {Lag: -1}, "1.0 MiB behind": {Lag: 1 << 20, LagUnit: "bytes"}, "1,200 messages behind": {Lag: 1200, LagUnit: "messages"},
	} {
		if got := st.onPage().State; got != want {
			t.Errorf("%+v: %s, not %s", st, got, want)
		}
	}
	st := InputStatus{Problem: "open /home/jo/x: 550 <jo@example.org>"}
	if got := st.onPage().Problem; got != "open /home/jo/x: 550 <address@example.org>" {
		t.Error(got)
	}
}

// TestPageExplains: the same as `bouncefeed explain`, whatever is pasted.
func TestPageExplains(t *testing.T) {
	t.Parallel()
	d, err := newDemo(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	source := &pageSource{agent: &Agent{config: d.config}}
	line := "2026-11-22T07:01:02.126+00:00 mx1 postfix/smtp[828]: 4F1A01C2D0: to=<jo@example.net>, relay=mx.example.net[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.example.net[192.0.2.1] said: 550 5.1.1 user unknown (in reply to RCPT TO command))"
	mail := "From: MAILER-DAEMON@mx.example.net\nTo: bounces@news.example.com\nSubject: Undelivered Mail\nMIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary=x\n\n--x\n\nSorry.\n--x\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.net\n\nFinal-Recipient: rfc822; jo@example.net\nAction: failed\nStatus: 5.2.2\n\n--x--\n"
	for _, c := range []struct{ as, pasted, read, reason string }{
		{"", line, "postfix", "user_unknown"},
		{"", "550 5.7.1 Service unavailable; client host [203.0.113.5] blocked using zen.spamhaus.org", "reply", "blocklisted"},
		{"reply", "452 4.2.2 mailbox full", "reply", "mailbox_full"},
		{"", mail, "mail", "mailbox_full"},
		{"mail", strings.ReplaceAll(mail, "\n", "\r\n"), "mail", "mailbox_full"},
	} {
		said, err := source.Explain(t.Context(), c.as, []byte(c.pasted))
		if err != nil || said.As != c.read || len(said.Verdicts) != 1 || len(said.Verdicts[0].Events) != 1 || string(said.Verdicts[0].Events[0].Reason) != c.reason || said.Verdicts[0].Events[0].Reported == "" {
			t.Errorf("%.60s: %+v, %v", c.pasted, said, err)
		}
	}
	if said, err := source.Explain(t.Context(), "", []byte("hello")); err != nil || len(said.Verdicts) > 1 {
		t.Errorf("%+v, %v", said, err)
	}
	if said, err := source.Explain(t.Context(), "", []byte(strings.Repeat(line+"\n", 2*page.MaxVerdicts))); err != nil || !said.More || len(said.Verdicts) != page.MaxVerdicts {
		t.Errorf("of many lines %d, %v, %v", len(said.Verdicts), said.More, err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := source.Explain(gone, "", []byte(line)); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits any more: %v", err)
	}
}
