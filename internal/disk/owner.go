package disk

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxLinks is how many symlinks NotRoots follows, as the kernel does.
const maxLinks = 40

// NotRoots says whether somebody else than root decides what the absolute path leads to, and who: the owner of the first
// directory, symlink or file on the way that is not root's. What lies below may change at any time as he likes.
func NotRoots(path string) (uid, gid uint32, others bool) {
	rest := strings.Split(filepath.Clean(path), "/")
	for at, links := "/", 0; len(rest) > 0 && links < maxLinks; {
		name := rest[0]
		rest = rest[1:]
		next := filepath.Join(at, name)
		info, err := os.Lstat(next)
		if err != nil {
			return 0, 0, false // it is not there: this process makes it
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 {
			return st.Uid, st.Gid, true
		}
		if info.Mode()&os.ModeSymlink == 0 {
			at = next
			continue
		}
		links++
		target, err := os.Readlink(next)
		if err != nil {
			return 0, 0, false
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return 0, 0, false
}
