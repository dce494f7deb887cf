package agent

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/config"
)

// watched is an agent at work, until the test ends, that reads dir/log and listens at dir/web.
func watched(t *testing.T, dir string) *Agent {
	t.Helper()
	cfg, err := config.Parse("c.yaml", fmt.Appendf(nil, `
inputs: {log: {type: logfile, path: %[1]s/log, parser: postfix}}
outputs: {away: {type: webhook, url: "http://127.0.0.1:9/"}}
queue: {path: %[1]s/q.db}
control: {socket: %[1]s/s}
web: {listen: "unix:%[1]s/web"}
`, dir))
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(cfg, "", "1", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	started, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- a.Run(ctx, func() { close(started) }) }()
	select {
	case <-started:
	case err := <-done:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return a
}

// asked is the answer of the listener at dir/web.
func asked(t *testing.T, dir, path string) *http.Response {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", filepath.Join(dir, "web"))
	}}}
	resp, err := client.Get("http://localhost" + path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// Live are the loops, ready the sources and the queue. When the service is said to have started, both are answered.
func TestLiveAndReady(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	if err := os.WriteFile(log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a := watched(t, dir)
	expect := func(when string, live, ready int) {
		t.Helper()
		if l, r := asked(t, dir, "/live").StatusCode, asked(t, dir, "/ready").StatusCode; l != live || r != ready {
			t.Errorf("%s: live %d, ready %d, not %d, %d: %v, %v", when, l, r, live, ready, a.Alive(), a.Ready())
		}
	}
	expect("at work", 200, 200)
	a.outputs[0].delivery.state.fail(fmt.Errorf("503"))
	expect("a receiver is away", 200, 200)
	a.maintenance.fail(fmt.Errorf("no space left on device"))
	expect("the disk is full", 200, 503)
	if st, err := a.Status(); err != nil || !strings.Contains(fmt.Sprint(st.Problems), "maintenance: no space left on device") {
		t.Errorf("%+v, %v", st.Problems, err)
	}
	a.maintenance.succeed()
	a.inputs[0].state.fail(fmt.Errorf("permission denied"))
	expect("a source can't be read", 200, 503)
	a.inputs[0].state.succeed()
	a.beat.Store(time.Now().Add(-time.Hour).UnixNano())
	expect("a loop hangs", 503, 503)
	a.beat.beat()
	a.running.Store(false)
	expect("starting", 200, 503)
}

// A source that is not there is none that is open.
func TestNotReadyWithoutTheSource(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := watched(t, dir)
	eventually(t, "not ready", func() bool {
		err := a.Ready()
		return err != nil && strings.HasPrefix(err.Error(), "input log: ")
	})
}

// Who can't look on is a problem, and no reason to carry no bounces.
func TestWebAddressInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, "web"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a := watched(t, dir)
	st, err := a.Status()
	if err != nil || !strings.Contains(fmt.Sprint(st.Problems), "nobody can look on by the listener web: listen: ") || st.State != StateWarning {
		t.Errorf("%+v, %v", st, err)
	}
}

func TestProbeTellsNothing(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	probe(func() error { return fmt.Errorf("input jo@example.org: no") }).ServeHTTP(w, httptest.NewRequest("GET", "/ready", nil))
	if w.Code != 503 || strings.Contains(w.Body.String(), "jo") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
