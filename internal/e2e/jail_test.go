package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"bouncefeed/internal/e2e/e2etest"
)

// workEnv tells the test binary that it runs inside a jail, and where its files are; treeEnv, which Debian it is to be.
const (
	workEnv = "BOUNCEFEED_E2E_WORK"
	treeEnv = "BOUNCEFEED_E2E_TREE"
)

// prison makes jails.
type prison struct {
	ctx     context.Context // its end ends them all
	dir     string          // of their files
	tree    string          // the Debian that they run
	missing error           // why there can be none here
}

// jailed says whether this test runs in a jail. If not, it runs the test again in one of its own, beside other tests, and
// takes over how that ended: then there is nothing left to do. Where servers or the files wanted are missing the test is
// skipped, loudly; under CI it fails.
func jailed(t *testing.T, wanted ...string) bool {
	t.Helper()
	if outside == nil {
		return true
	}
	missing := outside.missing
	for _, file := range wanted {
		if _, err := os.Stat(filepath.Join(outside.tree, file)); err != nil {
			missing = errors.Join(missing, err)
		}
	}
	if missing != nil {
		e2etest.Skip(t, missing.Error())
	}
	t.Parallel()
	outside.run(t)
	return false
}

// run runs t again as process 1 of namespaces of its own: whatever is left when it ends, or when we are killed, the
// kernel ends too.
func (p *prison) run(t *testing.T) {
	t.Helper()
	work, err := os.MkdirTemp(p.dir, "jail-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(work)
	temp := filepath.Join(work, "tmp")
	if err := errors.Join(os.Mkdir(temp, 0o755), os.Chmod(work, 0o755)); err != nil {
		t.Fatal(err)
	}
	inside := exec.CommandContext(p.ctx, "/proc/self/exe", "-test.run="+pattern(t.Name()), "-test.v=true", "-test.timeout="+timeLeft(t).String())
	inside.Args[0] = os.Args[0]
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "TZ=") && !strings.HasPrefix(kv, "NOTIFY_SOCKET=") && !strings.HasPrefix(kv, "MAIL_CONFIG=") {
			inside.Env = append(inside.Env, kv)
		}
	}
	inside.Env = append(inside.Env, workEnv+"="+work, treeEnv+"="+p.tree, binaryEnv+"="+binary, "TMPDIR="+temp, "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
	inside.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
	}
	runtime.LockOSThread() // Pdeathsig counts the death of the thread that started the child
	defer runtime.UnlockOSThread()
	out, err := inside.CombinedOutput()
	t.Logf("in its jail:\n%s", marks.ReplaceAll(bytes.TrimSpace(out), nil))
	if err != nil {
		t.Errorf("in its jail: %v", err)
	}
}

// marks are what a test binary writes for `go test` to read. Ours alone may do so.
var marks = regexp.MustCompile(`(?m)^(=== .*\n| *--- )`)

// pattern is the -run that chooses the test called name.
func pattern(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = "^" + regexp.QuoteMeta(part) + "$"
	}
	return strings.Join(parts, "/")
}

// timeLeft is how long a jail may take, 0 for ever: it should tell where it hangs before our own time is over.
func timeLeft(t *testing.T) time.Duration {
	deadline, ok := t.Deadline()
	if !ok {
		return 0
	}
	return max(time.Second, time.Until(deadline)-30*time.Second)
}

// Who is who on the jail's loopback device (RFC 5737 addresses).
const (
	nameServer  = "198.51.100.53"
	sinkAddr    = "198.51.100.25" // the MX of every test domain
	nobodyAddr  = "198.51.100.99" // an address where nothing listens
	hostName    = "mx1"
	domain      = "sender.test"
	timeZone    = "/usr/share/zoneinfo/Asia/Kolkata" // not UTC, half an hour off: mistakes show
	daemonUID   = 790                                // the daemon runs as a system user that can read mail.log by group only
	daemonGroup = "adm"
)

// privateDirs start out empty, except /etc, which is a copy.
var privateDirs = []string{"/etc", "/run", "/var/log", "/var/lib", "/var/spool", "/var/mail"}

// enterJail makes this process's new namespaces habitable: the tree as the root, private directories on the disk of work (so that inodes are
// reused as on a real machine, which tmpfs does not do), a /dev whose log socket is ours, loopback addresses.
func enterJail(work string) error {
	if os.Getpid() != 1 {
		return errors.New("not process 1 of a namespace: " + workEnv + " is the test's own variable")
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := enterTree(os.Getenv(treeEnv), work); err != nil {
		return err
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	for _, dir := range privateDirs {
		own := filepath.Join(work, dir)
		if err := os.MkdirAll(own, 0o755); err != nil {
			return err
		}
		if dir == "/etc" {
			if err := command("cp", "-a", "/etc/.", own); err != nil {
				return err
			}
		}
		if err := syscall.Mount(own, dir, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount private %s: %w", dir, err)
		}
	}
	for _, step := range []func() error{func() error { return privateDev(filepath.Join(work, "dev")) }, identity, loopback} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// enterTree makes a Debian of ours the root; what is written to it goes to work. Of the machine, only its devices and the
// directory of the jails stay in sight.
func enterTree(tree, work string) error {
	root, jails := filepath.Join(work, "root"), filepath.Dir(work)
	options := "lowerdir=" + tree
	for _, dir := range []string{"upperdir", "workdir"} {
		options += "," + dir + "=" + filepath.Join(work, dir)
		if err := os.Mkdir(filepath.Join(work, dir), 0o755); err != nil {
			return err
		}
	}
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount("overlay", root, "overlay", 0, options); err != nil {
		return fmt.Errorf("mount an overlay over %s: %w", tree, err)
	}
	for _, dir := range []string{"/dev", jails} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return err
		}
		if err := syscall.Mount(dir, filepath.Join(root, dir), "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s in the tree: %w", dir, err)
		}
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := syscall.PivotRoot(".", "."); err != nil { // the old root lies over the new one, until it goes
		return fmt.Errorf("change the root: %w", err)
	}
	if err := syscall.Unmount(".", syscall.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the old root: %w", err)
	}
	return os.Chdir("/")
}

// privateDev mounts a /dev with the devices programs expect and room for a log socket.
func privateDev(own string) error {
	if err := os.Mkdir(own, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount("tmpfs", own, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("mount a new /dev: %w", err)
	}
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		node := filepath.Join(own, name)
		if err := os.WriteFile(node, nil, 0o666); err != nil {
			return err
		}
		if err := syscall.Mount("/dev/"+name, node, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount /dev/%s: %w", name, err)
		}
	}
	for name, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"} {
		if err := os.Symlink(target, filepath.Join(own, name)); err != nil {
			return err
		}
	}
	if err := os.Mkdir(filepath.Join(own, "shm"), 0o1777); err != nil {
		return err
	}
	if err := syscall.Mount(own, "/dev", "", syscall.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move the new /dev in place: %w", err)
	}
	return nil
}

// identity makes the machine mx1.sender.test, in India, with our name server.
func identity() error {
	if err := syscall.Sethostname([]byte(hostName)); err != nil {
		return err
	}
	for file, text := range map[string]string{
		"/etc/hostname":    hostName + "\n",
		"/etc/hosts":       "127.0.0.1 localhost\n127.0.1.1 " + hostName + "." + domain + " " + hostName + "\n",
		"/etc/resolv.conf": "nameserver " + nameServer + "\noptions timeout:1 attempts:2\n",
	} {
		if err := os.RemoveAll(file); err != nil { // it may be a symlink into the machine's /run
			return err
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := os.RemoveAll("/etc/localtime"); err != nil {
		return err
	}
	return os.Symlink(timeZone, "/etc/localtime")
}

func loopback() error {
	if err := command("ip", "link", "set", "lo", "up"); err != nil {
		return err
	}
	for _, addr := range []string{nameServer, sinkAddr, nobodyAddr} {
		if err := command("ip", "address", "add", addr+"/32", "dev", "lo"); err != nil {
			return err
		}
	}
	return nil
}

// command runs a program to its end; what it printed is in the error.
func command(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
