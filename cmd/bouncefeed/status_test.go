package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/control"
	"bouncefeed/internal/queue"
)

// fine is the status of a daemon that works.
func fine() agent.Status {
	sent := time.Date(2026, 11, 29, 9, 0, 0, 0, time.UTC)
	return agent.Status{
		Version: "1.2.3", Host: "mx1", Since: time.Now().Add(-time.Hour),
		Inputs: []agent.InputStatus{
			{Name: "postfix", Type: "logfile", At: "/var/log/mail.log offset 12", Lag: 0, LagUnit: "bytes", Read: 20, Queued: 3, Held: 1,
				Ignored: map[string]uint64{"other": 10, "delivered": 4}, Refused: map[string]uint64{"two_readings": 2}},
			{Name: "box", Type: "pop3", Lag: 7, LagUnit: "messages", Gaps: 2},
			{Name: "hooks", Type: "webhook", Lag: -1},
		},
		Outputs: []agent.OutputStatus{{Name: "listmonk", Type: "listmonk", Pending: 1, Sent: 2, NotSent: 4, Dead: 5, LastSent: &sent}},
		Queue: agent.QueueStatus{Path: "/q.db", Used: 2048, MaxSize: 1 << 20, Held: 1,
			Counters: queue.Counters{{Side: queue.InputSide, Module: "postfix", Figure: queue.IgnoredAs("other")}: 10}},
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	r := command(t, "", "status", "--socket", daemon(t, answering(agent.Calls.Status, fine())))
	r.expect(t, 0, "", "")
	for _, line := range []string{
		"bouncefeed 1.2.3 on mx1, running for 1h0m0s",
		"input postfix (logfile) at /var/log/mail.log offset 12, up to date",
		"  read 20 = queued 3 + held 1 + ignored 14 + refused 2",
		"  ignored: other 10, delivered 4",
		"  refused: two_readings 2",
		"input box (pop3), 7 messages behind, 2 gaps",
		"input hooks (webhook)",
		"output listmonk (listmonk): sent 2, waiting 1, not sent 4, dead 5",
		"  last sent " + time.Date(2026, 11, 29, 9, 0, 0, 0, time.UTC).Local().Format(time.DateTime) + " (",
		"queue /q.db: 2 KiB used of 1 MiB, 1 held",
	} {
		if !strings.Contains("\n"+r.out, "\n"+line) {
			t.Errorf("lacks the line %q:\n%s", line, r.out)
		}
	}
	if strings.Contains(r.out, "PROBLEM") || strings.Contains(r.out, "FULL") {
		t.Errorf("a problem is told where there is none:\n%s", r.out)
	}
}

// What does not work makes the exit code that of a Nagios plugin, in every form.
func TestStatusTellsTroubleByItsExitCode(t *testing.T) {
	t.Parallel()
	since := time.Now().Add(-3 * time.Minute)
	at := since.Local().Format(time.DateTime) + " (3m ago): "
	for name, c := range map[string]struct {
		spoil  func(*agent.Status)
		code   int
		want   string
		nagios string
	}{
		"an input": {func(st *agent.Status) {
			st.Inputs[0].Problem, st.Inputs[0].Since = "permission denied\x1b[2J", &since
			st.State, st.Problems = agent.StateWarning, []agent.Problem{{What: "input postfix", Since: &since, Text: "permission denied"}}
		}, 1, "input postfix (logfile) at /var/log/mail.log offset 12\n  PROBLEM since " + at + "permission denied?[2J", "BOUNCEFEED WARNING - input postfix: permission denied (since "},
		"the only output": {func(st *agent.Status) {
			st.Outputs[0].Problem, st.Outputs[0].Since = "503", &since
			st.State, st.Problems = agent.StateCritical, []agent.Problem{{What: "output listmonk", Since: &since, Text: "503 | x"}}
		}, 2, "  PROBLEM since " + at + "503", "BOUNCEFEED CRITICAL - output listmonk: 503 / x (since "},
		"dead letters": {func(st *agent.Status) {
			st.State, st.Problems = agent.StateWarning, []agent.Problem{{What: "dead", Since: &since, Text: "output listmonk: 5 dead letters: look"}}
		}, 1, "dead 5\n  PROBLEM since " + at + "5 dead letters: look", "BOUNCEFEED WARNING - output listmonk: 5 dead letters: look (since "},
		"the queue": {func(st *agent.Status) {
			st.State, st.Problems = agent.StateCritical, []agent.Problem{{What: "queue", Text: "it is full"}}
		}, 2, "  PROBLEM: it is full", "BOUNCEFEED CRITICAL - queue: it is full | "},
	} {
		st := fine()
		c.spoil(&st)
		socket := daemon(t, answering(agent.Calls.Status, st))
		command(t, "", "status", "--socket", socket).expect(t, c.code, c.want, "bouncefeed: 1 problem, see above")
		if r := command(t, "", "status", "--json", "--socket", socket); r.code != c.code || strings.Count(r.out, "\n") != 1 {
			t.Errorf("%s, as JSON: %+v", name, r)
		}
		r := command(t, "", "status", "--nagios", "--socket", socket)
		r.expect(t, c.code, c.nagios, "")
		if r.err != "" || strings.Count(r.out, "\n") != 1 || strings.Count(r.out, "|") != 1 {
			t.Errorf("%s, for Nagios: %+v", name, r)
		}
	}
}

func TestStatusForNagios(t *testing.T) {
	t.Parallel()
	command(t, "", "status", "--nagios", "--socket", daemon(t, answering(agent.Calls.Status, fine()))).expect(t, 0,
		"BOUNCEFEED OK - 3 inputs, 1 output | 'postfix_read'=20c 'postfix_lag'=0B 'box_read'=0c 'box_lag'=7 'hooks_read'=0c 'listmonk_sent'=2c 'listmonk_waiting'=1 'listmonk_dead'=5;0 'held'=1;0 'queue'=2048B;;;0;1048576\n", "")
	command(t, "", "status", "--nagios", "--socket", "/nowhere/s").expect(t, 2, "BOUNCEFEED CRITICAL - the daemon does not run\n", "")
	command(t, "", "status", "--nagios", "--socket", daemon(t, failing(agent.Calls.Status, "queue file\nis damaged"))).expect(t, 3, "BOUNCEFEED UNKNOWN - queue file is damaged\n", "")
}

func TestStatusAsMetrics(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "bouncefeed.prom")
	const told = "# HELP bouncefeed_up Whether the daemon answers.\n# TYPE bouncefeed_up gauge\nbouncefeed_up 1\n"
	command(t, "", "status", "--prometheus", file, "--socket", daemon(t, answering(agent.Calls.Metrics, told))).expect(t, 0, "", "")
	if text, err := os.ReadFile(file); err != nil || string(text) != told {
		t.Errorf("%v %s", err, text)
	}
	if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o644 {
		t.Error(st.Mode(), err)
	}
	command(t, "", "status", "--prometheus", "-", "--socket", "/nowhere/s").expect(t, 0, "bouncefeed_up 0\n", "")
	command(t, "", "status", "--prometheus", "/nowhere/x", "--socket", "/nowhere/s").expect(t, exitFailure, "", "write metrics: ")
}

func TestStatusWatched(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	asked := 0
	socket := daemon(t, agent.Calls.Status.Answer(func(_ context.Context, _ control.None, _ io.Reader, reply func(agent.Status) error) error {
		if asked++; asked == 3 {
			cancel()
		}
		st := fine()
		st.Inputs[0].Read += uint64(1000 * asked)
		return reply(st)
	}))
	r := commandIn(ctx, "", "status", "--watch", "--every", "100ms", "--socket", socket)
	r.expect(t, 0, "RATES                      per second   per minute\npostfix read", "")
}

func TestStatusFitsTheScreen(t *testing.T) {
	t.Parallel()
	st := fine()
	for i := range 40 {
		st.Inputs[0].Ignored[fmt.Sprintf("some_word_%d", i)] = uint64(i)
	}
	st.Inputs[1].Problem = strings.Repeat("this goes wrong, ", 30)
	st.Inputs[1].Hints = []string{strings.Repeat("do it ", 50)}
	for line := range strings.Lines(statusText(&st, time.Now())) {
		if len(line) > columns+1 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1 KiB", 1500 << 10: "1.5 MiB", 1 << 30: "1 GiB"} {
		if size(n) != want {
			t.Errorf("%d: %s, want %s", n, size(n), want)
		}
	}
}

// --json prints what the daemon said, also what this version does not know.
func TestStatusAsJSON(t *testing.T) {
	t.Parallel()
	r := command(t, "", "status", "--json", "--socket", daemon(t, answering(agent.Calls.Status, fine())))
	r.expect(t, 0, "", "")
	var got struct {
		Inputs []struct {
			Name    string
			Read    uint64
			Ignored map[string]uint64
		}
		Queue struct{ Counters map[string]uint64 }
	}
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Inputs) != 3 || got.Inputs[0].Read != 20 || got.Inputs[0].Ignored["other"] != 10 || got.Queue.Counters["input/postfix/ignored/other"] != 10 {
		t.Errorf("got %s", r.out)
	}
}

func TestStatusWithoutADaemon(t *testing.T) {
	t.Parallel()
	command(t, "", "status", "--socket", "/nowhere/control.sock").expect(t, exitUnavailable, "", "start it with 'systemctl start bouncefeed'")
	command(t, "", "status", "--socket", daemon(t)).expect(t, exitFailure, "", `does not know "status": is it an older version?`)
	command(t, "", "status", "--socket", daemon(t, failing(agent.Calls.Status, "queue file is damaged"))).expect(t, exitFailure, "", "bouncefeed: queue file is damaged")
}
