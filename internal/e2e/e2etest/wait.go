package e2etest

import (
	"os"
	"testing"
	"time"
)

// Patience is how long anything may take: a busy machine takes far longer than this one, and only what hangs should fail.
const Patience = 3 * time.Minute

// WaitFor polls until ready is true; after Patience the test ends, with what it waited for.
func WaitFor(t testing.TB, every time.Duration, what string, ready func() bool) {
	t.Helper()
	tick := time.NewTicker(every)
	defer tick.Stop()
	deadline := time.After(Patience)
	for !ready() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %v: %s", Patience, what)
		}
	}
}

// Skip skips the test because something is missing here, loudly. Under CI it fails it: there everything must be proved.
func Skip(t testing.TB, missing string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("CI must run this: %s", missing)
	}
	t.Skipf("SKIPPED, NOTHING PROVED: %s", missing)
}
