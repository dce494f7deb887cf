package main

import (
	"strings"
	"testing"
)

func TestWhyNotRunning(t *testing.T) {
	example := write(t, "example.yaml", "inputs:\n")
	before := shippedExample
	shippedExample = example
	defer func() { shippedExample = before }()
	own := write(t, "c.yaml", "inputs:\n")
	if why := whyNotRunning(t.Context(), own); !strings.HasPrefix(why, own+" is still the example") {
		t.Errorf("got %q", why)
	}
	for _, c := range []struct {
		unit map[string]string
		want string
	}{
		{map[string]string{"ExecMainStatus": "78", "ActiveState": "failed"}, "bouncefeed check"},
		{map[string]string{"Result": "exec-condition"}, "skipped"},
		{map[string]string{"ActiveState": "failed", "Result": "watchdog"}, "it failed (watchdog)"},
		{map[string]string{"LoadState": "masked"}, "unmask"},
		{map[string]string{"LoadState": "not-found"}, "there is no bouncefeed.service"},
		{map[string]string{"ActiveState": "inactive", "Result": "success"}, ""},
	} {
		if got := unitSays(c.unit); !strings.Contains(got, c.want) || (got == "") != (c.want == "") {
			t.Errorf("%v: %q", c.unit, got)
		}
	}
}

// What keeps the daemon from starting is an error for the journal, too.
func TestStartUpErrorsHaveAPriority(t *testing.T) {
	cfg := write(t, "c.yaml", "inputs: {p: {type: logfile}}\nunknown: 1\n")
	t.Setenv("JOURNAL_STREAM", "8:1")
	r := command(t, "", "run", "-c", cfg)
	if r.code != exitConfig || r.err == "" {
		t.Fatalf("%+v", r)
	}
	for line := range strings.Lines(r.err) {
		if !strings.HasPrefix(line, "<3>") {
			t.Errorf("without a priority: %q", line)
		}
	}
	if r := command(t, "", "check", "-c", cfg); strings.Contains(r.err, "<3>") {
		t.Errorf("a command that people run: %q", r.err)
	}
}
