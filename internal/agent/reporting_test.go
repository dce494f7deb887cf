package agent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/report"
)

// assembled is a daemon that does not run, with its queue open.
func assembled(t *testing.T, text string) *Agent {
	t.Helper()
	cfg, err := config.Parse("c.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(cfg, "c.yaml", "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if a.queue, err = openQueue(cfg, a.log, a.counting); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.queue.Close() })
	a.assemble()
	return a
}

// readLog has an input read a log, some lines at a time.
func readLog(t *testing.T, s *sink, text string) {
	t.Helper()
	if _, err := s.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(text, "\n")
	for at := 0; at < len(lines); at += 7 {
		if _, err := s.Read([]byte(strings.Join(lines[at:min(at+7, len(lines))], "")), time.Now(), 0); err != nil {
			t.Fatal(err)
		}
		if err := s.Store(t.Context(), map[string]string{"at": fmt.Sprint(at)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Settle(); err != nil {
		t.Fatal(err)
	}
}

// mixedLog is a log of several days: two senders, of which one is a list's.
func mixedLog(from time.Time) string {
	var messages [][]string
	attempt := func(to, relay, dsn, status string) string {
		return fmt.Sprintf("to=<%s>, relay=%s, delay=700, delays=0/0/0/1, dsn=%s, status=%s", to, relay, dsn, status)
	}
	for i := range 300 {
		relay, to := fmt.Sprintf("gmail-smtp-in.l.google.com[192.0.2.%d]:25", i%9), fmt.Sprintf("u%d@gmail.com", i)
		if i%3 == 0 {
			relay, to = "hotmail-com.olc.protection.outlook.com[192.0.2.2]:25", fmt.Sprintf("U%d@Hotmail.com", i)
		}
		if i%17 == 0 {
			relay, to = "mx1.news.example[private/dovecot-lmtp]", fmt.Sprintf("u%d@news.example", i)
		}
		later := attempt(to, relay, "4.7.1", "deferred (host x[192.0.2.1] said: 451 4.7.1 Greylisted (in reply to RCPT TO command))")
		ok := attempt(to, relay, "2.0.0", "sent (250 2.0.0 OK)")
		switch {
		case i%10 == 1:
			messages = append(messages, []string{later, later, ok})
		case i%10 == 2:
			messages = append(messages, []string{attempt(to, relay, "5.1.1", "bounced (host x[192.0.2.1] said: 550 5.1.1 user unknown (in reply to RCPT TO command))")})
		case i%10 == 3:
			messages = append(messages, []string{attempt(to, relay, "5.7.1", "bounced (host x[192.0.2.1] said: 550 5.7.1 blocked using zen.spamhaus.org (in reply to RCPT TO command))")})
		case i%10 == 4:
			messages = append(messages, []string{later})
		default:
			messages = append(messages, []string{ok})
		}
	}
	text := postfixMessages(from, messages...)
	for i := range 300 { // ids and senders of their own
		text = strings.ReplaceAll(text, fmt.Sprintf(": 4F1A%02X00D0: ", i+1), fmt.Sprintf(": 5F1A%03X0D0: ", i+1))
		if i%7 < 2 {
			text = strings.Replace(text, fmt.Sprintf(": 5F1A%03X0D0: from=<bounces@news.example>", i+1), fmt.Sprintf(": 5F1A%03X0D0: from=<office@news.example>", i+1), 1)
		}
	}
	return text
}

// TestReportsAgree: what the daemon counts while it reads a log is what a report of that log says.
func TestReportsAgree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, queued := filepath.Join(dir, "mail.log"), filepath.Join(dir, "queue.db")
	begun := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -6)
	text := mixedLog(begun)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	configured := fmt.Sprintf(`
inputs:
  log: {type: logfile, path: %s, parser: {type: postfix, mynetworks: [127.0.0.1]}, senders: ["bounces@news.example"]}
outputs:
  a: {type: file, path: %s/a.jsonl}
queue: {path: %s}
`, file, dir, queued)
	a := assembled(t, configured)
	readLog(t, a.inputs[0].sink, text)
	for _, stream := range []report.Stream{report.AllStreams, report.Lists, report.OtherMail} {
		r := ReportOfFiles{Backfill: Backfill{Files: []string{file}, As: "postfix", Config: a.config, Log: slog.New(slog.DiscardHandler)}, Stream: stream}
		ofFiles, _, err := r.Make(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		stored, err := a.report(ReportArgs{Since: ofFiles.Since, Until: ofFiles.Until, Compare: CompareNone, Stream: stream})
		if err != nil {
			t.Fatal(err)
		}
		stored.Cover, ofFiles.Cover = nil, nil            // the daemon read it today
		heard := regexp.MustCompile(`"(first|last)": .*`) // an example is renewed once an hour, by what comes first
		got, want := heard.ReplaceAllString(asJSON(t, stored), "-"), heard.ReplaceAllString(asJSON(t, ofFiles), "-")
		if got != want || ofFiles.Totals.Late == 0 || ofFiles.Totals.Failed["ours"] == 0 {
			t.Errorf("stream %q: the daemon says\n%s\nthe files\n%s", stream, got, want)
		}
		var again report.Report
		if err := json.Unmarshal([]byte(asJSON(t, stored)), &again); err != nil || text100(t, &again) != text100(t, stored) {
			t.Errorf("from JSON, %v:\n%s\nwant\n%s", err, text100(t, &again), text100(t, stored))
		}
	}
}

func asJSON(t *testing.T, r *report.Report) string {
	t.Helper()
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func text100(t *testing.T, r *report.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteText(&b, report.ByProvider, false); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestCountedOnce: what is read again after a crash, or a failed commit, counts once.
func TestCountedOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := mixedLog(time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -3))
	configured := fmt.Sprintf(`
inputs:
  log: {type: logfile, path: %s/mail.log, parser: {type: postfix, mynetworks: [127.0.0.1]}}
outputs:
  a: {type: file, path: %s/a.jsonl}
queue: {path: %s/queue.db}
`, dir, dir, dir)
	a := assembled(t, configured)
	s := a.inputs[0].sink
	half := strings.Index(text[len(text)/2:], "\n") + len(text)/2 + 1
	readLog(t, s, text[:half])
	if _, err := s.Read([]byte(text[half:]), time.Now(), 0); err != nil { // parsed, and never stored
		t.Fatal(err)
	}
	readLog(t, s, text[half:])
	made, err := a.report(ReportArgs{Since: time.Now().AddDate(0, 0, -9), Until: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	n := map[string]int{"ended": strings.Count(text, "status=sent") + strings.Count(text, "status=bounced"), "deferrals": strings.Count(text, "status=deferred")}
	if made.Totals.Ended != uint64(n["ended"]) || made.Totals.Attempts != uint64(n["deferrals"]) {
		t.Errorf("ended %d, put off %d times, want %v", made.Totals.Ended, made.Totals.Attempts, n)
	}
	if err := checkLimits(a); err == nil {
		t.Error("a report of no time")
	}
}

func checkLimits(a *Agent) error {
	_, err := a.report(ReportArgs{Since: time.Now(), Until: time.Now().Add(-time.Hour)})
	return err
}
