package outputs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"bouncefeed/internal/event"
)

func sendIDs(t *testing.T, out Output, ids ...string) error {
	t.Helper()
	var batch []event.Event
	for _, id := range ids {
		batch = append(batch, someEvent(id))
	}
	return out.Send(t.Context(), batch)
}

func holds(t *testing.T, path string, want ...string) {
	t.Helper()
	if got := idsInFile(t, path); !slices.Equal(got, want) {
		t.Errorf("%s holds %q, want %q", filepath.Base(path), got, want)
	}
}

func TestFileFollowsItsName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.jsonl")
	out := mustBuild(t, "file", "path: "+path)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(sendIDs(t, out, "a", "b"))
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	must(os.Rename(path, path+".1"))
	must(sendIDs(t, out, "c"))
	must(os.Rename(path, path+".2")) // and the rotator makes the new one itself
	must(os.WriteFile(path, nil, 0o640))
	must(sendIDs(t, out, "d"))
	must(os.Truncate(path, 0)) // copytruncate
	must(sendIDs(t, out, "e"))
	must(os.Remove(path))
	must(sendIDs(t, out, "f"))
	holds(t, path+".1", "a", "b")
	holds(t, path+".2", "c")
	holds(t, path, "f")

	must(sendIDs(t, mustBuild(t, "file", "path: "+path), "g")) // a restart appends
	holds(t, path, "f", "g")
}

func TestFileAfterATornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.jsonl")
	if err := os.WriteFile(path, []byte(`{"id":"a"}`+"\n"+`{"id":"to`), 0o600); err != nil {
		t.Fatal(err)
	}
	out := mustBuild(t, "file", "path: "+path)
	if err := sendIDs(t, out, "torn"); err != nil {
		t.Fatal(err)
	}
	if err := sendIDs(t, out, "b"); err != nil {
		t.Fatal(err)
	}
	holds(t, path, "a", "torn", "b")
	if text, _ := os.ReadFile(path); strings.Contains(string(text), "\n\n") {
		t.Errorf("an empty line in %q", text)
	}
}

// A write that the kernel cuts short leaves nothing behind. RLIMIT_FSIZE is the whole process's: other tests of this
// package write only little meanwhile, and none runs in parallel.
func TestFileFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.jsonl")
	out := mustBuild(t, "file", "path: "+path)
	if err := sendIDs(t, out, "a"); err != nil {
		t.Fatal(err)
	}
	info, _ := os.Stat(path)
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	full := before
	full.Cur = uint64(info.Size()) + 10
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &full); err != nil {
		t.Fatal(err)
	}
	err := sendIDs(t, out, "b", "c")
	if unlimit := unix.Setrlimit(unix.RLIMIT_FSIZE, &before); unlimit != nil {
		t.Fatal(unlimit)
	}
	if err == nil || event.IsPermanent(err) || !strings.Contains(err.Error(), path) {
		t.Errorf("a full disk: %v", err)
	}
	if after, _ := os.Stat(path); after.Size() != info.Size() {
		t.Errorf("%d bytes of the failed write stayed", after.Size()-info.Size())
	}
	if err := sendIDs(t, out, "b", "c"); err != nil {
		t.Fatal(err)
	}
	holds(t, path, "a", "b", "c")
}

func TestFileRefusesWhatKeepsNothing(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, dir, "/dev/null", filepath.Join(dir, "no", "such")} {
		out := mustBuild(t, "file", "path: "+path)
		if err := sendIDs(t, out, "a"); err == nil || event.IsPermanent(err) || !strings.Contains(err.Error(), filepath.Dir(path)) {
			t.Errorf("%s: %v", path, err)
		}
		if err := probe(t, out); err == nil {
			t.Errorf("%s: the probe sees nothing wrong", path)
		}
	}
}

func TestFileProbeCreatesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.jsonl")
	out := mustBuild(t, "file", "path: "+path)
	if err := probe(t, out); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("it made the file")
	}
	if err := sendIDs(t, out, "a"); err != nil {
		t.Fatal(err)
	}
	if err := probe(t, out); err != nil {
		t.Error(err)
	}
}

// Whoever may write to the directory must not choose another file for us.
func TestFileFollowsNoSymlink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "out.jsonl")
	for _, target := range []string{filepath.Join(dir, "none"), filepath.Join(dir, "precious")} {
		if strings.HasSuffix(target, "precious") {
			if err := os.WriteFile(target, []byte("precious\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		out := &file{path: path}
		if err := sendIDs(t, out, "1"); err == nil || !strings.Contains(err.Error(), "a symlink is not followed") {
			t.Errorf("%v", err)
		}
		if _, err := out.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "a symlink is not followed") {
			t.Errorf("probe: %v", err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, "none")); err == nil {
		t.Error("a file was made")
	}
	if text, err := os.ReadFile(filepath.Join(dir, "precious")); err != nil || string(text) != "precious\n" {
		t.Errorf("%q, %v", text, err)
	}
}
