package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/control"
	"bouncefeed/internal/event"
)

func pastEvents() []agent.Past {
	at := time.Date(2026, 11, 29, 9, 0, 0, 0, time.Local)
	return []agent.Past{
		{Seq: 7, Event: event.Event{Time: at, Type: event.Hard, Reason: event.UserUnknown, Recipient: "jo<\x07>@" + strings.Repeat("long.", 20) + "example"},
			Fates: []agent.Fate{{Output: "listmonk", Outcome: agent.Pending}, {Output: "hub", Outcome: "sent", At: at}}},
		{Seq: 12, Event: event.Event{Time: at, Type: event.Soft, Reason: event.RecipientFiltered, Recipient: "al@example.org"}, Fates: []agent.Fate{{Output: "a-rather-long-name", Outcome: agent.Pending}}},
	}
}

func TestQueueList(t *testing.T) {
	t.Parallel()
	var asked []agent.EventFilter
	socket := daemon(t, agent.Calls.Events.Answer(func(_ context.Context, f agent.EventFilter, _ io.Reader, reply func(agent.Past) error) error {
		asked = append(asked, f)
		for _, p := range pastEvents() {
			if err := reply(p); err != nil {
				return err
			}
		}
		return nil
	}))
	r := command(t, "", "queue", "list", "--socket", socket, "--reason", "user_unknown", "--domain", "example.org", "--older-than", "2h", "--output", "listmonk")
	r.expect(t, 0, "7       2026-11-29 09:00  hard  user_unknown", "")
	for line := range strings.Lines(r.out) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > columns {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if f := asked[0]; !f.Pending || f.Reason != "user_unknown" || f.Domain != "example.org" || f.Output != "listmonk" || f.Before.IsZero() || f.Limit != 1001 {
		t.Errorf("asked for %+v", f)
	}
	command(t, "", "queue", "list", "-n", "1", "--socket", socket).expect(t, 0, "", "there are more")
	command(t, "", "queue", "list", "--json", "--sent", "--socket", socket).expect(t, 0, `{"number":12,"event":{`, "")
	if asked[2].Pending {
		t.Error("--sent is what was sent, too")
	}
	command(t, "", "queue", "show", "7", "--socket", socket).expect(t, 0, `"outcome": "sent"`, "")
	command(t, "", "queue", "show", "x", "--socket", socket).expect(t, exitFailure, "", "no number")
	command(t, "", "queue", "list", "--older-than", "soon", "--socket", socket).expect(t, exitUsage, "", "soon")
}

func TestQueueChanges(t *testing.T) {
	t.Parallel()
	var asked []string
	note := func(_ context.Context, s agent.EventSelection, _ io.Reader, reply func(agent.Count) error) error {
		asked = append(asked, fmt.Sprintf("%v %v %s", s.Numbers, s.All, s.Recipient))
		return reply(agent.Count{Events: 3})
	}
	socket := daemon(t, agent.Calls.EventsDrop.Answer(note), agent.Calls.EventsReplay.Answer(note), answering(agent.Calls.Flush, agent.Count{Events: 5}))
	command(t, "", "queue", "drop", "7", "8", "--socket", socket).expect(t, 0, "3 dropped\n", "")
	command(t, "", "queue", "drop", "--recipient", "jo@example.org", "--all", "--socket", socket).expect(t, 0, "3 dropped\n", "")
	command(t, "", "queue", "replay", "--all", "--socket", socket).expect(t, 0, "3 queued to be sent again\n", "")
	command(t, "", "queue", "flush", "--socket", socket).expect(t, 0, "5 waiting: tried now\n", "")
	command(t, "", "queue", "drop", "all", "--socket", socket).expect(t, exitFailure, "", "no number")
	if got := strings.Join(asked, "; "); got != "[7 8] false ; [] true jo@example.org; [] true " {
		t.Errorf("asked for %s", got)
	}
}

// What only looks also looks into the queue of a daemon that does not run.
func TestQueueOfNoDaemon(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yaml")
	text := "inputs:\n  log:\n    type: logfile\n    path: " + dir + "/mail.log\n    parser: postfix\noutputs:\n  out:\n    type: file\n    path: " + dir + "/out\n" +
		"queue:\n  path: " + dir + "/queue/queue.db\ncontrol: {socket: " + dir + "/control.sock}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, "", "queue", "list", "-c", config).expect(t, exitUnavailable, "", control.ErrNotRunning.Error())
	log := filepath.Join(dir, "old.log")
	line := "2026-11-22T12:31:02.126+00:00 mx1 postfix/smtp[828]: 8F7BAA2E332: to=<jo@example.net>, relay=mx.example.net[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.example.net[192.0.2.1] said: 550 5.1.1 user unknown (in reply to RCPT TO command))\n"
	open := "2026-11-22T12:31:01.126+00:00 mx1 postfix/pickup[828]: 8F7BAA2E332: uid=0 from=<news@example.com>\n" +
		"2026-11-22T12:31:01.127+00:00 mx1 postfix/cleanup[829]: 8F7BAA2E332: message-id=<m1@example.com>\n" +
		"2026-11-22T12:31:01.128+00:00 mx1 postfix/qmgr[830]: 8F7BAA2E332: from=<news@example.com>, size=400, nrcpt=1 (queue active)\n"
	if err := os.WriteFile(log, []byte(open+line), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, "", "backfill", "-c", config, "--as", "postfix", log).expect(t, 0, "", "")
	command(t, "", "queue", "list", "-c", config).expect(t, 0, "jo@example.net", "")
	command(t, "", "queue", "show", "1", "-c", config).expect(t, 0, `"outcome": "pending"`, "")
	command(t, "", "find", "jo@example.net", "-c", config).expect(t, 0, "    out: pending\n", "does not run")
	command(t, "", "queue", "flush", "-c", config).expect(t, exitUnavailable, "", control.ErrNotRunning.Error())
	if _, err := os.Stat(filepath.Join(dir, "out")); !errors.Is(err, os.ErrNotExist) {
		t.Error("it was sent")
	}
}
