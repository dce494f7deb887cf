package queue

import (
	"os"
	"path/filepath"
	"syscall"
)

// giveToFoldersOwner has a file of root's belong to whom its folder does: a daemon that root has run once must leave
// nothing that the service can't read. A file that has another name, too, may be anybody's and stays as it is.
func giveToFoldersOwner(f *os.File) error {
	if os.Geteuid() != 0 {
		return nil
	}
	folder, err := os.Stat(filepath.Dir(f.Name()))
	if err != nil {
		return err
	}
	file, err := f.Stat()
	if err != nil {
		return err
	}
	owner, ok1 := folder.Sys().(*syscall.Stat_t)
	own, ok2 := file.Sys().(*syscall.Stat_t)
	if !ok1 || !ok2 || own.Uid != 0 || owner.Uid == 0 || own.Nlink > 1 {
		return nil
	}
	return f.Chown(int(owner.Uid), int(owner.Gid))
}
