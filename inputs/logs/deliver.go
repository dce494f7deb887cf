package logs

import (
	"context"
	"io"
	"strconv"
	"strings"
	"time"

	"bouncefeed/internal/disk"
)

type readState int

const (
	atEnd     readState = iota
	more                // there may be more
	rewritten           // the contents are not those that were read before
)

// deliver has the sink read one block of src, and what was read stored where that is a batch.
func (f *follower) deliver(ctx context.Context, src *file) (readState, error) {
	was := src.info
	if err := src.stat(); err != nil {
		return atEnd, err
	}
	if src.unpack == nil && src.info.Size < max(was.Size, src.read) {
		return f.deliverRewritten(ctx, src, was)
	}
	if src.unpack == nil && src.info.Size == src.read && src.info.Mtime == was.Mtime {
		return atEnd, nil
	}
	now := time.Now()
	n, err := src.splitter.read(src)
	if n > 0 {
		src.grown = now
	}
	if err != nil && err != io.EOF && src.unpack == nil {
		return atEnd, err
	}
	if !src.intact() {
		return f.deliverRewritten(ctx, src, was)
	}
	if err := f.read(src, src.lines(), now); err != nil {
		return atEnd, err
	}
	if f.unstored >= MaxBatch {
		if err := f.store(ctx, f.cur.position()); err != nil {
			return atEnd, err
		}
	}
	switch {
	case err != nil && err != io.EOF:
		return atEnd, f.damaged(ctx, src, err)
	case err == nil && (src.unpack != nil || n == readBlock):
		return more, nil
	}
	return atEnd, nil
}

// deliverRewritten stores what was read before src was truncated or written anew: as of was, with which it can be found in
// a copy.
func (f *follower) deliverRewritten(ctx context.Context, src *file, was disk.Info) (readState, error) {
	if f.unstored == 0 {
		return rewritten, nil
	}
	src.info = was
	return rewritten, f.store(ctx, f.cur.position())
}

// read has the sink read lines of src.
func (f *follower) read(src *file, lines []byte, now time.Time) error {
	if len(lines) == 0 {
		return nil
	}
	due, err := f.sink.Read(lines, now, f.gaps)
	if err != nil {
		return err
	}
	if f.unstored == 0 {
		f.since, f.due = now, false
	}
	f.readAt, f.interest = now, due
	f.unstored, f.due = f.unstored+len(lines), f.due || due
	src.verified()
	return nil
}

// readRest has the sink read the last line of src, to which no LF will come any more.
func (f *follower) readRest(src *file) error { return f.read(src, src.rest(), time.Now()) }

// damaged ends the reading of a compressed file that can not be decompressed any further.
func (f *follower) damaged(ctx context.Context, src *file, err error) error {
	f.gaps++
	f.log.Error("a rotated log is damaged: its remaining lines are lost", "path", src.path, "offset", src.offset, "error", err)
	src.unpack.Reset(strings.NewReader(""))
	src.forget()
	return f.store(ctx, f.cur.position())
}

// commit stores what was read and the position at.
func (f *follower) commit(ctx context.Context, at position) error {
	if err := f.store(ctx, at); err != nil {
		return err
	}
	return f.sink.Settle()
}

// store has the sink begin to store what was read and the position at.
func (f *follower) store(ctx context.Context, at position) error {
	checkpoint := make(map[string]string, 20)
	at.encode("", checkpoint)
	switch {
	case f.old != nil:
		f.old.position().encode("old.", checkpoint)
	case f.oldAt != nil:
		f.oldAt.encode("old.", checkpoint)
	}
	checkpoint["gaps"] = strconv.FormatUint(f.gaps, 10)
	where := &whereabouts{position: at, gaps: f.gaps, open: true}
	if err := f.sink.Store(ctx, checkpoint, func() { f.where.Store(where) }); err != nil {
		return err
	}
	f.at, f.all, f.unstored, f.due = &at, false, 0, false
	return nil
}
