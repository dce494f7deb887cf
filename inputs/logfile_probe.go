package inputs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Probe says whether the log and its directory can be read by this user.
func (l *logfile) Probe(context.Context) error {
	f, err := openRegular(l.config.Path, true)
	if err != nil {
		return withRemedy(err)
	}
	f.Close()
	d, err := os.Open(filepath.Dir(l.config.Path))
	if err != nil {
		return fmt.Errorf("look for rotated logs: %w", withRemedy(err))
	}
	return d.Close()
}

func withRemedy(err error) error {
	if r := remedy(err); r != "" {
		return fmt.Errorf("%w: %s", err, r)
	}
	return err
}

// remedy tells an admin what to do about err, from opening a log; empty where nothing is to be done.
func remedy(err error) string {
	var p *fs.PathError
	switch {
	case errors.Is(err, syscall.EROFS):
		return "the service may write to no directory that its unit does not name: systemctl edit bouncefeed, [Service] ReadWritePaths=…"
	case !errors.As(err, &p):
		return ""
	case errors.Is(err, errNotRegular):
		return "give the path of a log file"
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(filepath.Dir(p.Path)); err != nil {
			return "there is no directory " + filepath.Dir(p.Path)
		}
		return "it is read as soon as it appears; if the mail server logs to the journal only, use type: journald"
	case errors.Is(err, fs.ErrPermission):
		return permissionRemedy(p.Path)
	}
	return ""
}

// permissionRemedy names what bars the way to path: the first directory that can not be passed, or the file.
func permissionRemedy(path string) string {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if i, err := statPath(dir, 0); err == nil {
			if unix.Access(dir, unix.X_OK) != nil {
				return allow(dir, i, "pass", 0o010)
			}
			break
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	i, err := statPath(path, 0)
	if err != nil {
		return ""
	}
	return allow(path, i, "read", 0o040)
}

func allow(path string, i fileInfo, what string, groupBit uint16) string {
	owner, group := strconv.Itoa(int(i.uid)), strconv.Itoa(int(i.gid))
	if u, err := user.LookupId(owner); err == nil {
		owner = u.Username
	}
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	s := fmt.Sprintf("%s belongs to %s:%s, mode %04o: ", path, owner, group, i.mode&0o7777)
	if i.mode&groupBit == 0 {
		return s + fmt.Sprintf("its group may not %s it: chmod g+%s it, and see to it that rotation keeps that (for Postfix: maillog_file_permissions = 0640)",
			what, map[uint16]string{0o040: "r", 0o010: "x"}[groupBit])
	}
	return s + fmt.Sprintf("add the user to group %s (SupplementaryGroups=%s in the unit)", group, group)
}
