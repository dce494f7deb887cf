package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// WithRemedy adds to err, from a file, what the admin can do about it, where that is known.
func WithRemedy(err error) error {
	if r := Remedy(err); r != "" {
		return fmt.Errorf("%w: %s", err, r)
	}
	return err
}

// Remedy tells an admin what to do about err, from a file; "" where that is not known.
func Remedy(err error) string {
	var p *fs.PathError
	switch {
	case errors.Is(err, syscall.EROFS):
		return "the service may write to no directory that its unit does not name: systemctl edit bouncefeed, [Service] ReadWritePaths=… (" + dropIns + "queue.conf, file.conf, maildir.conf)"
	case errors.As(err, &p) && hidden(p.Path):
		return "the service sees no home directories: systemctl edit bouncefeed, as in " + dropIns + "home.conf"
	case !errors.As(err, &p):
		return ""
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(filepath.Dir(p.Path)); err != nil {
			return "there is no directory " + filepath.Dir(p.Path)
		}
	case errors.Is(err, fs.ErrPermission):
		if b := BarredAt(p.Path); b != nil {
			return b.String()
		}
	}
	return ""
}

// dropIns is where the package's examples of drop-ins are.
const dropIns = "/usr/share/doc/bouncefeed/examples/systemd/"

// hidden says whether path lies where the unit's ProtectHome=yes lets nobody look: systemd mounts a directory of mode 0
// there.
func hidden(path string) bool {
	for _, home := range []string{"/home", "/root", "/run/user"} {
		if rest, found := strings.CutPrefix(path, home); found && (rest == "" || rest[0] == '/') {
			i, err := Stat(home)
			return err == nil && i.Mode&0o7777 == 0
		}
	}
	return false
}

// A Barrier is a file or directory that may keep this user from a file.
type Barrier struct {
	Path         string
	Owner, Group string // names, or else numbers
	Mode         uint16 // permission bits
	Directory    bool   // it can't be passed; a file can't be read
}

// BarredAt is the first directory on the way to path that this user can't pass, or else path itself; nil: that can't be
// told.
func BarredAt(path string) *Barrier {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if i, err := Stat(dir); err == nil {
			if unix.Access(dir, unix.X_OK) != nil {
				return barrier(dir, i, true)
			}
			break
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	i, err := Stat(path)
	if err != nil {
		return nil
	}
	return barrier(path, i, false)
}

func barrier(path string, i Info, directory bool) *Barrier {
	b := &Barrier{Path: path, Owner: strconv.Itoa(int(i.UID)), Group: strconv.Itoa(int(i.GID)), Mode: i.Mode & 0o7777, Directory: directory}
	if u, err := user.LookupId(b.Owner); err == nil {
		b.Owner = u.Username
	}
	if g, err := user.LookupGroupId(b.Group); err == nil {
		b.Group = g.Name
	}
	return b
}

// Group bits of a mode.
const (
	groupMayRead = 0o040
	groupMayPass = 0o010
)

// OpenToGroup says whether the group's members may pass or read it.
func (b *Barrier) OpenToGroup() bool {
	if b.Directory {
		return b.Mode&groupMayPass != 0
	}
	return b.Mode&groupMayRead != 0
}

// serviceGroup can read the service's secrets: nobody is told to join it.
const serviceGroup = "bouncefeed"

// String says whose it is, and what to do.
func (b *Barrier) String() string {
	s := fmt.Sprintf("%s belongs to %s:%s, mode %04o: ", b.Path, b.Owner, b.Group, b.Mode)
	switch {
	case b.OpenToGroup() && b.Group == serviceGroup:
		return s + "run this as root, or as the service's user: sudo -u " + serviceGroup + " …"
	case b.OpenToGroup():
		return s + fmt.Sprintf("add the user to group %s (SupplementaryGroups=%s in the unit)", b.Group, b.Group)
	case b.Directory:
		return s + "its group may not pass it: chmod g+x it"
	}
	return s + "its group may not read it: chmod g+r it"
}
