package main

import (
	"context"
	"io"
	"testing"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/control"
)

func TestOutputPauseAndContinue(t *testing.T) {
	t.Parallel()
	var paused, continued string
	note := func(call control.Call[string, control.None], to *string) control.Answer {
		return call.Answer(func(_ context.Context, name string, _ io.Reader, _ func(control.None) error) error {
			*to = name
			return nil
		})
	}
	socket := daemon(t, note(agent.Calls.OutputPause, &paused), note(agent.Calls.OutputContinue, &continued))
	command(t, "", "output", "pause", "listmonk", "--socket", socket).expect(t, 0, "listmonk is paused", "")
	command(t, "", "output", "continue", "hub", "--socket", socket).expect(t, 0, "hub goes on\n", "")
	if paused != "listmonk" || continued != "hub" {
		t.Errorf("paused %q, continued %q", paused, continued)
	}
	socket = daemon(t, failing(agent.Calls.OutputPause, `there is no output "x"`))
	command(t, "", "output", "pause", "x", "--socket", socket).expect(t, exitFailure, "", `there is no output "x"`)
}
