package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// bouncefeed runs a command of the built binary to its end; no server and no rights are needed.
func bouncefeed(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs strings.Builder
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Dir = t.TempDir()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// TestDemo: the first thing anybody tries works without configuration, and says what was reported and what was not.
func TestDemo(t *testing.T) {
	out, errs, code := bouncefeed(t, "demo")
	if code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	for _, word := range []string{"user_unknown", "mailbox_full", "hard", "soft"} {
		if !strings.Contains(out, word) {
			t.Errorf("the demo does not show %q:\n%s", word, out)
		}
	}
}

// TestCheckNamesEveryMistake: each with file:line:column and, for a near miss, what was meant.
func TestCheckNamesEveryMistake(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	const wrong = `inputs:
  maillog:
    type: logfile
    pathh: /var/log/mail.log
    parser: postfix
outputs:
  listmonk:
    type: listmonk
    url: http://127.0.0.1:9000/webhooks/bounce
queue:
  max_size: 1 parsec
`
	if err := os.WriteFile(file, []byte(wrong), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, code := bouncefeed(t, "check", "--config", file)
	said := out + errs
	if code == 0 {
		t.Errorf("exit code 0 for a wrong configuration")
	}
	for _, place := range []string{file + ":4:5: ", file + ":11:13: "} {
		if !strings.Contains(said, place) {
			t.Errorf("%q is not named in\n%s", place, said)
		}
	}
	if !strings.Contains(said, `"path"`) && !strings.Contains(said, "path?") {
		t.Errorf("no suggestion for pathh in\n%s", said)
	}
}
