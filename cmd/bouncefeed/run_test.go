package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/control"
)

// The daemon as systemd starts it: it delivers, answers the other commands, and ends at SIGTERM with exit code 0.
func TestRun(t *testing.T) {
	posted := make(chan string, 16)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { posted <- r.Method + " " + r.URL.Path }))
	defer receiver.Close()
	cfg, dir := site(t, receiver.URL+"/bounce")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan result, 1)
	go func() { ended <- commandIn(ctx, "", "run", "-c", cfg) }()
	select {
	case post := <-posted:
		if post != "POST /bounce" {
			t.Errorf("%s", post)
		}
	case r := <-ended:
		t.Fatalf("ended: %+v", r)
	case <-time.After(2 * time.Minute):
		t.Fatal("nothing was posted")
	}
	command(t, "", "status", "-c", cfg).expect(t, 0, "input postfix (logfile)", "")
	command(t, "", "dead", "list", "-c", cfg).expect(t, 0, "", "none\n")
	command(t, "", "held", "drop", "--all", "-c", cfg).expect(t, 0, "0 dropped\n", "")
	command(t, "", "held", "drop", "-c", cfg).expect(t, exitFailure, "", "name the events by their numbers, or say --all")
	command(t, "", "dead", "retry", "1", "--output", "nosuch", "-c", cfg).expect(t, exitFailure, "", `there is no output "nosuch"`)
	command(t, "", "deliver", "-c", cfg).expect(t, exitNoMessage, "", "")
	command(t, "x", "deliver", "-c", cfg).expect(t, exitTemporary, "", "an input that has type: pipe")
	command(t, "", "backfill", "-c", cfg, filepath.Join(dir, "mail.log")).expect(t, 0, "", "1 reported before")
	second := command(t, "", "run", "-c", cfg)
	second.expect(t, exitFailure, "", "another bouncefeed holds it")
	stop()
	r := <-ended
	r.expect(t, 0, "", "msg=running")
	r.expect(t, 0, "", "msg=stopped")
	if strings.Contains(r.err, "example.org") {
		t.Errorf("an address is in the log:\n%s", r.err)
	}
	if err := agent.Calls.Status.Do(context.Background(), filepath.Join(dir, "control.sock"), control.None{}, nil); err == nil {
		t.Error("the socket answers still")
	}
}

// What no restart cures ends with 78, which systemd's RestartPreventExitStatus knows.
func TestRunWithAWrongConfiguration(t *testing.T) {
	t.Parallel()
	command(t, "", "run", "-c", write(t, "c.yaml", "inputs: {a: {type: logfile}}\n")).expect(t, exitConfig, "", " mistakes in the configuration")
	command(t, "", "run", "-c", "/nowhere/c.yaml").expect(t, exitConfig, "", "there is no configuration at")
	cfg, dir := site(t, "http://127.0.0.1:9/")
	if err := os.Mkdir(filepath.Join(dir, "queue.db"), 0o700); err != nil {
		t.Fatal(err)
	}
	command(t, "", "run", "-c", cfg).expect(t, exitConfig, "", "queue.path: is a directory: name a file in it")
}

// A mail server's pipe, the daemon and an output: what deliver hands in is told by tail and status, and arrives.
func TestDeliverToTheDaemon(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := write(t, "c.yaml", fmt.Sprintf(`
inputs: {bounces: {type: pipe, trust: any}}
outputs: {file: {type: file, path: %s/out.jsonl}}
queue: {path: %s/queue.db}
control: {socket: %s/control.sock}
`, dir, dir, dir))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan result, 1)
	go func() { ended <- commandIn(ctx, "", "run", "-c", cfg) }()
	socket := filepath.Join(dir, "control.sock")
	until(t, "the daemon answers", func() bool { return command(t, "", "status", "--socket", socket).code == 0 })
	tailed := make(chan result, 1)
	go func() { tailed <- commandIn(ctx, "", "tail", "--json", "--socket", socket) }()

	messages := filepath.Join(dir, "deliver.sock")
	if info, err := os.Stat(messages); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("%v, %v", info, err)
	}
	err := agent.Calls.Backfill.Do(t.Context(), messages, control.None{}, strings.NewReader("{}"))
	if err == nil || !strings.Contains(err.Error(), `does not know "backfill"`) {
		t.Errorf("the socket for messages takes events: %v", err)
	}
	command(t, bounceMail, "deliver", "--socket", socket).expect(t, exitTemporary, "", `does not know "deliver"`)
	for range 2 { // a mail server that was killed tries again
		command(t, bounceMail, "deliver", "--config", cfg).expect(t, 0, "", "")
	}
	command(t, "no message at all", "deliver", "--input", "bounces", "--socket", messages).expect(t, 0, "", "")
	command(t, bounceMail, "deliver", "--input", "other", "--socket", messages).expect(t, exitTemporary, "", `no input "other" with type: pipe`)
	until(t, "it is delivered", func() bool {
		return strings.Contains(command(t, "", "status", "--socket", socket).out, "sent 1, waiting 0")
	})
	command(t, "", "status", "--socket", socket).expect(t, 0, "  read 3 = queued 1 + held 0 + ignored 1 + refused 1\n", "")
	out, err := os.ReadFile(filepath.Join(dir, "out.jsonl"))
	if err != nil || strings.Count(string(out), "\n") != 1 || !strings.Contains(string(out), `"recipient":"jo@example.org"`) {
		t.Errorf("delivered: %s, %v", out, err)
	}
	stop()
	if r := <-ended; r.code != 0 {
		t.Errorf("%+v", r)
	}
	if r := <-tailed; r.code != 0 && r.code != exitFailure {
		t.Errorf("tail: %+v", r)
	}
}

// until polls for a state; the test fails if it does not come.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}
