package outputs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bouncefeed/internal/event"
)

// script is a command that keeps what it reads in the file beside it and then does what is told.
func script(t *testing.T, then string) (path, kept string) {
	t.Helper()
	dir := t.TempDir()
	path, kept = filepath.Join(dir, "bounced"), filepath.Join(dir, "kept")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+then+"\ncat >>"+kept+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path, kept
}

func execReceiver(t *testing.T) *receiver {
	flag := filepath.Join(t.TempDir(), "broken")
	path, kept := script(t, "if [ -e "+flag+" ]; then echo sorry "+recipient+" >&2; exit 75; fi")
	return &receiver{
		lines:  []string{"command: [" + path + "]"},
		ids:    func() []string { return idsInFile(t, kept) },
		breaks: func(t *testing.T) { os.WriteFile(flag, nil, 0o600) },
		mends:  func(t *testing.T) { os.Remove(flag) },
	}
}

func TestExecCodes(t *testing.T) {
	for code := range 80 {
		path, _ := script(t, fmt.Sprintf("[ $2 = news ] && exit %d", code))
		err := sendOne(t, t.Context(), mustBuild(t, "exec", "command: ["+path+", --list, news]"))
		_, unknown := errors.AsType[*UnknownError](err)
		if (err == nil) != (code == 0) || event.IsPermanent(err) != (code == 65) || unknown != (code == 67) {
			t.Errorf("%d: %v", code, err)
		}
	}
	path, _ := script(t, "echo too bad >&2; exit 70")
	expect(t, "what it said", sendOne(t, t.Context(), mustBuild(t, "exec", "command: "+path)), "exit status 70 (it said: too bad)")
	path, _ = script(t, "exec sleep 1000")
	expect(t, "too slow", sendOne(t, t.Context(), mustBuild(t, "exec", "command: "+path, "timeout: 20ms")), "not done within 20ms")
	path, _ = script(t, `[ "$(env | grep -vc ^PWD=)" = 1 ] || exit 1`)
	expect(t, "its environment", sendOne(t, t.Context(), mustBuild(t, "exec", "command: "+path)), "")
	missing := mustBuild(t, "exec", "command: /nowhere/x")
	expect(t, "missing", sendOne(t, t.Context(), missing), "no such file")
	expect(t, "missing", probe(t, missing), "no such file")
	expect(t, "there", probe(t, mustBuild(t, "exec", "command: "+path)), "")
	if _, err := build(t, "exec", "command: [bounced]"); err == nil || !strings.Contains(err.Error(), "absolute path") {
		t.Error(err)
	}
}
