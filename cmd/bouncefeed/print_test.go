package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/config"
)

// Whatever strangers write must not move the cursor, colour the screen or turn the line round.
func TestClean(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain <jo@example.org>":  "plain <jo@example.org>",
		"Zoë Müller 受信者":          "Zoë Müller 受信者",
		"\x1b[31mred\x1b[0m":      "?[31mred?[0m",
		"a\nb\tc\rd\x00e\x7f":     "a?b?c?d?e?",
		"c1 \u0085 \u009b31m":     "c1 ? ?31m",
		"abc\u202egpj.exe\u2066x": "abc?gpj.exe?x",
		"\u200f\u200e":            "??",
		"bad utf-8 \xff":          "bad utf-8 \ufffd",
	} {
		if got := clean(in); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
}

func TestCounts(t *testing.T) {
	t.Parallel()
	m := map[string]uint64{"b": 3, "a": 3, "c": 10, "d": 0}
	if got := largest(m); !slices.Equal(got, []string{"c", "a", "b", "d"}) {
		t.Errorf("got %q", got)
	}
	if got := counts(m); got != "c 10, a 3, b 3, d 0" {
		t.Errorf("got %q", got)
	}
	if got := counts(nil); got != "" || total(nil) != 0 || total(m) != 16 {
		t.Errorf("got %q, %d, %d", got, total(nil), total(m))
	}
}

func TestPrintJSON(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	cmd := &cobra.Command{}
	cmd.SetOut(&out)
	if err := printJSON(cmd, map[string]string{"a": "<b> & \u2028"}); err != nil || out.String() != "{\"a\":\"<b> & \\u2028\"}\n" {
		t.Errorf("got %q, %v", out.String(), err)
	}
	out.Reset()
	if err := printRaw(cmd, json.RawMessage(`{"new":[1, 2]}`)); err != nil || out.String() != "{\"new\":[1, 2]}\n" {
		t.Errorf("got %q, %v", out.String(), err)
	}
}

// logAll logs a line at each level, with what a module adds.
func logAll(l *slog.Logger) {
	l = l.With("input", "postfix").WithGroup("g")
	l.Debug("one")
	l.Info("two", "a", "b c")
	l.Warn("three")
	l.Error("four", "error", "x")
}

func TestLog(t *testing.T) {
	t.Setenv("JOURNAL_STREAM", "")
	var out bytes.Buffer
	logAll(newLogger(&out, config.Log{Level: "warn", Format: "text"}))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "time=") || !strings.HasSuffix(lines[0], "level=WARN msg=three input=postfix") || !strings.HasSuffix(lines[1], "level=ERROR msg=four input=postfix g.error=x") {
		t.Errorf("got %q", lines)
	}
	out.Reset()
	logAll(newLogger(&out, config.Log{Level: "debug", Format: "json"}))
	if n := strings.Count(out.String(), "\n"); n != 4 {
		t.Errorf("%d lines, want 4", n)
	}
	for line := range strings.Lines(out.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil || m["time"] == nil || m["input"] != "postfix" {
			t.Errorf("%s, %v", line, err)
		}
	}
}

// The journal knows the time, and takes the priority from the line's beginning (sd-daemon(3)).
func TestLogForTheJournal(t *testing.T) {
	t.Setenv("JOURNAL_STREAM", "8:1234")
	var out bytes.Buffer
	logAll(newLogger(&out, config.Log{Level: "debug", Format: "text"}))
	want := `<7>level=DEBUG msg=one input=postfix
<6>level=INFO msg=two input=postfix g.a="b c"
<4>level=WARN msg=three input=postfix
<3>level=ERROR msg=four input=postfix g.error=x
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	out.Reset()
	newLogger(&out, config.Log{Level: "info", Format: "text"}).Debug("nothing")
	if out.Len() > 0 {
		t.Errorf("below the level: %s", out.String())
	}
}

func TestPrintDemo(t *testing.T) {
	t.Parallel()
	right := agent.DemoRow{Recipient: "jo@example.org", Said: "550", Want: "hard", Got: []agent.DemoPost{{Type: "hard", Reason: "user_unknown", Body: `{"a":1}`}}}
	silent := agent.DemoRow{Recipient: "al@example.org", Said: "452", Why: "deferred"}
	missing := agent.DemoRow{Recipient: "mia@example.org", Said: "550", Want: "soft"}
	for _, c := range []struct {
		rows      []agent.DemoRow
		strangers []agent.DemoPost
		verbose   bool
		fails     bool
		want      string
	}{
		{[]agent.DemoRow{right, silent}, nil, false, false, "All as it should be."},
		{[]agent.DemoRow{right, silent}, nil, true, false, "POST /webhooks/bounce {\"a\":1}\n"},
		{[]agent.DemoRow{right, missing}, nil, false, true, `- (WRONG, 0 posts, wanted "soft")`},
		{[]agent.DemoRow{right}, []agent.DemoPost{{Body: "{}"}}, false, true, "WRONG, posted for nobody in the list: {}\n"},
	} {
		var out bytes.Buffer
		cmd := &cobra.Command{}
		cmd.SetOut(&out)
		err := (&app{}).printDemo(cmd, c.rows, c.strangers, c.verbose)
		if (err != nil) != c.fails || !strings.Contains(out.String(), c.want) {
			t.Errorf("%v\n%s\nwant %q", err, out.String(), c.want)
		}
		if err != nil && exitCode(err) != exitFailure {
			t.Errorf("exit code %d", exitCode(err))
		}
	}
}

func TestDemo(t *testing.T) {
	t.Parallel()
	r := command(t, "", "demo")
	r.expect(t, 0, "RECIPIENT", "")
	r.expect(t, 0, "All as it should be.", "")
	r.expect(t, 0, "OUR FAULT: 1 recipient", "")
	if r.err != "" {
		t.Errorf("on standard error: %s", r.err)
	}
}

func TestInit(t *testing.T) {
	t.Parallel()
	r := command(t, "", "init", "--url", "https://news.example.org/webhooks/bounce", "--username", "feeder", "--password-file", "/run/token")
	for _, want := range []string{"https://news.example.org/webhooks/bounce", "feeder", "/run/token", "outputs:"} {
		if r.code != 0 || !strings.Contains(r.out, want) {
			t.Errorf("%q is not in the draft (exit code %d):\n%s", want, r.code, r.out)
		}
	}
	if r := command(t, "", "init", "--json"); r.code != 0 || !json.Valid([]byte(r.out)) {
		t.Errorf("as JSON: %+v", r)
	}
}
