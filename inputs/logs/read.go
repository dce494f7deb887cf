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
	l, err := openLog(in, name, from)
	if err != nil {
		return err
	}
	for more := true; more && ctx.Err() == nil; {
		more, err = l.fill(l.contents)
		if !more && err == nil {
			l.last()
		}
		if len(l.recs) > 0 {
			if err := commit(l.recs, l.spot()); err != nil {
				return err
			}
			l.take()
		}
		if err != nil {
			return fmt.Errorf("read %s after %d bytes: %w", name, l.offset, err)
		}
	}
	return nil
}

// ReadLines is ReadFile for a LineSink: read gets one block of whole lines after the other, with the time of Record.Time.
func ReadLines(ctx context.Context, path string, from int64, read func(lines []byte, time time.Time, at inputs.Spot) error) error {
	in, name := os.Stdin, "standard input"
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		in, name = f, path
	}
	l, err := openLog(in, name, from)
	if err != nil {
		return err
	}
	for err == nil && ctx.Err() == nil {
		_, err = l.read(l.contents)
		lines := l.lines()
		if err == io.EOF {
			if len(lines) > 0 {
				if err := read(lines, l.now, l.spot()); err != nil {
					return err
				}
			}
			lines = l.rest()
		}
		if len(lines) > 0 {
			if err := read(lines, l.now, l.spot()); err != nil {
				return err
			}
		}
	}
	if err != nil && err != io.EOF {
		return fmt.Errorf("read %s after %d bytes: %w", name, l.offset, err)
	}
	return nil
}

// openedLog is a finished log being read.
type openedLog struct {
	splitter
	in       *os.File
	contents io.Reader
	size     int64
}

func openLog(in *os.File, name string, from int64) (*openedLog, error) {
	l := &openedLog{splitter: splitter{now: time.Now()}, in: in}
	if st, err := in.Stat(); err == nil && st.Mode().IsRegular() {
		l.now, l.size = st.ModTime(), st.Size()
	} else if err == nil && st.IsDir() {
		return nil, fmt.Errorf("read %s: is a directory", name)
	}
	var err error
	if l.contents, err = disk.Contents(in); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if l.offset, err = io.CopyN(io.Discard, l.contents, from); err != nil {
		return nil, fmt.Errorf("go on in %s at byte %d: %w", name, from, err)
	}
	return l, nil
}

// spot is how far it was read.
func (l *openedLog) spot() inputs.Spot {
	at := inputs.Spot{Offset: l.offset, Size: l.size}
	if at.Size > 0 {
		at.Read, _ = l.in.Seek(0, io.SeekCurrent) // unknown is 0
	}
	return at
}
