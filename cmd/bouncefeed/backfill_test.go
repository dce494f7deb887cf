package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/event"
)

func TestBackfillDryRun(t *testing.T) {
	t.Parallel()
	log := write(t, "mail.log", postfixLog)
	r := command(t, "", "backfill", "--dry-run", "--as", "postfix", log)
	r.expect(t, 0, "domain  example.org   1\n", "5 read, 1 would be queued, 0 reported before, 0 outside of the time asked for\n")
	r.expect(t, 0, "reason  user_unknown  1\n", "ignored: other 2, delayed 1\nrefused: unopened_queue_id 1\n")
	r = command(t, "", "backfill", "--dry-run", "--json", log)
	var e event.Event
	if err := json.Unmarshal([]byte(r.out), &e); err != nil || r.code != 0 || e.Recipient != "jo@example.org" || e.Type != event.Hard || e.ID == "" {
		t.Errorf("%+v, %v", r, err)
	}
	command(t, "", "backfill", "--dry-run", "--senders", "*@other.example", log).expect(t, 0, "", "0 would be queued")
	command(t, "", "backfill", "--dry-run", "--since", "2100-01-01", log).expect(t, 0, "", "1 outside of the time asked for")
	command(t, "", "backfill", "--dry-run", "--until", "1990-01-01T00:00:00Z", log).expect(t, 0, "", "1 outside of the time asked for")
	command(t, "", "backfill", "--dry-run", filepath.Dir(log)+"/mail*").expect(t, 0, "", "1 would be queued")
	command(t, "", "backfill", "--dry-run", filepath.Join(t.TempDir(), "none")).expect(t, exitFailure, "", "no such file")
}

func TestBackfillMailbox(t *testing.T) {
	t.Parallel()
	message := write(t, "message.eml", bounceMail)
	command(t, "", "backfill", "--dry-run", "--as", "mail", message).expect(t, 0, "type    hard          1\n", "1 would be queued")
	command(t, "", "backfill", "--dry-run", "--as", "mail", "--trust", "proof", message).expect(t, 0, "", "1 would be held, unless a log proves them\n")
}

// With a configuration and no daemon the events wait in its queue, and are not reported twice.
func TestBackfillIntoTheQueue(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := write(t, "c.yaml", fmt.Sprintf(`
inputs: {postfix: {type: logfile, path: /var/log/mail.log, parser: postfix}}
outputs: {file: {type: file, path: %s/out.jsonl}}
queue: {path: %s/queue.db}
control: {socket: %s/control.sock}
`, dir, dir, dir))
	log := write(t, "mail.log", postfixLog)
	r := command(t, "", "backfill", "-c", cfg, log)
	r.expect(t, 0, "reason  user_unknown  1\n", "5 read, 1 queued, 0 reported before")
	r.expect(t, 0, "", "the daemon does not run: it will deliver them once it does\n")
	r = command(t, "", "backfill", "-c", cfg, "--json", log)
	var sum agent.BackfillSummary
	if err := json.Unmarshal([]byte(r.out), &sum); err != nil || r.code != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	if sum.Queued != 0 || sum.Repeats != 1 || !sum.Offline || sum.Ignored["other"] != 2 || sum.Refused["unopened_queue_id"] != 1 {
		t.Errorf("%+v", sum)
	}
	if info, err := os.Stat(filepath.Join(dir, "queue.db")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the queue: %v, %v", info, err)
	}
}

// Without a configuration there is nowhere to put them. (The default one must not be there on a machine that tests.)
func TestBackfillNeedsAConfiguration(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/etc/bouncefeed/config.yaml"); err == nil {
		t.Skip("this machine has a configuration")
	}
	command(t, "", "backfill", write(t, "mail.log", postfixLog)).expect(t, exitConfig, "", "no configuration at /etc/bouncefeed/config.yaml: give --config, or --dry-run to only look")
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Time{
		"":                          {},
		"2026-11-01":                time.Date(2026, 11, 1, 0, 0, 0, 0, time.Local),
		"2026-11-01T12:30:00Z":      time.Date(2026, 11, 1, 12, 30, 0, 0, time.UTC),
		"2026-11-01T12:30:00+02:00": time.Date(2026, 11, 1, 10, 30, 0, 0, time.UTC),
	} {
		if got, err := parseTime(text); err != nil || !got.Equal(want) {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"yesterday", "2026-13-01", "2026-11-01 12:00", "1d"} {
		if _, err := parseTime(text); err == nil || exitCode(err) != exitUsage {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestExpand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"mail.log", "mail.log.1", "mail.log.2.gz", "odd[1].log"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	at := func(names ...string) (all []string) {
		for _, name := range names {
			all = append(all, filepath.Join(dir, name))
		}
		return all
	}
	for _, c := range []struct{ in, want []string }{
		{at("mail.log*"), at("mail.log", "mail.log.1", "mail.log.2.gz")},
		{append(at("mail.log.1"), "-"), append(at("mail.log.1"), "-")},
		{at("odd[1].log"), at("odd[1].log")}, // a name that looks like a pattern
		{at("none"), at("none")},             // said when it is read
		{nil, nil},
	} {
		if got, err := expand(c.in); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, %v, want %q", c.in, got, err, c.want)
		}
	}
	for _, pattern := range []string{"*.xz", "[", "mail.lo?.9"} {
		if _, err := expand(at(pattern)); err == nil || exitCode(err) != exitUsage {
			t.Errorf("%q: %v", pattern, err)
		}
	}
}

func TestShort(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		n    int
		want string
	}{{"abc", 3, "abc"}, {"abcd", 3, "abc…"}, {"aé", 2, "a…"}, {"", 0, ""}} {
		if got := short(c.in, c.n); got != c.want {
			t.Errorf("short(%q, %d) = %q", c.in, c.n, got)
		}
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	one, two := write(t, "one", strings.Repeat("x", 1000)), write(t, "two", strings.Repeat("x", 3000))
	sum := &agent.BackfillSummary{Queued: 4}
	var out strings.Builder
	p := newProgress(&out, []string{one, two, "/nowhere"}, true)
	p.started = time.Now().Add(-2 * time.Second)
	p.show(one, agent.Spot{Read: 500}, sum)
	p.show(one, agent.Spot{Read: 600}, sum) // too soon after the last
	p.said = time.Time{}
	p.show(two, agent.Spot{Read: 1000}, sum)
	p.end()
	var lines []map[string]any
	for line := range strings.Lines(out.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, m)
	}
	if len(lines) != 2 || lines[0]["bytes_read"] != 500.0 || lines[1]["bytes_read"] != 2000.0 || lines[1]["bytes"] != 4000.0 || lines[1]["file"] != two ||
		lines[1]["queued"] != 4.0 || lines[1]["seconds_remaining"] != 2.0 {
		t.Errorf("got %v", lines)
	}
	out.Reset()
	quiet := newProgress(&out, []string{one}, false)
	quiet.show(one, agent.Spot{Read: 500}, sum)
	quiet.end()
	if out.Len() > 0 {
		t.Errorf("what is no terminal is told %q", out.String())
	}
	quiet.terminal = true
	quiet.started = time.Now().Add(-time.Second)
	quiet.show(one, agent.Spot{Read: 500}, sum)
	quiet.end()
	if !strings.HasPrefix(out.String(), "\r\x1b[K[1s] 50.0 %") || !strings.HasSuffix(out.String(), "\r\x1b[K") {
		t.Errorf("on a terminal: %q", out.String())
	}
}
