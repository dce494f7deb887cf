package queue

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// What root makes, compacts or mends in the service's folder is the service's.
func TestRootLeavesNothingOfItsOwn(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: what root leaves behind; it needs root")
	}
	dir := t.TempDir()
	if err := os.Chown(dir, 790, 791); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "queue.db")
	check := func(what string) {
		t.Helper()
		files, err := os.ReadDir(dir)
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			info, err := file.Info()
			if err != nil {
				t.Fatal(err)
			}
			if st := info.Sys().(*syscall.Stat_t); st.Uid != 790 || st.Gid != 791 {
				t.Errorf("%s: %s belongs to %d:%d", what, file.Name(), st.Uid, st.Gid)
			}
		}
	}
	q := openAt(t, path, Options{Outputs: []string{"out"}})
	check("new")
	commit(t, q, Batch{Events: bounces(0, 50)})
	if err := q.replace(); err != nil {
		t.Fatal(err)
	}
	check("compacted")
	q.Close()
	if err := os.Chown(path, 0, 0); err != nil {
		t.Fatal(err)
	}
	openAt(t, path, Options{Outputs: []string{"out"}}).Close()
	check("of an older version that root ran")
	if err := os.WriteFile(path, []byte("no queue"), 0o600); err != nil {
		t.Fatal(err)
	}
	openAt(t, path, Options{Outputs: []string{"out"}}).Close()
	check("mended")
}
