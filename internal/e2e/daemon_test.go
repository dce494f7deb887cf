package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bouncefeed/internal/e2e/e2etest"
	"bouncefeed/internal/queue"
)

// daemon is bouncefeed as its unit starts it: its own user, group adm, readiness by sd_notify.
type daemon struct {
	dir      string        // its configuration, queue and socket
	ready    chan struct{} // one for each READY=1 it said
	receiver *e2etest.Receiver
	process  *process
	counted  queue.Counters // by the last requireAccounts
}

// daemonConfig is a complete configuration. Its blanks: the daemon's directory, the log, the receiver's URL, what to send.
const daemonConfig = `
inputs:
  maillog:
    type: logfile
    path: %[2]s
    start: beginning
    parser: postfix
outputs:
  listmonk:
    type: listmonk
    url: %[3]s
    username: bouncefeed
    password_file: %[1]s/token
    max_rate: 0
    send: [%[4]s]
queue:
  path: %[1]s/queue.db
control:
  socket: %[1]s/control.sock
log:
  level: debug
`

// Everything, and what is sent by default.
const (
	sendAll     = "hard, soft, complaint, sender_fault"
	sendDefault = "hard, soft, complaint"
)

// newDaemon writes a configuration; nothing runs yet.
func newDaemon(t *testing.T, r *e2etest.Receiver, log, send string) *daemon {
	t.Helper()
	return newDaemonNamed(t, r, "", daemonConfig, log, r.URL, send)
}

// newDaemonNamed is newDaemon for a test with several daemons, or with a configuration of its own. The first blank of
// that is the daemon's directory.
func newDaemonNamed(t *testing.T, r *e2etest.Receiver, name, configuration string, blanks ...any) *daemon {
	t.Helper()
	dir := filepath.Join("/var/lib/bouncefeed", strings.ReplaceAll(t.Name(), "/", "_")+name)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	written := fmt.Sprintf(configuration, append([]any{dir}, blanks...)...)
	if !strings.Contains(written, "guard:") { // hundreds that fail within a minute are what these tests are made of
		written += "\nguard: {enabled: false}\n"
	}
	writeFile(t, filepath.Join(dir, "config.yaml"), written)
	d := &daemon{dir: dir, receiver: r}
	d.addSecret(t, "token", e2etest.Token)
	if err := os.Chown(dir, daemonUID, daemonUID); err != nil {
		t.Fatal(err)
	}
	showIfFailed(t, filepath.Join(dir, "stderr"), 8000)
	d.ready = listenReady(t, filepath.Join(dir, "notify"))
	return d
}

// addSecret puts a file that only the daemon can read into its directory.
func (d *daemon) addSecret(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join(d.dir, name)
	writeFile(t, file, text+"\n")
	if err := errors.Join(os.Chown(file, daemonUID, daemonUID), os.Chmod(file, 0o400)); err != nil {
		t.Fatal(err)
	}
}

// listenReady is systemd's end of sd_notify. It reads all that is said: a full socket would block the daemon.
func listenReady(t *testing.T, path string) chan struct{} {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	ready, done := make(chan struct{}, 1000), make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			if strings.Contains(string(buf[:n]), "READY=1") {
				ready <- struct{}{}
			}
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return ready
}

// command is a bouncefeed process of the daemon's user.
func (d *daemon) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	group, err := user.LookupGroup(daemonGroup)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.ParseUint(group.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, args...)
	cmd.Dir = d.dir
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+filepath.Join(d.dir, "notify"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: daemonUID, Gid: daemonUID, Groups: []uint32{uint32(gid)}}}
	return cmd
}

// launch starts the daemon and does not wait for it.
func (d *daemon) launch(t *testing.T) {
	t.Helper()
	d.process = start(t, "bouncefeed", filepath.Join(d.dir, "stderr"), d.command(t, "run", "--config", filepath.Join(d.dir, "config.yaml")))
}

// start starts the daemon and waits for READY=1.
func (d *daemon) start(t *testing.T) {
	t.Helper()
	for len(d.ready) > 0 { // said by earlier lives
		<-d.ready
	}
	d.launch(t)
	select {
	case <-d.ready:
	case <-d.process.done:
		t.Fatalf("the daemon ended at its start: %v\n%s", d.process.cmd.ProcessState, tail(d.process.log, 4000))
	case <-time.After(e2etest.Patience):
		t.Fatalf("the daemon did not say READY=1\n%s", tail(d.process.log, 4000))
	}
}

// stop is SIGTERM; the daemon must end by itself, with exit code 0. Up to then, all is accounted for.
func (d *daemon) stop(t *testing.T) {
	t.Helper()
	d.requireAccounts(t)
	d.process.end(t)
	if code := d.process.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the daemon ended with %v after SIGTERM\n%s", d.process.cmd.ProcessState, tail(d.process.log, 4000))
	}
}

// status is what the checks need of `bouncefeed status --json`.
type status struct {
	Inputs []struct {
		Name, Type, Problem      string
		Lag                      int64
		Read, Queued, Held, Gaps uint64
		Ignored, Refused         map[string]uint64
	}
	Outputs []struct {
		Name                string
		Pending, Sent, Dead uint64
		NotSent             uint64 `json:"not_sent"`
		Problem             string
	}
	Queue struct {
		Held     uint64 // now; an input's Held is all that ever were
		Counters queue.Counters
	}
}

func (d *daemon) status(t *testing.T) status {
	t.Helper()
	out, err := d.command(t, "status", "--json", "--socket", filepath.Join(d.dir, "control.sock")).Output()
	if err != nil && len(out) == 0 { // else it tells a problem by its exit code
		t.Fatalf("bouncefeed status: %v\n%s", err, tail(d.process.log, 4000))
	}
	var s status
	if err := json.Unmarshal(out, &s); err != nil {
		t.Fatalf("bouncefeed status: %v\n%s", err, out)
	}
	return s
}

// waitIdle waits until everything is read and everything sent.
func (d *daemon) waitIdle(t *testing.T) status {
	t.Helper()
	var s status
	waitFor(t, "the daemon has read and sent everything", func() bool {
		s = d.status(t)
		return s.Inputs[0].Read > 0 && (s.Inputs[0].Lag == 0 || s.Inputs[0].Type == "webhook") && s.Outputs[0].Pending == 0
	})
	return s
}
