package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/control"
)

// A mail server throws a message away at exit code 0 only.
func TestDeliver(t *testing.T) {
	t.Parallel()
	var input, message string
	socket := daemon(t, agent.Calls.Deliver.Answer(func(_ context.Context, args agent.DeliverArgs, body io.Reader, _ func(control.None) error) error {
		text, err := io.ReadAll(body)
		input, message = args.Input, string(text)
		return err
	}))
	large := "From: x\n\n" + strings.Repeat("line\n", 200_000)
	for _, in := range []string{"From MAILER-DAEMON\nSubject: Undelivered\n\nbody \xff\x00\n", large} {
		if r := command(t, in, "deliver", "--socket", socket); r != (result{0, "", ""}) || message != in || input != "" {
			t.Errorf("%+v, input %q, %d of %d bytes", r, input, len(message), len(in))
		}
	}
	command(t, "x", "deliver", "--input", "bounces", "--socket", socket).expect(t, 0, "", "")
	if input != "bounces" {
		t.Errorf("for input %q", input)
	}
}

// Whatever is wrong, with the daemon, the configuration or the words, the mail server must not lose the message.
func TestDeliverKeepsTheMessage(t *testing.T) {
	t.Parallel()
	broken := write(t, "c.yaml", "control: [\n")
	for _, c := range []struct {
		args, in string
		code     int
		want     string
	}{
		{"deliver --socket /nowhere/control.sock", "x", exitTemporary, "bouncefeed: bouncefeed is not running"},
		{"deliver --socket " + daemon(t, failing(agent.Calls.Deliver, "the queue is full")), "x", exitTemporary, "bouncefeed: the queue is full"},
		{"deliver --socket " + daemon(t), "x", exitTemporary, "is it an older version?"},
		{"deliver --config " + broken, "x", exitTemporary, broken},
		{"deliver --config /nowhere/c.yaml", "x", exitTemporary, "no such file"},
		{"deliver --socket /nowhere/control.sock", "", exitNoMessage, "there was no message"},
		{"deliver jo@example.org", "x", exitDeliverUsage, `deliver takes no argument "jo@example.org"`},
		{"deliver --inptu x", "x", exitDeliverUsage, "unknown flag: --inptu (see 'bouncefeed deliver --help')"},
	} {
		command(t, c.in, strings.Fields(c.args)...).expect(t, c.code, "", c.want)
	}
}

// A message whose end never comes, or a daemon that takes its time, is for later too.
func TestDeliverGivesUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	socket := daemon(t, agent.Calls.Deliver.Answer(func(answering context.Context, _ agent.DeliverArgs, _ io.Reader, _ func(control.None) error) error {
		cancel()
		<-answering.Done()
		return nil
	}))
	if r := commandIn(ctx, "x", "deliver", "--socket", socket); r.code != exitTemporary {
		t.Errorf("%+v", r)
	}
	if err := temporary(nil); err != nil {
		t.Error(err)
	}
	if err := temporary(errors.New("x")); exitCode(err) != exitTemporary || describe(err) != "bouncefeed: x" {
		t.Errorf("%v", err)
	}
}
