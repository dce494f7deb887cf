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
)

// A changed configuration is used without a restart, whole, and no line is lost meanwhile; one with mistakes, or with which
// nothing starts, leaves the daemon as it was.
func TestReload(t *testing.T) {
	posted := make(chan string, 64)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { posted <- r.URL.Path }))
	defer receiver.Close()
	dir := t.TempDir()
	log := filepath.Join(dir, "mail.log")
	config := func(path, more string) string {
		return fmt.Sprintf(`inputs:
  postfix: {type: logfile, path: %s, parser: postfix, start: beginning}
%soutputs:
  hook: {type: webhook, url: "%s%s"}
queue: {path: %s/queue.db}
control: {socket: %s/control.sock}
`, log, more, receiver.URL, path, dir, dir)
	}
	bounce := func(n int) string {
		return strings.NewReplacer("BE00A4F85", fmt.Sprintf("BE00A4F%02d", n), "jo@example.org", fmt.Sprintf("jo%d@example.org", n)).Replace(postfixLog)
	}
	add := func(n int) {
		t.Helper()
		f, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err == nil {
			_, err = f.WriteString(bounce(n))
		}
		if err != nil || f.Close() != nil {
			t.Fatal(err)
		}
	}
	arrives := func(want string) {
		t.Helper()
		select {
		case got := <-posted:
			if got != want {
				t.Errorf("posted to %s, want %s", got, want)
			}
		case <-time.After(2 * time.Minute):
			t.Fatalf("nothing came to %s", want)
		}
	}
	cfg := write(t, "c.yaml", config("/one", ""))
	change := func(text string) {
		t.Helper()
		if err := os.WriteFile(cfg, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command(t, "", "reload", "-c", cfg).expect(t, exitUnavailable, "", "is not running")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan result, 1)
	go func() { ended <- commandIn(ctx, "", "run", "-c", cfg) }()
	until(t, "the daemon answers", func() bool { return command(t, "", "status", "-c", cfg).code == 0 })
	add(1)
	arrives("/one")

	change(config("/two", ""))
	for n := range 5 {
		add(10 + n) // in between
	}
	command(t, "", "reload", "-c", cfg).expect(t, 0, "reloaded: 1 inputs, 1 outputs\n", "")
	add(2)
	for got := 0; got < 6; got++ {
		if p := <-posted; p != "/one" && p != "/two" {
			t.Error(p)
		}
	}

	change(config("/three", "  nothing: {type: logfle}\n"))
	command(t, "", "reload", "-c", cfg).expect(t, exitConfig, "", `unknown type "logfle"`)
	add(3)
	arrives("/two")

	change(strings.Replace(config("/four", ""), dir+"/queue.db", "/proc/nowhere/queue.db", 1))
	command(t, "", "reload", "-c", cfg, "--socket", filepath.Join(dir, "control.sock")).expect(t, exitFailure, "", "the changed configuration does not work, the one before is in use: open queue")
	command(t, "", "status", "--socket", filepath.Join(dir, "control.sock")).expect(t, exitFailure, "PROBLEM since ", "1 problem")
	add(4)
	arrives("/two")
	stop()
	r := <-ended
	r.expect(t, 0, "", "going back to the one before")
}
