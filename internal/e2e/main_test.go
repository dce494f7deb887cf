// Package e2e runs the built daemon against real mail servers: Postfix, rsyslog and logrotate as Debian ships them, a
// scripted SMTP sink that refuses mail in every way we know, and a receiver that records what it is told.
//
// The test binary starts itself again inside namespaces of its own (see jail_test.go): /etc, /run, /var/log, /var/lib,
// /var/spool, the network and the process ids are private there, so the servers run on their default paths and ports,
// whatever the machine itself runs is left alone, and nothing outlives the test. That needs root and the packages that
// packaging/test-deps.sh installs. Without them the tests are skipped, or fail where CI is set.
//
//	BOUNCEFEED_E2E_KILLS=200   how often TestKills (default 25) and TestHub (14) kill a daemon
//	BOUNCEFEED_E2E_BINARY=…    tests this daemon instead of building one; a build with -race is worth a run
//	BOUNCEFEED_E2E_SEED=1      repeats the random choices of an earlier run, as far as timing allows
//	BOUNCEFEED_E2E_FIGURES=1   measures, too; BOUNCEFEED_E2E_FORGERIES=1000000 is how often it forges a signature
package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// workEnv tells the test binary that it runs inside the jail, and where its files are.
const workEnv = "BOUNCEFEED_E2E_WORK"

// binary is the daemon, built once per run; noLab says why there can be no jail here, nil inside it.
var (
	binary string
	noLab  error
)

func TestMain(m *testing.M) {
	if work := os.Getenv(workEnv); work != "" {
		if err := enterJail(work); err != nil {
			fmt.Fprintln(os.Stderr, "e2e: private namespaces:", err)
			os.Exit(1)
		}
		binary = filepath.Join(work, "bouncefeed")
		os.Exit(m.Run())
	}
	code, err := runOutside(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

// runOutside builds the daemon and runs the tests, in a jail if there can be one.
func runOutside(m *testing.M) (int, error) {
	work, err := os.MkdirTemp("", "bouncefeed-e2e-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(work)
	if err := os.Chmod(work, 0o755); err != nil { // the servers' users pass through it
		return 0, err
	}
	binary = filepath.Join(work, "bouncefeed")
	if built := os.Getenv("BOUNCEFEED_E2E_BINARY"); built != "" {
		err = command("cp", built, binary)
	} else {
		err = command("go", "build", "-o", binary, "bouncefeed/cmd/bouncefeed")
	}
	if err != nil {
		return 0, fmt.Errorf("the daemon: %w", err)
	}
	if noLab = jailMissing(); noLab != nil {
		fmt.Fprintln(os.Stderr, "e2e: NO REAL SERVERS HERE:", noLab)
		return m.Run(), nil
	}
	return rerunJailed(work)
}

// rerunJailed runs this test binary again, as process 1 of namespaces of its own: whatever is left when it ends, or
// when we are killed, the kernel ends too.
func rerunJailed(work string) (int, error) {
	runtime.LockOSThread()                                                                 // Pdeathsig counts the death of the thread that started the child
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) // clean up after those, too
	defer stop()
	inside := exec.CommandContext(ctx, "/proc/self/exe", os.Args[1:]...)
	inside.Args[0] = os.Args[0]
	inside.Stdin, inside.Stdout, inside.Stderr = os.Stdin, os.Stdout, os.Stderr
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "TZ=") && !strings.HasPrefix(kv, "NOTIFY_SOCKET=") && !strings.HasPrefix(kv, "MAIL_CONFIG=") {
			inside.Env = append(inside.Env, kv)
		}
	}
	inside.Env = append(inside.Env, workEnv+"="+work)
	inside.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
		Pdeathsig:  syscall.SIGKILL,
	}
	err := inside.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// needLab skips the test where no servers can be run, loudly; under CI it fails it.
func needLab(t *testing.T) {
	t.Helper()
	if noLab == nil {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("CI must run this against real servers: %v", noLab)
	}
	t.Skipf("SKIPPED, NOTHING PROVED: %v", noLab)
}
