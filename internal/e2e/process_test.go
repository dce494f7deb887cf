package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bouncefeed/internal/e2e/e2etest"
)

// process is a server the test started. It is ended, by its own pid, at the latest when the test ends.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string        // file with its stdout and stderr
	done chan struct{} // closed when it has ended
	stop []string      // the command that asks it to stop; nil: SIGTERM does
}

// start runs cmd; what it writes is appended to the file log.
func start(t *testing.T, name, log string, cmd *exec.Cmd) *process {
	t.Helper()
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	p := &process{name: name, cmd: cmd, log: log, done: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // how it ended is in cmd.ProcessState
	}()
	t.Cleanup(func() { p.end(t) })
	return p
}

// startServer is start for one of the servers around the daemon. It must not end before the test does.
func startServer(t *testing.T, name, program string, args ...string) *process {
	t.Helper()
	log := filepath.Join(t.TempDir(), name)
	showIfFailed(t, log, 4000)
	p := start(t, name, log, exec.Command(program, args...))
	t.Cleanup(func() {
		if !p.running() {
			t.Errorf("%s ended before its time: %v", name, p.cmd.ProcessState)
		}
	})
	return p
}

// showIfFailed prints the last n bytes of a file when the test has failed.
func showIfFailed(t *testing.T, file string, n int) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("--- %s:\n%s", file, tail(file, n))
		}
	})
}

// running says whether p has not ended yet.
func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// end asks p to stop and, if it does not within e2etest.Patience, kills it and fails the test.
func (p *process) end(t *testing.T) {
	t.Helper()
	if !p.running() {
		return
	}
	if p.stop == nil {
		p.signal(t, syscall.SIGTERM)
	} else if err := command(p.stop[0], p.stop[1:]...); err != nil {
		t.Error(err)
	}
	select {
	case <-p.done:
	case <-time.After(e2etest.Patience):
		p.kill(t)
		t.Errorf("%s did not stop when asked to", p.name)
	}
}

// kill is SIGKILL, the crash.
func (p *process) kill(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGKILL)
	<-p.done
}

func (p *process) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal %s: %v", p.name, err)
	}
}

// waitFor polls until ready is true; when patience ends, so does the test.
func waitFor(t *testing.T, what string, ready func() bool) {
	t.Helper()
	e2etest.WaitFor(t, 20*time.Millisecond, what, ready)
}

// waitSteady is waitFor for what has to stay true for a while: what moves between two places is in neither for a moment.
func waitSteady(t *testing.T, what string, ready func() bool) {
	t.Helper()
	times := 0
	waitFor(t, what, func() bool {
		if times++; !ready() {
			times = 0
		}
		return times == 20
	})
}

// readFile is what a file holds.
func readFile(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.TrimLeft(text, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
}

// tail is the end of a file, at most n bytes, for a failure's report.
func tail(path string, n int) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	if len(data) > n {
		_, rest, _ := strings.Cut(string(data[len(data)-n:]), "\n")
		return "[…]\n" + rest
	}
	return string(data)
}
