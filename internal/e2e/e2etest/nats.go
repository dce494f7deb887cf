package e2etest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// NATSEnv names the nats-server that packaging/e2e-prepare.sh has built.
const NATSEnv = "BOUNCEFEED_E2E_NATS"

// NATS is the path of nats-server.
func NATS() (string, error) {
	path := os.Getenv(NATSEnv)
	if path == "" {
		var err error
		if path, err = inRepository("dist/e2e/nats-server"); err != nil {
			return "", err
		}
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("no nats-server: `make prepare` builds it, or %s names it: %w", NATSEnv, err)
	}
	return path, nil
}

// StartNATS runs a nats-server with JetStream until the test ends, on a port of its own choice. more are lines of its
// configuration. It gives what a client writes behind nats:// or tls://.
func StartNATS(t testing.TB, more string) (address string) {
	t.Helper()
	program, err := NATS()
	if err != nil {
		Skip(t, err.Error())
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "nats.conf")
	text := fmt.Sprintf("listen: \"127.0.0.1:-1\"\nports_file_dir: %q\njetstream { store_dir: %q }\n%s\n", dir, dir, more)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(program, "-c", file)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if said, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("nats-server:\n%s", said)
		}
	})
	var ports struct{ NATS []string }
	WaitFor(t, 10*time.Millisecond, "nats-server listens", func() bool {
		found, _ := filepath.Glob(filepath.Join(dir, "*.ports"))
		if len(found) == 0 {
			return false
		}
		text, err := os.ReadFile(found[0])
		return err == nil && json.Unmarshal(text, &ports) == nil && len(ports.NATS) > 0
	})
	_, address, _ = strings.Cut(ports.NATS[0], "://")
	return address
}
