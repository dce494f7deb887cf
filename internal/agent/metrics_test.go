package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bouncefeed/internal/control"
	"bouncefeed/internal/event"
	"bouncefeed/internal/metrics"
	"bouncefeed/internal/queue"
	"bouncefeed/outputs"
)

// What the listener and the socket tell is one text, of every module and with what is known to exist at 0.
func TestMetrics(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "log"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a := watched(t, dir)
	resp := asked(t, dir, "/metrics")
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/plain; version=0.0.4; charset=utf-8" {
		t.Fatalf("%s %q %v", resp.Status, resp.Header, err)
	}
	lines := "\n" + string(body)
	for _, line := range []string{
		"bouncefeed_up 1", "bouncefeed_ready 1", "bouncefeed_problems 0", `bouncefeed_build_info{version="1",goversion="go`,
		`bouncefeed_input_up{input="log"} 1`, `bouncefeed_input_lag_bytes{input="log"} 0`, `bouncefeed_input_records_total{input="log",result="queued"} 0`,
		`bouncefeed_output_up{output="away"} 1`, `bouncefeed_output_events_total{output="away",result="sent"} 0`,
		`bouncefeed_output_requests_total{output="away",code="error"} 0`, `bouncefeed_output_request_duration_seconds_count{output="away"} 0`,
		"bouncefeed_queue_limit_bytes 1073741824", "# TYPE bouncefeed_queue_commit_duration_seconds histogram", "process_start_time_seconds 1",
	} {
		if !strings.Contains(lines, "\n"+line) {
			t.Errorf("lacks %s", line)
		}
	}
	if strings.Contains(lines, "bouncefeed_queue_commit_duration_seconds_count 0\n") {
		t.Error("no commit was measured")
	}
	seen := map[string]bool{}
	for series := range strings.Lines(families(string(body))) {
		if seen[series] {
			t.Errorf("stands twice: %s", series)
		}
		seen[series] = true
	}
	told, err := Calls.Metrics.Ask(t.Context(), filepath.Join(dir, "s"), control.None{}, nil)
	if err != nil || families(told) != families(string(body)) || families(told) == "" {
		t.Errorf("over the socket %v:\n%s\nnot\n%s", err, families(told), families(string(body)))
	}
	a.maintenance.fail(errors.New("x"))
	if text, err := a.Metrics(); err != nil || !strings.Contains(string(text), "\nbouncefeed_ready 0\n") || !strings.Contains(string(text), "\nbouncefeed_problems 1\n") {
		t.Errorf("%v %s", err, text)
	}
}

// families are a text's series without their values.
func families(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			b.WriteString(line)
		} else {
			fmt.Fprintln(&b, line[:strings.LastIndexByte(line, ' ')])
		}
	}
	return b.String()
}

// A word of another version, or one that somebody got into the file, makes no series of its own.
func TestMetricsHaveClosedWords(t *testing.T) {
	t.Parallel()
	counts := map[string]uint64{"delivered": 3, "other": 1, "malformed": 5}
	for i := range 10_000 {
		counts[fmt.Sprintf("mx%d.example.net\"} 1\nx", i)] = 1
	}
	var p metrics.Page
	tellInputs(&p, []InputStatus{{Name: "log", Ignored: counts, Refused: counts}})
	text := string(p.Bytes())
	for _, line := range []string{
		`bouncefeed_input_ignored_total{input="log",why="delivered"} 3`, `bouncefeed_input_ignored_total{input="log",why="other"} 10006`,
		`bouncefeed_input_refused_total{input="log",why="malformed"} 5`, `bouncefeed_input_refused_total{input="log",why="other"} 10004`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("lacks %s:\n%s", line, text)
		}
	}
	if n := strings.Count(text, "\n"); n > 40 || strings.Contains(text, "example.net") {
		t.Errorf("%d lines:\n%.2000s", n, text)
	}
}

// Attempts are counted by what came of them.
func TestMetricsOfAttempts(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"ok": nil, "4xx": &outputs.LaterError{Err: &outputs.AnswerError{Status: 429}}, "5xx": &outputs.UncertainError{Err: &outputs.AnswerError{Status: 502}},
		"3xx": event.Permanent(&outputs.AnswerError{Status: 301}), "error": &outputs.AnswerError{Status: 199},
	} {
		if got := requestCode(err); got != want {
			t.Errorf("%v: %s, not %s", err, got, want)
		}
	}
	d := &delivery{out: refuser{}}
	for range 3 {
		d.attempt(t.Context(), nil)
	}
	if got := d.answers.copy(); len(got) != 1 || got["4xx"] != 3 {
		t.Error(got)
	}
}

type refuser struct{}

func (refuser) Send(context.Context, []event.Event) error {
	return event.Permanent(&outputs.AnswerError{Status: 400})
}

func TestNoMetrics(t *testing.T) {
	t.Parallel()
	if got := NoMetrics(); got != "# HELP bouncefeed_up Whether the daemon answers.\n# TYPE bouncefeed_up gauge\nbouncefeed_up 0\n" {
		t.Error(got)
	}
}

// Each output's events are counted where they belong.
func TestMetricsOfOutputs(t *testing.T) {
	t.Parallel()
	a := &Agent{measured: newMeasured()}
	a.outputs = []runningOutput{{plannedOutput{name: "hub"}, &delivery{took: a.measured.requests.Of("hub")}}}
	a.outputs[0].delivery.answers.count("5xx")
	a.outputs[0].delivery.took(0)
	count := func(w queue.Word) queue.Counter {
		return queue.Counter{Side: queue.OutputSide, Module: "hub", Figure: queue.Figure{Word: w}}
	}
	st := Status{Outputs: []OutputStatus{{Name: "hub", Pending: 1, Dead: 2, Stored: 3, Problem: "503"}}, Queue: QueueStatus{Counters: queue.Counters{
		count(queue.CountSent): 4, count(queue.CountNotSent): 5, count(queue.CountDead): 6, count(queue.CountLost): 7, count(queue.CountUnfit): 8, count(queue.CountUnknown): 9,
	}}}
	var p metrics.Page
	a.tellOutputs(&p, &st)
	for _, line := range []string{
		`up{output="hub"} 0`, `pending_events{output="hub"} 1`, `dead_events{output="hub"} 2`, `verified_events_total{output="hub",result="stored"} 3`,
		`events_total{output="hub",result="sent"} 4`, `events_total{output="hub",result="not_sent"} 5`, `events_total{output="hub",result="dead"} 6`,
		`events_total{output="hub",result="lost"} 7`, `events_total{output="hub",result="no_address_for_receiver"} 8`, `events_total{output="hub",result="unknown"} 9`,
		`requests_total{output="hub",code="5xx"} 1`, `requests_total{output="hub",code="ok"} 0`, `request_duration_seconds_bucket{output="hub",le="0.05"} 1`,
		`last_success_timestamp_seconds{output="hub"} 0`,
	} {
		if !strings.Contains(string(p.Bytes()), "\nbouncefeed_output_"+line+"\n") {
			t.Errorf("lacks %s:\n%s", line, p.Bytes())
		}
	}
}
