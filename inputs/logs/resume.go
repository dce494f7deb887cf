package logs

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/internal/disk"
)

// resume finds the file to read from what is stored. It leaves cur nil when that has to wait.
func (f *follower) resume(ctx context.Context) error {
	var known []position
	for _, p := range []*position{f.at, f.oldAt} {
		if p != nil {
			known = append(known, *p)
		}
	}
	files, err := neighbours(f.config.Path, known...)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.blocked(err)
	}
	if len(files) == 0 || !files[len(files)-1].live {
		if i, err := disk.Stat(f.config.Path); err == nil && !i.Regular() {
			f.blocked(&fs.PathError{Op: "read", Path: f.config.Path, Err: disk.ErrNotRegular})
			return nil
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			f.blocked(err)
			return nil
		}
	}
	switch {
	case f.all:
		return f.startOldest(ctx, files)
	case f.at == nil:
		return f.startFirst(ctx, files)
	}
	if err := f.findCurrent(ctx, files); err != nil || f.cur == nil {
		return err
	}
	return f.findOld(ctx, files)
}

// startFirst begins without a checkpoint. Where it begins is stored at once: nothing later can be lost any more.
func (f *follower) startFirst(ctx context.Context, files []entry) error {
	var newest position
	if len(files) > 0 {
		e := files[len(files)-1]
		if e.live || !e.packed && f.config.Start == inputs.StartEnd {
			return f.begin(ctx, e)
		}
		newest.Mtime = e.Mtime + 1
	}
	return f.commit(ctx, newest) // the log is yet to appear; what is there now is history
}

// startOldest begins with the oldest file that can be read.
func (f *follower) startOldest(ctx context.Context, files []entry) error {
	for _, e := range files {
		o, err := e.open()
		if err == nil {
			return f.beginIn(ctx, o)
		}
		if e.live || errors.Is(err, fs.ErrNotExist) {
			f.blockedUnlessMoved(err)
			return nil
		}
		f.gaps++
		f.log.Error("a rotated log can not be read: its lines are left out", "path", e.path, "error", err)
	}
	return f.commit(ctx, position{})
}

// begin makes e the current file, from where the configuration says. It only says what is in its way.
func (f *follower) begin(ctx context.Context, e entry) error {
	o, err := e.open()
	if err == nil && f.config.Start == inputs.StartEnd {
		if err = o.seekEnd(ctx); err != nil {
			o.close()
		}
	}
	if err != nil {
		f.blockedUnlessMoved(err)
		return nil
	}
	return f.beginIn(ctx, o)
}

// beginIn makes o the current file and stores that.
func (f *follower) beginIn(ctx context.Context, o *file) error {
	f.cur = o
	return f.commit(ctx, o.position())
}

// findCurrent opens the file that the stored position is in: first the same inode, then the same contents.
func (f *follower) findCurrent(ctx context.Context, files []entry) error {
	var blocked error
	for _, sameInode := range []bool{true, false} {
		for i := len(files) - 1; i >= 0; i-- {
			e := files[i]
			if e.Same(f.at.Info) != sameInode {
				continue
			}
			o, err := f.match(ctx, e, *f.at)
			if o != nil {
				return f.resumeIn(ctx, o, files[:i])
			}
			if err != nil && (sameInode || e.live || e.Mtime >= f.at.Mtime) && !isDamage(err) {
				blocked = err
			}
		}
	}
	if blocked != nil {
		f.blockedUnlessMoved(blocked)
		return nil
	}
	return f.resumeAfterGap(ctx, files)
}

// isDamage says whether err lies in the contents, so that waiting does not help.
func isDamage(err error) bool {
	var p *fs.PathError
	return !errors.As(err, &p)
}

// match opens e at p if it is the file that p is in.
func (f *follower) match(ctx context.Context, e entry, p position) (*file, error) {
	same := e.Same(p.Info)
	if !same && (p.offset == 0 || e.class == renamed && !e.live) || !e.packed && e.Size < p.offset {
		return nil, nil
	}
	o, err := e.open()
	if err != nil {
		return nil, err
	}
	if p.offset == 0 {
		return o, nil
	}
	if ok, err := o.seek(ctx, p); !ok {
		o.close()
		return nil, err
	}
	return o, nil
}

// resumeIn goes on in o. older are the files before it. An empty file has no contents to be known by: copies that
// copytruncate made of what was written to it since are those born and written to after it was last seen.
func (f *follower) resumeIn(ctx context.Context, o *file, older []entry) error {
	if f.at.offset == 0 {
		for _, e := range older {
			if e.Mtime > f.at.Mtime && (e.Born > f.at.Mtime || e.Born == 0) {
				o.close()
				if o, err := e.open(); err == nil {
					return f.beginIn(ctx, o)
				}
				return nil
			}
		}
	}
	f.cur = o
	return nil
}

// resumeAfterGap begins the oldest file with anything unread after the stored position, which is nowhere any more.
func (f *follower) resumeAfterGap(ctx context.Context, files []entry) error {
	older := false
	for _, e := range files {
		if !e.live && e.Mtime < f.at.Mtime {
			older = true
			continue
		}
		if f.alreadyRead(e) {
			continue
		}
		// With nothing read before, nothing is missing as long as the files reach back far enough.
		o, err := e.open()
		if err != nil {
			f.blockedUnlessMoved(err)
			return nil
		}
		if f.at.Ino != 0 && !(f.at.offset == 0 && older) {
			f.gaps++
			f.log.Error("the place in the log is gone: lines may be missing", "file", f.at.path, "offset", f.at.offset,
				"last_written", time.Unix(0, f.at.Mtime).UTC(), "reading_on_at", e.path, "gaps", f.gaps)
		}
		return f.beginIn(ctx, o)
	}
	f.blocked(&fs.PathError{Op: "open", Path: f.config.Path, Err: fs.ErrNotExist})
	return nil
}

// alreadyRead says whether e is surely behind us: the file before the current one, or the beginning of what was read.
func (f *follower) alreadyRead(e entry) bool {
	if f.oldAt != nil && e.Same(f.oldAt.Info) || f.old != nil && e.Same(f.old.info) {
		return !e.live
	}
	if e.live || e.packed || f.at.offset == 0 || e.Size >= f.at.offset {
		return false
	}
	o, err := e.open()
	if err != nil {
		return false
	}
	defer o.close()
	head, err := o.peek()
	return err == nil && digest(head) == f.at.head
}

// findOld takes up the file before the current one where it can still be found.
func (f *follower) findOld(ctx context.Context, files []entry) error {
	if f.old != nil && f.old.info.Same(f.cur.info) {
		f.dropOld()
	}
	p := f.oldAt
	if p == nil {
		return nil
	}
	f.oldAt = nil
	for _, sameInode := range []bool{true, false} {
		for _, e := range files {
			if e.Same(p.Info) != sameInode || e.Same(f.cur.info) {
				continue
			}
			if o, err := f.match(ctx, e, *p); o != nil {
				f.old = o
				return nil
			} else if errors.Is(err, fs.ErrNotExist) {
				f.cur.close()
				f.cur, f.oldAt = nil, p
				return nil
			} else if err != nil {
				f.log.Warn("the log before the current one can not be read: late lines in it would be missed", "path", e.path, "error", err)
			}
		}
	}
	return nil
}
