package logs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"bouncefeed/internal/disk"
)

// Probe says whether the log and its directory can be read by this user.
func (l *logfile) Probe(context.Context) error {
	f, err := disk.Open(l.config.Path, disk.Read)
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

// remedy tells an admin what to do about err, from opening a log; "" where nothing is to be done.
func remedy(err error) string {
	r, p := disk.Remedy(err), (*fs.PathError)(nil)
	switch {
	case errors.Is(err, disk.ErrNotRegular):
		return "give the path of a log file"
	case r == "" && errors.Is(err, fs.ErrNotExist):
		return "it is read as soon as it appears; if the mail server logs to the journal only, use type: journald"
	case errors.Is(err, fs.ErrPermission) && errors.As(err, &p):
		if b := disk.BarredAt(p.Path); b != nil && !b.Directory && !b.OpenToGroup() {
			return r + ", and see to it that rotation keeps that (for Postfix: maillog_file_permissions = 0640)"
		}
	}
	return r
}
