package control

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// socketPath gives the path of a socket that is not there yet: short enough for sun_path, 108 bytes.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "control")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "run", "control.sock")
}

// serveAnswers serves until the test ends, or until stop is called.
func serveAnswers(t *testing.T, answers ...Answer) (path string, stop func()) {
	t.Helper()
	path = socketPath(t)
	l, err := Listen(path, 0o660, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, answers); close(done) }()
	stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return path, stop
}

// dead leaves the socket of a killed daemon at path.
func dead(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

func TestListen(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	l, err := Listen(path, 0o660, "")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, p := range []struct {
		path string
		mode os.FileMode
	}{{path, 0o660 | os.ModeSocket}, {filepath.Dir(path), 0o755 | os.ModeDir}} {
		if info, err := os.Stat(p.path); err != nil || info.Mode() != p.mode {
			t.Errorf("%s: mode %v, want %v", p.path, info.Mode(), p.mode)
		}
	}
	if _, err := Listen(path, 0o660, ""); err == nil || !strings.Contains(err.Error(), "another bouncefeed answers there") {
		t.Errorf("a second daemon took the socket of a running one: %v", err)
	}
}

// A killed daemon leaves its socket behind: it is replaced.
func TestListenReplacesADeadSocket(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	dead(t, path)
	l, err := Listen(path, 0o660, "")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if c, err := net.Dial("unix", path); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
}

// What is no socket is never removed.
func TestListenLeavesOtherFilesAlone(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path, 0o660, ""); err == nil || !strings.HasPrefix(err.Error(), "control socket: ") {
		t.Errorf("got %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "mine" {
		t.Errorf("the file holds %q, %v", text, err)
	}
	if _, err := Listen(filepath.Join(path, "control.sock"), 0o660, ""); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("below a file: %v", err)
	}
	if _, err := Listen(filepath.Join(filepath.Dir(path), strings.Repeat("long", 30)), 0o660, ""); err == nil {
		t.Error("a path longer than an address holds was listened on")
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	path, stop := serveAnswers(t)
	stop()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
	l, err := Listen(path, 0o660, "")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := Serve(t.Context(), l, nil); err == nil || !strings.HasPrefix(err.Error(), "control socket: ") {
		t.Errorf("on a closed listener: %v", err)
	}
}

// get reads a path of the socket as curl --unix-socket does.
func get(t *testing.T, socket, path string) (status int, body string) {
	t.Helper()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", socket) }, DisableKeepAlives: true,
	}}
	resp, err := client.Get("http://bouncefeed" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestProfiles(t *testing.T) {
	t.Parallel()
	socket, _ := serveAnswers(t)
	for path, want := range map[string]string{
		"/debug/pprof/":                  "goroutine",
		"/debug/pprof/goroutine?debug=2": "control.Serve",
		"/debug/pprof/heap?debug=1":      "heap profile",
		"/debug/pprof/cmdline":           "control.test",
		"/debug/pprof/symbol":            "num_symbols",
	} {
		if status, body := get(t, socket, path); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d, %.200q, want %q in it", path, status, body, want)
		}
	}
	if status, body := get(t, socket, "/debug/pprof/heap"); status != 200 || !strings.HasPrefix(body, "\x1f\x8b") {
		t.Errorf("the heap's profile is no gzip: %d, %.20q", status, body)
	}
	if status, _ := get(t, socket, "/debug/pprof/nothing"); status != 404 {
		t.Errorf("a profile that is none: %d", status)
	}
}

// What an admin sees with curl.
func TestAnswerOnTheWire(t *testing.T) {
	t.Parallel()
	socket, _ := serveAnswers(t, add.Answer(answerAdd))
	for path, want := range map[string]string{
		"/add?args=" + `{"a":2,"b":3}`: `{"value":5}` + "\n" + `{"end":true}` + "\n",
		"/add":                         `{"value":0}` + "\n" + `{"end":true}` + "\n",
		"/add?args={":                  `{"error":"arguments of \"add\": unexpected end of JSON input","end":true}` + "\n",
		"/add?args=" + `{"a":-1}`:      `{"value":-1}` + "\n" + `{"error":"below zero","end":true}` + "\n",
	} {
		if status, body := get(t, socket, path); status != 200 || body != want {
			t.Errorf("%s: %d\n%s\nwant\n%s", path, status, body, want)
		}
	}
	if status, _ := get(t, socket, "/nothing"); status != 404 {
		t.Errorf("an unknown call: %d", status)
	}
}
