// Package debian tests the Debian package where it is meant to live: in a booted Debian with systemd, rsyslog and Postfix
// as the distribution ships them, in a container. That needs root and the trees that packaging/test-root.sh prepares;
// without them the test is skipped, or fails where CI is set.
//
// What is installed and built beforehand, packaging/e2e-prepare.sh does: `make e2e` runs it.
//
//	BOUNCEFEED_E2E_DEBS=dist/e2e   where the packages are that are tested, of the versions 0.0.1 and 0.0.2
//	BOUNCEFEED_E2E_SUITES=trixie   the releases to test on; default "bookworm trixie"
package debian

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bouncefeed/internal/e2e/e2etest"
)

// debian is a Debian in a container of its own: its own network, and once booted systemd as PID 1. Its disk is an
// overlay over the tree that packaging/test-root.sh keeps, and outlives power cuts.
type debian struct {
	t      *testing.T
	host   string // the tree that systemd-nspawn runs in
	base   string // the tree that it boots
	disk   string // what was written over both
	group  string // its control group's name
	leader int    // the container's PID 1 as seen from here
	ended  <-chan struct{}
}

// newDebian prepares a switched-off Debian of a suite. Where that is impossible the test is skipped, or fails in CI.
func newDebian(t *testing.T, suite string) *debian {
	t.Helper()
	host, err := e2etest.Tree("servers")
	if err != nil {
		e2etest.Skip(t, err.Error())
	}
	base, err := e2etest.Tree(suite)
	if err != nil {
		e2etest.Skip(t, err.Error())
	}
	d := &debian{t: t, host: host, base: base, disk: t.TempDir(), group: fmt.Sprintf("%s%d-%s", groupPrefix, os.Getpid(), suite)}
	t.Cleanup(d.removeGroup)
	return d
}

// enterHost makes an overlay over the tree $1 the root; what is written goes to the directory $3, of which share is there
// as /share.
const enterHost = `set -e
host=$1 base=$2 disk=$3; shift 3
cd "$disk"
mkdir -p upper work share
mkdir $$ && cd $$ && mkdir host upper work
mount -t overlay overlay -o "lowerdir=$host,upperdir=upper,workdir=work" host
cd host
mkdir share
for dir in proc sys dev; do mount --rbind /$dir $dir; done
mount --bind "$disk/share" share
mount -t tmpfs tmpfs run
printf '%032x\n' $$ >etc/machine-id
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/root TMPDIR=/tmp
`

// changeRoot is the last that enterHost's caller does outside.
const changeRoot = `
pivot_root . .
umount -l .
`

// bootScript has systemd-nspawn boot the tree $2, in an overlay, too. systemd wants a control group that is nobody
// else's, $4: below ours, where systemd looks for them.
const bootScript = enterHost + `
mount -t overlay overlay -o "lowerdir=$base,upperdir=$disk/upper,workdir=$disk/work" mnt
mkdir run/systemd
for dir in $1; do mkdir -p "$dir"; echo $$ >"$dir/cgroup.procs"; done
shift
` + changeRoot + `
exec chroot . systemd-nspawn -q -D /mnt --machine="bouncefeed-$$" --private-network --register=no --keep-unit \
	--resolv-conf=off --console=pipe "$@"`

// groups are the directories of the container's control group.
func (d *debian) groups() (dirs []string) {
	ours, _ := os.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(ours)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // 0::/user.slice or 9:name=systemd:/
		if len(parts) != 3 {
			continue
		}
		for _, mount := range map[string][]string{"": {"unified", "."}, "name=systemd": {"systemd"}}[parts[1]] {
			dir := filepath.Join("/sys/fs/cgroup", mount, parts[2])
			if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err == nil {
				dirs = append(dirs, filepath.Join(dir, d.group))
				break
			}
		}
	}
	return dirs
}

// removeGroup removes what systemd has left of the control group, once nothing runs in it; and of those whose test was
// killed.
func (d *debian) removeGroup() {
	for _, ours := range d.groups() {
		all, err := filepath.Glob(filepath.Join(filepath.Dir(ours), groupPrefix+"*"))
		if err != nil {
			d.t.Error(err)
		}
		for _, top := range all {
			pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(top), groupPrefix), "-")
			if _, err := os.Stat("/proc/" + pid); top == ours || err != nil {
				removeDirs(top)
			}
		}
	}
}

const groupPrefix = "bouncefeed-test-" // then the test's process id

// removeDirs removes directories that have no files but the kernel's.
func removeDirs(top string) {
	var dirs []string
	_ = filepath.WalkDir(top, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	for _, dir := range slices.Backward(dirs) {
		_ = os.Remove(dir) // in use: the next test's end removes it
	}
}

func (d *debian) nspawn(args ...string) *exec.Cmd {
	return d.unshared(bootScript, append([]string{strings.Join(d.groups(), " ")}, args...)...)
}

func (d *debian) unshared(script string, args ...string) *exec.Cmd {
	args = append([]string{"-m", "--propagation", "private", "bash", "-c", script, "debian", d.host, d.base, d.disk}, args...)
	cmd := exec.Command("unshare", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

// beside runs a shell script in the servers' tree, with what builds and judges packages; /share is share of the disk.
func (d *debian) beside(script string) string {
	d.t.Helper()
	out, err := d.unshared(enterHost+changeRoot+`exec chroot . sh -c "$1"`, script).CombinedOutput()
	if err != nil {
		d.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

// share copies files of ours to where beside sees them, and gives the directory's path here.
func (d *debian) share(files ...string) string {
	d.t.Helper()
	for _, file := range files {
		d.copyTo(file, filepath.Join(d.disk, "share"), filepath.Base(file))
	}
	return filepath.Join(d.disk, "share")
}

// switchedOff runs a shell script in the tree as an image builder does: no systemd is running.
func (d *debian) switchedOff(script string) string {
	d.t.Helper()
	out, err := d.nspawn("sh", "-c", script).CombinedOutput()
	if err != nil {
		d.t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return string(out)
}

// boot switches it on and waits until systemd has started everything. The test's end switches it off.
func (d *debian) boot() {
	d.t.Helper()
	console, err := os.Create(filepath.Join(d.disk, "console.log"))
	if err != nil {
		d.t.Fatal(err)
	}
	cmd := d.nspawn("-b")
	cmd.Stdout, cmd.Stderr = console, console
	cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM // a test that is killed leaves no container behind
	started, ended := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // the parent of which Pdeathsig speaks is this thread
		defer console.Close()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
		}
		close(ended)
	}()
	if err := <-started; err != nil {
		d.t.Fatal(err)
	}
	d.ended = ended
	d.t.Cleanup(d.powerOff)
	d.until("the container's PID 1", func() bool { d.leader = onlyChild(cmd.Process.Pid); return d.leader != 0 })
	d.until("a booted system", func() bool {
		state, _ := d.try("systemctl is-system-running")
		return state == "running" || state == "degraded"
	})
}

// onlyChild is the process that nspawn (pid) started, once it runs systemd.
func onlyChild(pid int) int {
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	child, err := strconv.Atoi(strings.TrimSpace(string(children)))
	if err != nil {
		return 0
	}
	if name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", child)); string(name) != "systemd\n" {
		return 0
	}
	return child
}

// powerCut ends every process at once: nothing is shut down.
func (d *debian) powerCut() {
	d.signal(unix.SIGKILL)
	<-d.ended
	d.leader = 0
}

func (d *debian) powerOff() {
	if d.leader == 0 {
		return
	}
	if d.t.Failed() {
		log, _ := d.try("bouncefeed status; bouncefeed refused list; journalctl -b --no-pager -n 150")
		d.t.Logf("status and journal:\n%s", log)
	}
	const sigRTMIN = 34
	d.signal(sigRTMIN + 4) // systemd: power off
	select {
	case <-d.ended:
		d.leader = 0
	case <-time.After(30 * time.Second):
		d.powerCut()
	}
}

func (d *debian) signal(s syscall.Signal) {
	if err := syscall.Kill(d.leader, s); err != nil && !errors.Is(err, unix.ESRCH) {
		d.t.Errorf("signal the container: %v", err)
	}
}

// try runs a shell script inside and gives its output, without the last line end, and its exit code.
func (d *debian) try(script string) (string, int) {
	cmd := exec.Command("nsenter", "-t", strconv.Itoa(d.leader), "-a", "--",
		"env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "sh", "-c", script)
	out, _ := cmd.CombinedOutput()
	return strings.TrimRight(string(out), "\n"), cmd.ProcessState.ExitCode()
}

// run is try for scripts that must succeed.
func (d *debian) run(script string) string {
	d.t.Helper()
	out, code := d.try(script)
	if code != 0 {
		d.t.Fatalf("%s: exit %d\n%s", script, code, out)
	}
	return out
}

// want runs a script, whatever its exit code, and compares its output.
func (d *debian) want(script, want string) {
	d.t.Helper()
	if got, _ := d.try(script); got != want {
		d.t.Errorf("%s: got\n%s\nwant\n%s", script, got, want)
	}
}

// put writes a file inside.
func (d *debian) put(path, content string) {
	d.t.Helper()
	if err := os.WriteFile(filepath.Join(fmt.Sprintf("/proc/%d/root", d.leader), path), []byte(content), 0o644); err != nil {
		d.t.Fatal(err)
	}
}

// copyIn copies a file of ours into the running system, copyToDisk onto the disk of a switched-off one.
func (d *debian) copyIn(from, to string) { d.copyTo(from, fmt.Sprintf("/proc/%d/root", d.leader), to) }

func (d *debian) copyToDisk(from, to string) { d.copyTo(from, filepath.Join(d.disk, "upper"), to) }

func (d *debian) copyTo(from, root, to string) {
	d.t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(filepath.Join(root, to)), 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(root, to), data, 0o644)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

// until polls for what must come true.
func (d *debian) until(what string, holds func() bool) {
	d.t.Helper()
	e2etest.WaitFor(d.t, 100*time.Millisecond, what, holds)
}

// listen opens a TCP port in the container's network. A socket belongs to the namespace of the thread that made it,
// whoever uses it later; the thread ends with the goroutine that stays locked to it.
func (d *debian) listen(address string) net.Listener {
	d.t.Helper()
	var listener net.Listener
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", d.leader))
		if err == nil {
			defer ns.Close()
			err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
		}
		if err == nil {
			listener, err = net.Listen("tcp", address)
		}
		done <- err
	}()
	if err := <-done; err != nil {
		d.t.Fatalf("listen on %s in the container: %v", address, err)
	}
	return listener
}
