package logs

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"strconv"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/internal/disk"
)

// follower is one Run: the file being read, the one before it, and what is stored of both.
type follower struct {
	*logfile
	sink     inputs.LineSink
	at       *position // as stored; nil: nothing is
	oldAt    *position // as stored, not yet looked for
	all      bool      // read everything still held
	gaps     uint64
	cur      *file     // nil: to be found by at
	old      *file     // the one before it, plain, in case it still grows
	obstacle string    // last told of: what keeps the input from reading
	again    time.Time // when to list the directory again, if nothing else calls for it

	unstored int       // bytes that the sink has read and not stored
	since    time.Time // when the first of them was read
	due      bool      // some of them should not wait for more
	readAt   time.Time // when something was read last
	interest bool      // it was of interest
}

func newFollower(l *logfile, sink inputs.LineSink) (*follower, error) {
	f := &follower{logfile: l, sink: sink}
	stored, err := sink.Checkpoint()
	if err != nil {
		return nil, err
	}
	f.gaps, _ = strconv.ParseUint(stored["gaps"], 10, 64)
	if stored["start"] == string(inputs.StartBeginning) {
		f.all = true
		return f, nil
	}
	if f.at, err = decodePosition("", stored); err != nil {
		return nil, err
	}
	f.oldAt, err = decodePosition("old.", stored)
	return f, err
}

func (f *follower) close() {
	f.cur.close()
	f.old.close()
}

// step does the next piece of work; again is false when there is nothing left to do but wait.
func (f *follower) step(ctx context.Context) (again bool, err error) {
	if f.cur == nil {
		if f.obstacle != "" && time.Now().Before(f.again) {
			return false, nil
		}
		if err := f.resume(ctx); err != nil || f.cur == nil {
			return false, err
		}
		f.unblocked()
	}
	if err := f.drainOld(ctx); err != nil {
		return false, err
	}
	looked := time.Now()
	state, err := f.deliver(ctx, f.cur)
	switch {
	case err != nil:
		return false, err
	case state == more:
		return true, nil
	}
	if err := f.atEnd(ctx, looked); err != nil {
		return false, err
	}
	if state == rewritten {
		f.log.Warn("the log was truncated or written anew", "path", f.cur.path, "offset", f.cur.mark)
		f.cur.close()
		f.cur = nil
		return true, nil
	}
	return f.advance(ctx)
}

// lookFrom is when it is worth looking again at the earliest, whatever is written: a busy log would be looked at for every
// line.
func (f *follower) lookFrom() time.Time {
	if f.interest {
		return f.readAt.Add(gather)
	}
	return f.readAt.Add(settle)
}

// lookBy is when to look again at the latest; zero: whenever.
func (f *follower) lookBy() time.Time {
	if f.unstored == 0 {
		return time.Time{}
	}
	return f.since.Add(f.patience)
}

// atEnd stores what was read where there is nothing more to read, if it is time.
func (f *follower) atEnd(ctx context.Context, looked time.Time) error {
	if f.unstored > 0 && (f.due || time.Since(f.since) >= f.patience) {
		if err := f.store(ctx, f.cur.position()); err != nil {
			return err
		}
	}
	if err := f.sink.Settle(); err != nil {
		return err
	}
	if f.unstored == 0 {
		f.caughtUp.Store(looked.UnixNano())
	}
	return nil
}

// drainOld delivers what was written to the file before the current one after all.
func (f *follower) drainOld(ctx context.Context) error {
	for f.old != nil {
		state, err := f.deliver(ctx, f.old)
		switch {
		case err != nil:
			return err
		case state == more:
			continue
		case state == rewritten:
			f.dropOld()
		case f.old.unpack != nil, f.old.info.Links == 0 && time.Since(f.old.grown) > linger:
			return f.retireOld(ctx)
		}
		return nil
	}
	return nil
}

// retireOld lets the old file go. A line there without its end is complete now.
func (f *follower) retireOld(ctx context.Context) error {
	if f.old == nil {
		return nil
	}
	if err := f.readRest(f.old); err != nil {
		return err
	}
	if f.unstored > 0 {
		if err := f.commit(ctx, f.cur.position()); err != nil {
			return err
		}
	}
	f.dropOld()
	return nil
}

func (f *follower) dropOld() {
	f.old.close()
	f.old = nil
}

// advance goes on to the file after the current one, which is at its end, if it is time.
func (f *follower) advance(ctx context.Context) (again bool, err error) {
	live, err := disk.Stat(f.config.Path)
	switch {
	case err == nil && live.Same(f.cur.info):
		f.unblocked()
		return false, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		f.blocked(err)
		return false, nil
	case err == nil && !live.Regular():
		f.blocked(&fs.PathError{Op: "read", Path: f.config.Path, Err: disk.ErrNotRegular})
		return false, nil
	case (err != nil || live.Size == 0) && time.Now().Before(f.again):
		return false, nil
	}
	f.again = time.Now().Add(listEvery * f.config.Poll.Std())
	files, err := neighbours(f.config.Path, f.cur.position())
	if err != nil {
		f.blocked(err)
	}
	next := successors(files, f.cur.position(), f.indexOfCurrent(ctx, files))
	if !unread(next) || next[0].live && !f.quietNow() {
		return false, nil
	}
	return f.rotateTo(ctx, next[0])
}

// quietNow says whether the writer seems to have left the current file. One that never does can not hold up the next:
// both are read then.
func (f *follower) quietNow() bool {
	if f.cur.left.IsZero() {
		f.cur.left = time.Now()
	}
	return time.Since(f.cur.grown) >= f.quiet || time.Since(f.cur.left) >= 10*f.quiet
}

func unread(files []entry) bool {
	for _, e := range files {
		if e.Size > 0 {
			return true
		}
	}
	return false
}

// indexOfCurrent finds the current file in a listing, also if it has been compressed meanwhile.
func (f *follower) indexOfCurrent(ctx context.Context, files []entry) int {
	if i := indexOf(files, f.cur.info); i >= 0 {
		return i
	}
	p := f.cur.position()
	for i, e := range files {
		if p.offset == 0 || !e.packed || f.cur.isNot[e.Ino] {
			continue
		}
		twin, err := f.match(ctx, e, p)
		if err != nil {
			continue
		}
		if twin != nil {
			twin.close()
			return i
		}
		f.cur.not(e.Ino)
	}
	return -1
}

// rotateTo ends the current file and begins e, the next.
func (f *follower) rotateTo(ctx context.Context, e entry) (bool, error) {
	next, err := e.open()
	if err != nil {
		f.blockedUnlessMoved(err)
		return false, nil
	}
	err = f.readRest(f.cur)
	if err == nil && f.unstored > 0 {
		err = f.commit(ctx, f.cur.position())
	}
	if err != nil {
		next.close()
		return false, err
	}
	if f.old != nil && f.old.info.Same(next.info) { // the path came back to it, as a symlink can
		next.close()
		next, f.old = f.old, nil
	}
	if err := f.retireOld(ctx); err != nil {
		next.close()
		return false, err
	}
	f.log.Info("reading on in the next log file", "from", f.cur.path, "to", next.path)
	next.buf, next.recs = f.cur.handOverBuffers()
	if f.old, f.cur = f.cur, next; f.old.unpack != nil {
		f.dropOld()
	}
	f.unblocked()
	return true, nil
}

// blocked tells once what keeps the input from reading.
func (f *follower) blocked(err error) {
	if f.obstacle != err.Error() {
		f.obstacle = err.Error()
		f.log.Warn("waiting to read the log", "path", f.config.Path, "error", err, slog.String("remedy", remedy(err)))
	}
	f.again = time.Now().Add(listEvery * f.config.Poll.Std())
	w := whereabouts{gaps: f.gaps}
	if before := f.where.Load(); before != nil {
		w = *before
	}
	if w.waiting == "" {
		w.since = time.Now()
	}
	w.waiting, w.open = err.Error(), f.cur != nil
	if r := remedy(err); r != "" {
		w.waiting += ": " + r
	}
	f.where.Store(&w)
}

// blockedUnlessMoved is blocked for an error on a file that was listed: that it is no longer there means a rotation at this
// very moment, and the next listing shows it.
func (f *follower) blockedUnlessMoved(err error) {
	if !errors.Is(err, fs.ErrNotExist) {
		f.blocked(err)
	}
}

// unblocked says that what was in the way is gone.
func (f *follower) unblocked() {
	if f.obstacle != "" {
		f.obstacle = ""
		if w := f.where.Load(); w != nil {
			now := *w
			now.waiting, now.open = "", now.path != ""
			f.where.Store(&now)
		}
		f.log.Info("reading the log", "path", f.config.Path)
	}
}
