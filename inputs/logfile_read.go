package inputs

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"bouncefeed/internal/event"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// Spot is how far a finished log has been read.
type Spot struct {
	Offset     int64 // in the decompressed contents: up to here everything was handed over
	Read, Size int64 // bytes of the file as it lies on disk; Size 0: not known
}

// ReadFile reads a finished log to its end, plain, .gz, .xz, .zst or .bz2 (told by the contents), "-" for standard
// input, with the line splitting and limits of the logfile input: a line is cut at 16 KiB and then carries
// Truncated. commit gets up to 4 MiB of lines at a time, without line ends, valid until it returns, and
// how far that is. from is a Spot's Offset, to go on there. Record.Time is the file's modification time: no line is
// younger. It ends early with nil when ctx ends, with the error of commit as it is, and with an error that names the
// file if that can not be read; what stood before the damage has then been handed over.
func ReadFile(ctx context.Context, path string, from int64, commit func(recs []event.Record, at Spot) error) error {
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
func ReadLog(ctx context.Context, in *os.File, name string, from int64, commit func(recs []event.Record, at Spot) error) error {
	s := splitter{now: time.Now()}
	var at Spot
	if st, err := in.Stat(); err == nil && st.Mode().IsRegular() {
		s.now, at.Size = st.ModTime(), st.Size()
	} else if err == nil && st.IsDir() {
		return fmt.Errorf("read %s: is a directory", name)
	}
	r, err := contents(in)
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

// contents is r, decompressed if need be.
func contents(r io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(r, readBlock)
	magic, err := b.Peek(6)
	if notEOF(err) != nil {
		return nil, err
	}
	if u, err := unpack(magic, b); u != nil || err != nil {
		return u, err
	}
	return b, nil
}

// decompress is the contents of a compressed f, nil for a plain one.
func decompress(f *os.File) (io.Reader, error) {
	magic := make([]byte, 6)
	n, err := f.ReadAt(magic, 0)
	if notEOF(err) != nil {
		return nil, err
	}
	return unpack(magic[:n], f)
}

// Windows are bounded: `zstd -19` needs 8 MiB, `xz -9` 64 MiB of it only for contents as large.
const zstdWindow = 8 << 20

func unpack(magic []byte, r io.Reader) (io.Reader, error) {
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return gzip.NewReader(r)
	case bytes.HasPrefix(magic, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		return xz.NewReader(bufio.NewReader(r))
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		// With one decoder everything runs in Read: nothing to close.
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindow))
	case bytes.HasPrefix(magic, []byte("BZh")):
		return bzip2.NewReader(bufio.NewReader(r)), nil
	}
	return nil, nil
}
