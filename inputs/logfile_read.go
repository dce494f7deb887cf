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

// ReadFile reads a finished log to its end, plain, .gz, .xz, .zst or .bz2 (told by the contents), "-" for standard
// input, with the line splitting and limits of the logfile input: a line is cut at 16 KiB and then carries
// Meta{"truncated": "true"}. commit gets up to 4 MiB of lines at a time, without line ends, valid until it returns, and
// the offset in the decompressed contents up to which that is everything. Record.Time is the file's modification time:
// no line is younger. It ends early with nil when ctx ends, with the error of commit as it is, and with an error that
// names the file if that can not be read; what stood before the damage has then been handed over.
func ReadFile(ctx context.Context, path string, commit func(recs []event.Record, offset int64) error) error {
	in, name := os.Stdin, "standard input"
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		in, name = f, path
	}
	s := splitter{now: time.Now()}
	if st, err := in.Stat(); err == nil && st.Mode().IsRegular() {
		s.now = st.ModTime()
	} else if err == nil && st.IsDir() {
		return fmt.Errorf("read %s: is a directory", name)
	}
	r, err := contents(in)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	for more := true; more && ctx.Err() == nil; {
		more, err = s.fill(r)
		if !more && err == nil {
			s.last()
		}
		if len(s.recs) > 0 {
			if err := commit(s.recs, s.offset); err != nil {
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
