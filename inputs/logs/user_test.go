package logs

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

func mkfifo(w *world, path string) {
	w.Helper()
	w.must(unix.Mkfifo(path, 0o644))
}

// unprivileged makes the next Run see files as an ordinary user does, also where tests run as root.
func unprivileged(w *world) {
	if os.Getuid() != 0 {
		return
	}
	for dir := w.dir; dir != os.TempDir(); dir = filepath.Dir(dir) {
		w.must(os.Chmod(dir, 0o755))
	}
	w.asNobody = true
}
