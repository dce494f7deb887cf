package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bouncefeed/internal/e2e/e2etest"
)

const straceProgram = "/usr/bin/strace"

// A fault is what the kernel answers to every so many of the daemon's calls (strace -e inject).
type fault struct {
	call, answer string
	first, step  int // of those calls: the first that fails, and then every step-th; step 0: only that one
}

func (f fault) String() string {
	when := fmt.Sprint(f.first)
	if f.step > 0 {
		when += fmt.Sprint("+", f.step)
	}
	return fmt.Sprintf("%s:error=%s:when=%s", f.call, f.answer, when)
}

// usualFaults are what `make test` tries; `make soak` tries each at many places, allFaults.
var usualFaults = []fault{
	{"pwrite64", "ENOSPC", 6, 5}, {"fdatasync", "EIO", 5, 7}, {"openat", "EMFILE", 40, 3},
}

func allFaults() (all []fault) {
	for call, answers := range map[string][]string{
		"pwrite64": {"ENOSPC", "EIO", "EROFS", "EDQUOT"}, "fdatasync": {"EIO", "ENOSPC"}, "fsync": {"EIO"}, "openat": {"EMFILE", "EIO", "ENOSPC", "EACCES"},
		"ftruncate": {"ENOSPC", "EFBIG"}, "renameat": {"EIO", "ENOSPC"}, "linkat": {"EIO"}, "write": {"ENOSPC", "EIO"}, "pread64": {"EIO"}, "read": {"EIO"},
		"mmap": {"ENOMEM"}, "getdents64": {"EIO"}, "unlinkat": {"EIO"},
	} {
		from := map[string]int{"openat": 25, "mmap": 60, "read": 25, "write": 10}[call] // before that it is Go that starts, not we
		for _, answer := range answers {
			for _, k := range []int{1, 2, 3, 5, 8, 13} {
				all = append(all, fault{call, answer, from + k, 0}, fault{call, answer, from + k, k + 1})
			}
		}
	}
	return all
}

// TestFaults has the kernel refuse what the daemon asks for. It may end, as on a damaged file, and is started again as
// systemd does; it does not panic; and once the machine is well all is stored once and accounted for.
func TestFaults(t *testing.T) {
	if !jailed(t, straceProgram) {
		return
	}
	faults := usualFaults
	if os.Getenv("BOUNCEFEED_E2E_FAULTS") != "" {
		faults = allFaults()
	}
	injected, ends := 0, 0
	for i, f := range faults {
		e := startEverything(t)
		e.suffer(t, f, &injected, &ends)
		e.requireWhole(t, f)
		if t.Failed() {
			t.Fatalf("%v", f)
		}
		e.forget(t)
		if i%20 == 19 {
			t.Logf("%d faults, %d calls refused, the daemon ended %d times", i+1, injected, ends)
		}
	}
	t.Logf("%d faults, %d calls refused, the daemon ended %d times, 0 lost, 0 doubled", len(faults), injected, ends)
	if injected < len(faults) {
		t.Errorf("of %d faults only %d calls were refused: the test shows nothing", len(faults), injected)
	}
}

// suffer runs the daemon twice, with bounces, while f happens to it.
func (e *everything) suffer(t *testing.T, f fault, injected, ends *int) {
	t.Helper()
	trace := filepath.Join(e.dir, "trace")
	for life := range 2 {
		e.bounce(t, 40)
		e.mail(t)
		cmd := e.command(t, "run", "--config", filepath.Join(e.dir, "config.yaml"))
		cmd.Args = append([]string{straceProgram, "-D", "-f", "-qq", "-o", trace, "-e", "trace=" + f.call, "-e", "inject=" + f.String()}, append([]string{binary}, cmd.Args[1:]...)...)
		cmd.Path = straceProgram
		e.process = start(t, "bouncefeed", filepath.Join(e.dir, "stderr"), cmd)
		// It works as far as it gets; whether that is far is not what is asked here.
		for end := time.Now().Add(time.Second); time.Now().Before(end) && e.process.running() && !e.has(40*(life+1)); {
			<-time.After(20 * time.Millisecond)
		}
		if !e.process.running() {
			*ends++
		}
		e.process.kill(t)
		waitFor(t, "nobody has the queue's file open", e.unlocked)
		*injected += strings.Count(readFile(t, trace), "(INJECTED)")
	}
}

// has says whether listmonk has the first n bounces.
func (e *everything) has(n int) bool {
	lost, _ := e.stored(n)
	return lost == 0
}

// unlocked says whether the queue's file may be opened: the kernel may still be ending who had it.
func (e *everything) unlocked() bool {
	f, err := os.Open(filepath.Join(e.dir, "queue.db"))
	if err != nil {
		return os.IsNotExist(err)
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

// requireWhole starts the daemon on a machine that is well.
func (e *everything) requireWhole(t *testing.T, f fault) {
	t.Helper()
	e.start(t)
	e.settle(t)
	e.requireAccounts(t)
	if lost, doubled := e.missing(e.rows()); lost > 0 || doubled > 0 {
		t.Errorf("%v: listmonk: %d lost, %d doubled", f, lost, doubled)
	}
	if lost, _ := e.missing(e.lines(t)); lost > 0 {
		t.Errorf("%v: the file: %d lost", f, lost)
	}
	said := readFile(t, filepath.Join(e.dir, "stderr"))
	for _, alarm := range []string{"panic: ", "fatal error: ", "DATA RACE", "SIGSEGV", e2etest.Token} {
		if strings.Contains(said, alarm) {
			t.Errorf("%v: the daemon said %q", f, alarm)
		}
	}
	e.stop(t)
}

// forget makes room for the next one.
func (e *everything) forget(t *testing.T) {
	t.Helper()
	e.log.Close()
	e.m.Kill()
	if err := exec.Command("rm", "-rf", e.dir).Run(); err != nil {
		t.Fatal(err)
	}
}
