package main

import (
	"context"
	"io"
	"regexp"
	"strings"
	"testing"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/event"
)

func TestTail(t *testing.T) {
	t.Parallel()
	socket := daemon(t, answering(agent.Calls.Tail,
		agent.Line{Module: "postfix", Outcome: "queued", Event: event.Event{Type: event.Hard, Reason: event.UserUnknown, Recipient: "jo@example.org", Diagnostic: "550 5.1.1 \x1b[31m" + strings.Repeat("x", 200)}},
		agent.Line{Module: "listmonk", Outcome: "sent", Event: event.Event{Type: event.Complaint, Recipient: "al@example.org"}}))
	r := command(t, "", "tail", "--socket", socket)
	r.expect(t, 0, "", "")
	lines := strings.Split(strings.TrimRight(r.out, "\n"), "\n")
	if len(lines) != 2 || len([]rune(lines[0])) > columns {
		t.Fatalf("got\n%s", r.out)
	}
	if !regexp.MustCompile(`^\d\d:\d\d:\d\d queued   postfix      hard user_unknown      jo@example\.org  550 5\.1\.1 \?\[31mx+…$`).MatchString(lines[0]) {
		t.Errorf("got %q", lines[0])
	}
	if !regexp.MustCompile(`^\d\d:\d\d:\d\d sent     listmonk     complaint              al@example\.org$`).MatchString(lines[1]) {
		t.Errorf("got %q", lines[1])
	}
	r = command(t, "", "tail", "--json", "--socket", socket)
	r.expect(t, 0, `"module":"listmonk","outcome":"sent","event":{`, "")
	if strings.Count(r.out, "\n") != 2 {
		t.Errorf("as JSON:\n%s", r.out)
	}
}

// Ctrl-C ends it without a word; a daemon that goes away does not.
func TestTailEnds(t *testing.T) {
	t.Parallel()
	began := make(chan struct{})
	socket := daemon(t, agent.Calls.Tail.Answer(func(ctx context.Context, _ agent.LineFilter, _ io.Reader, reply func(agent.Line) error) error {
		close(began)
		<-ctx.Done()
		return nil
	}))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan result)
	go func() { ended <- commandIn(ctx, "", "tail", "--socket", socket) }()
	<-began
	cancel()
	if r := <-ended; r != (result{0, "", ""}) {
		t.Errorf("after Ctrl-C: %+v", r)
	}
	command(t, "", "tail", "--socket", daemon(t, failing(agent.Calls.Tail, "queue is closed"))).expect(t, exitFailure, "", "queue is closed")
	command(t, "", "tail", "--socket", "/nowhere/x.sock").expect(t, exitUnavailable, "", "")
}
