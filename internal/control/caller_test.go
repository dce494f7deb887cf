package control

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

const stranger = 12345

// dialAs opens the socket as another user does.
func dialAs(t *testing.T, uid int, socket string) net.Conn {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can be another user")
	}
	var conn net.Conn
	var err error
	done := make(chan bool)
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); e != 0 {
			err = e
			return
		}
		conn, err = net.Dial("unix", socket)
	}()
	if <-done; err != nil {
		t.Fatal(err)
	}
	return conn
}

// askAs makes a call, or gets a path, as that user.
func askAs(t *testing.T, uid int, socket, path string) (status int, body string) {
	t.Helper()
	conn := dialAs(t, uid, socket)
	client := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }, DisableKeepAlives: true}}
	resp, err := client.Post("http://bouncefeed/"+path, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(bytes.TrimSpace(text))
}

func TestOthersMayOnlyLook(t *testing.T) {
	t.Parallel()
	look, change := Call[None, int]{Name: "look", Right: Anyone}, Call[None, int]{Name: "change"}
	one := func(_ context.Context, _ None, _ io.Reader, reply func(int) error) error { return reply(1) }
	socket, _ := serveAnswers(t, look.Answer(one), change.Answer(one))
	if n, err := change.Ask(t.Context(), socket, None{}, nil); n != 1 || err != nil {
		t.Errorf("the daemon's own user: %d, %v", n, err)
	}
	let(t, socket)
	if status, body := askAs(t, stranger, socket, "look"); status != 200 || !strings.HasPrefix(body, `{"value":1}`) {
		t.Errorf("looking: %d %s", status, body)
	}
	for _, path := range []string{"change", "debug/pprof/heap", "debug/pprof/"} {
		if status, body := askAs(t, stranger, socket, path); status != 403 || !strings.Contains(body, "only root may ask for ") || !strings.Contains(body, "not user 12345") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

// let opens the socket to everybody.
func let(t *testing.T, socket string) {
	t.Helper()
	for path, mode := range map[string]os.FileMode{filepath.Dir(filepath.Dir(socket)): 0o755, socket: 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
}

// A socket for strangers has what it is for, and nothing beside.
func TestServePublic(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	l, err := Listen(path, 0o666, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- ServePublic(ctx, l, []Answer{add.Answer(answerAdd)}) }()
	if status, body := get(t, path, "/debug/pprof/heap"); status != 404 {
		t.Errorf("%d %s", status, body)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestListenForAGroup(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root gives files to any group")
	}
	path := socketPath(t)
	l, err := Listen(path, 0o620, "daemon")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o620 || info.Sys().(*syscall.Stat_t).Gid != 1 {
		t.Errorf("%v %+v", err, info)
	}
	if _, err := Listen(path+"2", 0o660, "no-such-group"); err == nil || !strings.Contains(err.Error(), "no-such-group") {
		t.Errorf("%v", err)
	}
}

// A user whose bodies never end is in nobody else's way.
func TestBodiesThatDawdle(t *testing.T) {
	t.Parallel()
	take := Call[None, int]{Name: "take", Right: Anyone, Body: 100}
	socket, _ := serveAnswers(t, take.Answer(func(_ context.Context, _ None, body io.Reader, reply func(int) error) error {
		n, err := io.Copy(io.Discard, body)
		if err != nil {
			return err
		}
		return reply(int(n))
	}))
	let(t, socket)
	for range 2 * maxAtOnce {
		conn := dialAs(t, stranger, socket)
		defer conn.Close()
		if _, err := io.WriteString(conn, "POST /take?args={} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n1"); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := take.Ask(t.Context(), socket, None{}, strings.NewReader("12345")); n != 5 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}
