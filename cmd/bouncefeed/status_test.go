package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/agent"
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
		"  last sent " + time.Date(2026, 11, 29, 9, 0, 0, 0, time.UTC).Local().Format(time.RFC3339),
		"queue /q.db: 2 KiB used of 1024 KiB, 1 held",
	} {
		if !strings.Contains("\n"+r.out, "\n"+line+"\n") {
			t.Errorf("lacks the line %q:\n%s", line, r.out)
		}
	}
	if strings.Contains(r.out, "PROBLEM") || strings.Contains(r.out, "FULL") {
		t.Errorf("a problem is told where there is none:\n%s", r.out)
	}
}

// Whatever does not work makes the exit code 1, in both forms.
func TestStatusTellsTroubleByItsExitCode(t *testing.T) {
	t.Parallel()
	since := time.Now()
	for name, c := range map[string]struct {
		spoil func(*agent.Status)
		want  string
	}{
		"an input":  {func(st *agent.Status) { st.Inputs[1].Problem, st.Inputs[1].Since = "login refused\x1b[2J", &since }, "login refused?[2J"},
		"an output": {func(st *agent.Status) { st.Outputs[0].Problem, st.Outputs[0].Since = "503", &since }, "  PROBLEM since " + since.Local().Format(time.RFC3339) + ": 503"},
		"the queue": {func(st *agent.Status) { st.Queue.Full = true }, "  FULL: the inputs wait until an output takes events"},
	} {
		st := fine()
		c.spoil(&st)
		socket := daemon(t, answering(agent.Calls.Status, st))
		command(t, "", "status", "--socket", socket).expect(t, exitFailure, c.want, "something does not work, see above")
		if r := command(t, "", "status", "--json", "--socket", socket); r.code != exitFailure || strings.Count(r.out, "\n") != 1 {
			t.Errorf("%s, as JSON: %+v", name, r)
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
