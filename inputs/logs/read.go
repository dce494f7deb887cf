package logs

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/internal/disk"
	"bouncefeed/internal/event"
)

// ReadFile reads a finished log to its end, plain, .gz, .xz, .zst or .bz2 (told by the contents), "-" for standard
// input, with the line splitting and limits of the logfile input: a line is cut at 16 KiB and then carries
// Truncated. commit gets up to 4 MiB of lines at a time, without line ends, valid until it returns, and
// how far that is. from is a Spot's Offset, to go on there. Record.Time is the file's modification time: no line is
// younger. It ends early with nil when ctx ends, with the error of commit as it is, and with an error that names the
// file if that can not be read; what stood before the damage has then been handed over.
func ReadFile(ctx context.Context, path string, from int64, commit func(recs []event.Record, at inputs.Spot) error) error {
	if path == "-" {
		return ReadLog(ctx, os.Stdin, "standard input", from, commit)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return ReadLog(ctx, f, path, from, commit)
}

// ReadLog is ReadFile for an open file or pipe called name.
func ReadLog(ctx context.Context, in *os.File, name string, from int64, commit func(recs []event.Record, at inputs.Spot) error) error {
	s := splitter{now: time.Now()}
	var at inputs.Spot
	if st, err := in.Stat(); err == nil && st.Mode().IsRegular() {
		s.now, at.Size = st.ModTime(), st.Size()
	} else if err == nil && st.IsDir() {
		return fmt.Errorf("read %s: is a directory", name)
	}
	r, err := disk.Contents(in)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if s.offset, err = io.CopyN(io.Discard, r, from); err != nil {
		return fmt.Errorf("go on in %s at byte %d: %w", name, from, err)
	}
	for more := true; more && ctx.Err() == nil; {
		more, err = s.fill(r)
		if !more && err == nil {
			s.last()
		}
		if len(s.recs) > 0 {
			at.Offset = s.offset
			if at.Size > 0 {
				at.Read, _ = in.Seek(0, io.SeekCurrent) // unknown is 0
			}
			if err := commit(s.recs, at); err != nil {
				return err
			}
			s.take()
		}
		if err != nil {
			return fmt.Errorf("read %s after %d bytes: %w", name, s.offset, err)
		}
	}
	return nil
}
