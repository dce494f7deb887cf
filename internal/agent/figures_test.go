package agent

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/internal/metrics"
	"bouncefeed/internal/queue"
	"bouncefeed/internal/report"
)

func facts(f *figures, facts ...report.Fact) {
	for i := range facts {
		if facts[i].Time.IsZero() {
			facts[i].Time = time.Now()
		}
		facts[i].Stream = report.Lists
		f.add(facts[i].Stats())
	}
}

func toldBy(f *figures) string {
	var p metrics.Page
	f.tell(&p)
	return string(p.Bytes())
}

// Each recipient counts once, whatever became of him, and once as put off.
func TestFigures(t *testing.T) {
	t.Parallel()
	f := newFigures()
	facts(f,
		report.Fact{Provider: "google", Class: report.Accepted},
		report.Fact{Provider: "google", Class: report.PutOff, Reason: event.RateLimited}, report.Fact{Provider: "google", Class: report.Attempt},
		report.Fact{Provider: "google", Class: report.Accepted, PutOff: true},
		report.Fact{Provider: "google", Class: report.Ours, Reason: event.AuthFailed, PutOff: true, Returned: true},
		report.Fact{Provider: "google", Class: report.Complaint},
		report.Fact{Provider: "gmx", Class: report.Hard, Reason: event.UserUnknown})
	text := toldBy(f)
	for _, line := range []string{
		`recipients_total{provider="google",outcome="delivered"} 1`, `recipients_total{provider="google",outcome="delivered_late"} 1`,
		`recipients_total{provider="google",outcome="ours"} 1`, `recipients_total{provider="google",outcome="hard"} 0`,
		`recipients_total{provider="gmx",outcome="hard"} 1`, `recipients_total{provider="other",outcome="hard"} 0`,
		`recipients_tried_total{provider="google"} 2`, `recipients_deferred_total{provider="google"} 1`, `deferrals_total{provider="google"} 2`,
		`complaints_total{provider="google"} 1`, `returned_total{provider="google"} 1`,
		`failures_total{reason="auth_failed",fault="sender"} 1`, `failures_total{reason="user_unknown",fault="recipient"} 1`, `failures_total{reason="tls",fault="transient"} 0`,
		`sender_fault_total{provider="google",reason="auth_failed"} 1`, `sender_fault_total{provider="gmx",reason="spam"} 0`,
	} {
		if !strings.Contains(text, "\nbouncefeed_"+line+"\n") {
			t.Errorf("lacks %s:\n%s", line, text)
		}
	}
}

// Ten thousand hosts, or names that somebody made up, make no ten thousand series, and lose no count.
func TestFiguresAreBounded(t *testing.T) {
	t.Parallel()
	f := newFigures()
	for i := range 10_000 {
		name := fmt.Sprintf("mx%d.example.net\"} 1\nx{a=\"", i)
		facts(f, report.Fact{Provider: name, Class: report.Accepted}, report.Fact{Provider: name, Class: report.Ours, Reason: event.Reason(name)},
			report.Fact{Provider: name, Class: report.Hard, Reason: event.Blocklisted})
	}
	facts(f, report.Fact{Provider: "google", Class: report.Accepted}) // too late for a series
	text := toldBy(f)
	series := strings.Count(text, "\n") - strings.Count(text, "# ")
	if t.Logf("%d series, %d bytes", series, len(text)); series > 700 {
		t.Errorf("%d series", series)
	}
	sums := map[string]int{}
	for _, found := range regexp.MustCompile(`(?m)^bouncefeed_recipients_total\{.*outcome="(\w+)"\} (\d+)$`).FindAllStringSubmatch(text, -1) {
		n, err := strconv.Atoi(found[2])
		if err != nil {
			t.Fatal(err)
		}
		sums[found[1]] += n
	}
	if sums["delivered"] != 10_001 || sums["ours"] != 10_000 || sums["hard"] != 10_000 {
		t.Errorf("%v", sums)
	}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "bouncefeed_") && !strings.HasPrefix(line, "# ") {
			t.Fatalf("a name begins a line: %q", line)
		}
	}
}

// Who had most mail lately has a series from the start, at 0: a rise from nothing is none to Prometheus.
func TestFiguresBeginWithTheLargest(t *testing.T) {
	t.Parallel()
	q := openTestQueue(t, t.TempDir())
	var rows []event.Stat
	for i := range 40 {
		for range 40 - i {
			f := report.Fact{Time: time.Now().Add(-time.Hour), Stream: report.Lists, Provider: fmt.Sprintf("p%02d", i), Class: report.Accepted}
			rows = append(rows, f.Stats()...)
		}
	}
	old := report.Fact{Time: time.Now().Add(-seenWithin - 48*time.Hour), Stream: report.Lists, Provider: "old", Class: report.Accepted}
	if _, err := q.Commit(t.Context(), queue.Batch{Input: "in", Counted: event.Counted{Stats: append(rows, old.Stats()...)}}); err != nil {
		t.Fatal(err)
	}
	f := newFigures()
	if err := f.begin(q, time.Now()); err != nil {
		t.Fatal(err)
	}
	want := []string{"other"}
	for i := range maxProviders - 1 {
		want = append(want, fmt.Sprintf("p%02d", i))
	}
	if got := slices.Sorted(maps.Keys(f.providers)); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if text := toldBy(f); !strings.Contains(text, "\nbouncefeed_recipients_total{provider=\"p00\",outcome=\"delivered\"} 0\n") {
		t.Error("it does not begin at 0")
	}
}

// Who waits, and what is found.
func TestFiguresOfNow(t *testing.T) {
	t.Parallel()
	f := newFigures()
	f.of("google")
	var p metrics.Page
	f.tellWaiting(&p, []report.Waiting{{Provider: "google", Recipients: 2}, {Provider: "x", Recipients: 3}, {Provider: "y", Recipients: 4}})
	f.tellFindings(&p, []FindingStatus{
		{ID: "a", Provider: "google", Severity: report.Warning, Title: "jo@example.org"}, {ID: "a", Provider: "google", Severity: report.Warning},
		{ID: "b", Severity: report.Critical}, {ID: "c", Provider: "x", Severity: report.Info},
	})
	const want = `bouncefeed_recipients_waiting{provider="google"} 2
bouncefeed_recipients_waiting{provider="other"} 7
# HELP bouncefeed_finding_active What 'bouncefeed report' finds open; absent when it is over.
# TYPE bouncefeed_finding_active gauge
bouncefeed_finding_active{finding="a",provider="google",severity="warning"} 1
bouncefeed_finding_active{finding="b",provider="",severity="critical"} 1
bouncefeed_finding_active{finding="c",provider="other",severity="info"} 1
`
	if got := string(p.Bytes()); !strings.HasSuffix(got, want) {
		t.Error(got)
	}
	p = metrics.Page{}
	if f.tellWaiting(&p, nil); strings.Contains(string(p.Bytes()), "\nbouncefeed") {
		t.Error("told what is not known")
	}
}

// What is read from a log is counted once it is on disk.
func TestFiguresOfALog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	if err := os.WriteFile(log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	watched(t, dir)
	stamp := time.Now().Format("Jan _2 15:04:05") + " mx1 postfix/"
	line := func(text string) string { return stamp + text + "\n" }
	text := line("smtpd[1]: 8F7BAA2E332: client=app[127.0.0.1]") +
		line("cleanup[1]: 8F7BAA2E332: message-id=<1@news.example>") +
		line("qmgr[1]: 8F7BAA2E332: from=<b@news.example>, size=1, nrcpt=2 (queue active)") +
		line("smtp[1]: 8F7BAA2E332: to=<a@gmail.com>, relay=gmail-smtp-in.l.google.com[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)") +
		line("smtp[1]: 8F7BAA2E332: to=<b@gmail.com>, relay=gmail-smtp-in.l.google.com[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host gmail-smtp-in.l.google.com[192.0.2.1] said: 550 5.1.1 no such user (in reply to RCPT TO command))") +
		line("qmgr[1]: 8F7BAA2E332: removed")
	if err := os.WriteFile(log, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "counted", func() bool {
		resp := asked(t, dir, "/metrics")
		body, err := io.ReadAll(resp.Body)
		return err == nil && strings.Contains(string(body), "\nbouncefeed_recipients_total{provider=\"google\",outcome=\"delivered\"} 1\n") &&
			strings.Contains(string(body), "\nbouncefeed_recipients_total{provider=\"google\",outcome=\"hard\"} 1\n") &&
			strings.Contains(string(body), "\nbouncefeed_failures_total{reason=\"user_unknown\",fault=\"recipient\"} 1\n")
	})
}
