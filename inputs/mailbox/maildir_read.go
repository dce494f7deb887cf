package mailbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"bouncefeed/inputs"
	"bouncefeed/internal/disk"
	"bouncefeed/internal/event"
)

// readMaildir reads every message of the Maildir at path (or of its new or cur alone), as the maildir input would, and
// changes nothing. A Spot's Offset is always 0: names come and go, so that it begins anew. Read is the share of size that
// was gone through. Records and errors are those of readMbox; messages that were moved from under it are an error at the
// end.
func readMaildir(ctx context.Context, path string, size int64, commit func(recs []event.Record, at inputs.Spot) error) error {
	dirs, err := maildirParts(path)
	if err != nil {
		return err
	}
	r := maildirReading{commit: commit, size: size}
	for _, dir := range dirs {
		if err := readNames(dir, func(string) error { r.total++; return ctx.Err() }); err != nil {
			return unlessEnded(ctx, err)
		}
	}
	for _, dir := range dirs {
		err := readNames(dir, func(name string) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return r.file(filepath.Join(dir, name))
		})
		if err != nil {
			return unlessEnded(ctx, err)
		}
	}
	if err := r.flush(); err != nil {
		return err
	}
	if r.gone > 0 {
		return fmt.Errorf("read %s: %d messages were moved or deleted meanwhile: the same command finds those that are left", path, r.gone)
	}
	return nil
}

// maildirParts are the directories in which messages stand.
func maildirParts(path string) (parts []string, err error) {
	for _, sub := range []string{"new", "cur"} {
		st, err := os.Stat(filepath.Join(path, sub))
		switch {
		case err == nil && st.IsDir():
			parts = append(parts, filepath.Join(path, sub))
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	if len(parts) > 0 {
		return parts, nil
	}
	whole, err := filepath.Abs(path)
	if err == nil && !slices.Contains([]string{"new", "cur"}, filepath.Base(whole)) {
		err = fmt.Errorf("read %s: it is no Maildir, new and cur do not stand in it; of other directories name the files: %s", path, filepath.Join(path, "*"))
	}
	return []string{path}, err
}

// maildirReading gathers messages for a commit.
type maildirReading struct {
	commit      func(recs []event.Record, at inputs.Spot) error
	recs        []event.Record
	bytes       int
	size        int64
	done, total int64
	gone        int
}

func (r *maildirReading) file(path string) error {
	r.done++
	if filepath.Base(path)[0] == '.' {
		return nil
	}
	body, truncated, info, err := readMessage(path)
	switch {
	case errors.Is(err, disk.ErrNotRegular) || err == nil && info.Size == 0:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		r.gone++
		return nil
	case err != nil:
		return err
	}
	rec := messageRecord(body, truncated, deliveredAt(info))
	rec.File = path
	r.recs, r.bytes = append(r.recs, rec), r.bytes+len(body)
	if r.bytes < batchBytes && len(r.recs) < batchCount {
		return nil
	}
	return r.flush()
}

func (r *maildirReading) flush() error {
	if len(r.recs) == 0 {
		return nil
	}
	err := r.commit(r.recs, inputs.Spot{Read: r.size * r.done / max(r.total, r.done), Size: r.size})
	r.recs, r.bytes = nil, 0
	return err
}
