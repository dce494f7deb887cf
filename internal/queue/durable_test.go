package queue

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"bouncefeed/internal/event"
)

// unwritten tells how many pages of f the kernel holds that are not on disk yet (cachestat(2), Linux 6.5).
func unwritten(t *testing.T, f *os.File) uint64 {
	t.Helper()
	const cachestat = 451
	var all struct{ offset, length uint64 } // length 0: to the end
	var s struct{ cached, dirty, writeback, evicted, recentlyEvicted uint64 }
	_, _, errno := syscall.Syscall6(cachestat, f.Fd(), uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&s)), 0, 0, 0)
	if errno == syscall.ENOSYS || errno == syscall.EOPNOTSUPP || errno == syscall.EPERM {
		t.Skipf("the kernel does not tell: %v", errno)
	}
	if errno != 0 {
		t.Fatal(errno)
	}
	return s.dirty + s.writeback
}

// When Commit returns, what it stored is on disk: in a new file, in one that was there, and in a compacted copy.
func TestCommitReturnsAfterFsync(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	check := func(what string, q *Queue) {
		t.Helper()
		if q.db.NoSync || q.db.NoGrowSync || q.db.NoFreelistSync {
			t.Errorf("%s: bbolt writes without fsync", what)
		}
		commit(t, q, Batch{Events: bounces(0, 50), Checkpoint: map[string]string{"offset": what}})
		if n := unwritten(t, q.file); n > 0 {
			t.Errorf("%s: %d pages are not on disk", what, n)
		}
	}
	q := openAt(t, path, Options{Outputs: []string{"out"}})
	check("new", q)
	q.Close()
	q = openAt(t, path, Options{Outputs: []string{"out"}})
	check("opened", q)
	if err := q.replace(); err != nil {
		t.Fatal(err)
	}
	check("compacted", q)
	if err := shrinkNow(q); err != nil {
		t.Fatal(err)
	}
	check("compacted beside the work", q)

	q.db.NoSync = true // the control: without fsync it shows, unless the kernel happens to write just then
	shows := false
	for n := 0; n < 100 && !shows; n++ {
		commit(t, q, Batch{Events: bounces(100+n, 101+n)})
		shows = unwritten(t, q.file) > 0
	}
	if !shows {
		t.Error("without fsync, all is on disk: the test shows nothing")
	}
	q.db.NoSync = false
}

// A rename lasts once its folder is synced: after a new file has its name, after a compacted copy took it, and after a
// damaged file was moved aside.
func TestFolderIsSyncedAfterRename(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "queue.db")
	var synced []string // what lay in the folder each time
	o := Options{Outputs: []string{"out"}, syncFolder: func(f *os.File) error {
		names, err := f.Readdirnames(-1)
		if f.Name() != dir || err != nil {
			t.Errorf("synced %s, %v", f.Name(), err)
		}
		slices.Sort(names)
		synced = append(synced, strings.Join(names, " "))
		return f.Sync()
	}}
	expect := func(what, want string) {
		t.Helper()
		if len(synced) != 1 || !strings.HasPrefix(synced[0], want) || strings.Contains(synced[0], suffixRepair) {
			t.Errorf("%s: synced with %q, want once, with %s", what, synced, want)
		}
		synced = nil
	}
	q := openAt(t, path, o)
	if len(synced) != 1 || !strings.Contains(synced[0], "queue.db") {
		t.Errorf("a new file: synced with %q", synced)
	}
	synced = nil
	if err := q.replace(); err != nil {
		t.Fatal(err)
	}
	expect("compacted", "queue.db")
	q.Close()
	if err := os.WriteFile(path, []byte("no queue"), 0o600); err != nil {
		t.Fatal(err)
	}
	q = openAt(t, path, o)
	expect("repaired", "queue.db queue.db.damaged-")

	// A folder that cannot be synced is told.
	q.Close()
	o.syncFolder = func(*os.File) error { return syscall.EIO }
	if _, err := Open(filepath.Join(dir, "other.db"), o); !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v", err)
	}
}

// Every hash of a run is found, the first and last of each block, and none beside them.
func TestEveryHashOfARunIsFound(t *testing.T) {
	q := openNew(t, Options{})
	var sent [][8]byte
	for n := range 4 * ledgerShape.perBlock {
		sent = append(sent, event.Sent(q.Secret(), fmt.Sprint(n), "a@example.org"))
	}
	commit(t, q, Batch{Sent: sent})
	mergeAll(t, q, bucketSent, ledgerShape)
	slices.SortFunc(sent, func(a, b [8]byte) int { return bytes.Compare(a[:], b[:]) })
	for i, h := range sent {
		if ok, err := q.WasSent(h); !ok || err != nil {
			t.Fatalf("hash %d of %d of the run is not found, %v", i, len(sent), err)
		}
		if h[7]++; !slices.Contains(sent, h) {
			if ok, _ := q.WasSent(h); ok {
				t.Fatalf("what lies behind hash %d is found and was never sent", i)
			}
		}
	}
	for _, h := range [][8]byte{{}, {255, 255, 255, 255, 255, 255, 255, 255}} {
		if ok, _ := q.WasSent(h); ok {
			t.Errorf("%x is found and was never sent", h)
		}
	}
}

// Only EIO is damage: after it nobody knows what is on disk. Whatever else the disk says passes, with a remedy.
func TestOnlyEIOIsDamage(t *testing.T) {
	q := &Queue{path: "/q.db", log: slog.New(slog.DiscardHandler)}
	for _, c := range []struct {
		err     error
		damaged bool
		remedy  string
	}{
		{syscall.EIO, true, "input/output error"},
		{&os.PathError{Op: "write", Path: "/q.db", Err: syscall.EIO}, true, "input/output error"},
		{errors.New("file resize error: input/output error"), true, "input/output error"}, // as bbolt has it, without the number
		{syscall.ENOSPC, false, "free some space"},
		{errors.New("file resize error: no space left on device"), false, "free some space"},
		{syscall.EDQUOT, false, "quota"},
		{syscall.EROFS, false, "read-only"},
		{syscall.EFBIG, false, "LimitFSIZE"},
		{syscall.EPERM, false, "system log"},
		{errors.New("anything else"), false, "system log"},
	} {
		err := q.explain(c.err)
		if errors.Is(err, ErrDamaged) != c.damaged || !strings.Contains(err.Error(), c.remedy) {
			t.Errorf("%v: damage %v, want %v: %v", c.err, !c.damaged, c.damaged, err)
		}
		if !strings.Contains(err.Error(), c.err.Error()) {
			t.Errorf("%v is not told: %v", c.err, err)
		}
	}
}

// A symlink in the queue's place, or in that of a file which is renamed over it, leads nowhere.
func TestNoSymlinkIsFollowed(t *testing.T) {
	dir := t.TempDir()
	path, precious := filepath.Join(dir, "queue.db"), filepath.Join(dir, "precious")
	if err := os.WriteFile(precious, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{path, path + suffixCompact, path + suffixRepair} {
		if err := os.Symlink(precious, link); err != nil {
			t.Fatal(err)
		}
		q, err := Open(path, Options{})
		if link == path && (err == nil || !strings.Contains(err.Error(), "it is a symlink")) {
			t.Errorf("%v", err)
		}
		if err == nil {
			q.Close()
		}
		os.Remove(link)
		if text, err := os.ReadFile(precious); err != nil || string(text) != "precious" {
			t.Errorf("%s: %q, %v", link, text, err)
		}
		if info, err := os.Stat(precious); err != nil || info.Mode() != 0o644 {
			t.Errorf("%s: %v, %v", link, info, err)
		}
	}
}
