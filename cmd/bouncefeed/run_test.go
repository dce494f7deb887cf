package main

import (
	"context"
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
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was posted")
	}
	command(t, "", "status", "-c", cfg).expect(t, 0, "input postfix (logfile)", "")
	command(t, "", "dead", "list", "-c", cfg).expect(t, 0, "", "none\n")
	command(t, "", "held", "drop", "--all", "-c", cfg).expect(t, 0, "0 dropped\n", "")
	command(t, "", "held", "drop", "-c", cfg).expect(t, exitFailure, "", "name the events by their numbers, or say --all")
	command(t, "", "dead", "retry", "1", "--output", "nosuch", "-c", cfg).expect(t, exitFailure, "", `there is no output "nosuch"`)
	command(t, "", "deliver", "-c", cfg).expect(t, exitNoMessage, "", "")
	command(t, "x", "deliver", "-c", cfg).expect(t, exitTemporary, "", "no input \"\" with type: pipe")
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
	command(t, "", "run", "-c", "/nowhere/c.yaml").expect(t, exitConfig, "", "no such file")
	cfg, dir := site(t, "http://127.0.0.1:9/")
	if err := os.Mkdir(filepath.Join(dir, "queue.db"), 0o700); err != nil {
		t.Fatal(err)
	}
	command(t, "", "run", "-c", cfg).expect(t, exitFailure, "", "open queue ")
}
