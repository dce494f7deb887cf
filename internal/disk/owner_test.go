package disk

import (
	"os"
	"path/filepath"
	"testing"
)

func TestNotRoots(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root gives files to others")
	}
	dir := t.TempDir()
	must(t, os.MkdirAll(dir+"/roots/service", 0o755))
	must(t, os.Chown(dir+"/roots/service", 123, 456))
	must(t, os.Symlink("roots/service", dir+"/link"))
	must(t, os.Symlink("/etc", dir+"/roots/service/trap"))
	must(t, os.Symlink(dir+"/link/../service", dir+"/roots/far"))
	must(t, os.Symlink("loop", dir+"/loop"))
	must(t, os.Symlink("/etc/passwd", dir+"/given"))
	must(t, os.Lchown(dir+"/given", 7, 8))
	for path, want := range map[string][2]uint32{
		"roots/queue.db": {}, "loop/queue.db": {}, "roots/none/queue.db": {},
		"roots/service/queue.db": {123, 456}, "roots/service": {123, 456}, "link/queue.db": {123, 456}, "roots/far/queue.db": {123, 456},
		"roots/service/trap/queue.db": {123, 456}, // though /etc is root's
		"given":                       {7, 8},
	} {
		uid, gid, others := NotRoots(filepath.Join(dir, path))
		if [2]uint32{uid, gid} != want || others != (want != [2]uint32{}) {
			t.Errorf("%s: %d:%d, %v", path, uid, gid, others)
		}
	}
}
