// Package disk asks the file system what every reader of files wants to know: which file it has before it, whether that
// is one at all, what stands in it when it is compressed, and, where there is no way to it, what the admin can do.
package disk

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Info is what statx(2) tells of a file.
type Info struct {
	Dev, Ino uint64
	Born     int64 // creation, Unix nanoseconds; 0 where the filesystem keeps none
	Mtime    int64 // Unix nanoseconds
	Size     int64
	Links    uint32
	Mode     uint16
	UID, GID uint32
}

// Regular says whether it is a file as opposed to a directory, a pipe, a device …
func (i Info) Regular() bool { return i.Mode&unix.S_IFMT == unix.S_IFREG }

// Same says whether both tell of one inode in one life. An inode number alone comes back after a delete.
func (i Info) Same(o Info) bool {
	return i.Ino == o.Ino && i.Dev == o.Dev && (i.Born == o.Born || i.Born == 0 || o.Born == 0)
}

// Stat tells of the file at path, or of what a symlink there leads to. Errors are *fs.PathError.
func Stat(path string) (Info, error) { return statx(unix.AT_FDCWD, path, path, 0) }

// Lstat tells of the file at path, be it a symlink.
func Lstat(path string) (Info, error) {
	return statx(unix.AT_FDCWD, path, path, unix.AT_SYMLINK_NOFOLLOW)
}

// Fstat tells of an open file.
func Fstat(f *os.File) (Info, error) { return statx(int(f.Fd()), "", f.Name(), unix.AT_EMPTY_PATH) }

func statx(dirfd int, path, name string, flags int) (Info, error) {
	var st unix.Statx_t
	err := unix.Statx(dirfd, path, flags|unix.AT_STATX_SYNC_AS_STAT, unix.STATX_BASIC_STATS|unix.STATX_BTIME, &st)
	if err != nil {
		return Info{}, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	i := Info{
		Dev: unix.Mkdev(st.Dev_major, st.Dev_minor), Ino: st.Ino,
		Mtime: st.Mtime.Sec*1e9 + int64(st.Mtime.Nsec), Size: int64(st.Size),
		Links: st.Nlink, Mode: st.Mode, UID: st.Uid, GID: st.Gid,
	}
	if st.Mask&unix.STATX_BTIME != 0 {
		i.Born = st.Btime.Sec*1e9 + int64(st.Btime.Nsec)
	}
	return i, nil
}

// ErrNotRegular is why Open refuses a directory, a pipe, a device …
var ErrNotRegular = errors.New("not a regular file")

// How Open opens.
const (
	Read      = os.O_RDONLY
	ReadWrite = os.O_RDWR
	NoFollow  = unix.O_NOFOLLOW // path must not be a symlink
)

// Open opens a regular file that is there: it never waits on a FIFO and never touches a device. Errors are *fs.PathError.
func Open(path string, how int) (*os.File, error) {
	stat := Stat
	if how&NoFollow != 0 {
		stat = Lstat
	}
	if i, err := stat(path); err != nil {
		return nil, err
	} else if !i.Regular() {
		return nil, &fs.PathError{Op: "open", Path: path, Err: ErrNotRegular}
	}
	f, err := os.OpenFile(path, how|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() { // another has taken its place meanwhile
		f.Close()
		return nil, &fs.PathError{Op: "open", Path: path, Err: ErrNotRegular}
	}
	return f, nil
}
