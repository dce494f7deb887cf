// Package e2e runs the built daemon against real mail servers: Postfix, rsyslog and logrotate as Debian ships them, a
// scripted SMTP sink that refuses mail in every way we know, and a receiver that records what it is told.
//
// Each test runs in namespaces of its own (jail_test.go), several at a time: the root is a Debian that
// packaging/test-root.sh has prepared, the network and the process ids are private, so the servers run on their default
// paths and ports, the machine needs none of them and is left as it was, and nothing outlives the test. That needs root.
// Without it, or without the tree, the tests are skipped, or fail where CI is set.
//
//	BOUNCEFEED_E2E_BINARY=…    tests this daemon instead of building one; CI does. A build with -race is worth a run
//	BOUNCEFEED_E2E_KILLS=200   how often TestKills (default 25), TestHub (14) and TestKillsOfEverything (12) kill a daemon
//	BOUNCEFEED_E2E_FAULTS=all  has TestFaults try every call at many places
//	BOUNCEFEED_E2E_FLEET=60    how often TestFleet (default 7) kills or cuts off something, with twenty mail servers then
//	BOUNCEFEED_E2E_SEED=1      repeats the random choices of an earlier run, as far as timing allows
//	BOUNCEFEED_E2E_FIGURES=1   measures, too; BOUNCEFEED_E2E_FORGERIES=1000000 is how often it forges a signature
package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"bouncefeed/internal/e2e/e2etest"
)

// binary is the daemon under test. binaryEnv names it: to us, if it is built already, and to ourselves in a jail.
var binary string

const binaryEnv = "BOUNCEFEED_E2E_BINARY"

// outside is what jails are made from; nil in a jail.
var outside *prison

func TestMain(m *testing.M) {
	binary = os.Getenv(binaryEnv)
	if work := os.Getenv(workEnv); work != "" {
		if err := enterJail(work); err != nil {
			fmt.Fprintln(os.Stderr, "e2e: private namespaces:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	code, err := runOutside(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

// runOutside puts the daemon where every user can run it, and runs the tests, each of which has itself jailed.
func runOutside(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "bouncefeed-e2e-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // the servers' users pass through it
		return 0, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) // clean up after those, too
	defer stop()
	outside = &prison{ctx: ctx, dir: dir}
	outside.tree, outside.missing = e2etest.Tree("servers")
	if outside.missing != nil {
		fmt.Fprintln(os.Stderr, "e2e: NO REAL SERVERS HERE:", outside.missing)
	}
	built := binary
	binary = filepath.Join(dir, "bouncefeed")
	switch {
	case built != "":
		err = command("cp", built, binary)
	case os.Getenv("CI") != "":
		err = errors.New(binaryEnv + " is not set: `make e2e` builds it before the clock of the tests runs")
	default: // never an old one: what is being worked on is what is tested
		err = command("go", "build", "-o", binary, "bouncefeed/cmd/bouncefeed")
	}
	if err != nil {
		return 0, fmt.Errorf("the daemon: %w", err)
	}
	if nats, err := e2etest.NATS(); err == nil {
		jailed := filepath.Join(dir, "nats-server")
		if err := errors.Join(command("cp", nats, jailed), os.Setenv(e2etest.NATSEnv, jailed)); err != nil {
			return 0, err
		}
	}
	return m.Run(), nil
}
