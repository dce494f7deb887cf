package mailbox

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"bouncefeed/inputs"
	"bouncefeed/internal/config"
	"bouncefeed/internal/disk"
	"bouncefeed/internal/event"
)

// CheckTrust says why trust is neither of the words that a mailbox's `trust:` takes.
func CheckTrust(trust string) error {
	if trust != "" {
		return new(mailTrust).UnmarshalText([]byte(trust))
	}
	var missing config.Errors
	errors.As(mailTrust("").check(config.Section{}), &missing)
	return errors.New(missing[0].Message)
}

// ReadMailbox is ReadFile for messages: of an mbox or of a file that is one message, as readMbox has them, or of a
// Maildir, as readMaildir has them.
func ReadMailbox(ctx context.Context, path string, from int64, commit func(recs []event.Record, at inputs.Spot) error) error {
	if path == "-" {
		return readMbox(ctx, os.Stdin, "standard input", from, commit)
	}
	if from == 0 && ctx.Err() == nil {
		buf := wholeBuffers.Get().(*wholeBuffer)
		defer wholeBuffers.Put(buf)
		if body, modified := buf.message(path); body != nil {
			size := int64(len(body))
			at := inputs.Spot{Offset: size, Read: size, Size: size}
			return commit([]event.Record{messageRecord(body, false, receivedTime(body, modified))}, at)
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.IsDir() {
		return readMaildir(ctx, path, st.Size(), commit)
	}
	return readMbox(ctx, f, path, from, commit)
}

// ReadOpen is ReadMailbox for an open pipe called name.
func ReadOpen(ctx context.Context, in *os.File, name string, commit func(recs []event.Record, at inputs.Spot) error) error {
	return readMbox(ctx, in, name, 0, commit)
}

// A wholeBuffer is where small files are read, one after the other.
type wholeBuffer [64 << 10]byte

var wholeBuffers = sync.Pool{New: func() any { return new(wholeBuffer) }}

// message reads a small file that is a plain message for itself with one open and one read, for a mailbox may be a hundred
// thousand of them. nil: it is something else, or can't be read so; the long way tells.
func (b *wholeBuffer) message(path string) (body []byte, modified time.Time) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size == 0 || st.Size > int64(len(b)) {
		return nil, modified
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, modified
	}
	defer unix.Close(fd)
	body = b[:st.Size]
	if n, err := unix.Read(fd, body); err != nil || n < len(body) || isMbox(path, body) || disk.Packed(body) {
		return nil, modified
	}
	return body, time.Unix(st.Mtim.Unix())
}

// isMbox says whether the first line that is not empty is a From_ line. A file called .eml is a message all the same.
func isMbox(name string, start []byte) bool {
	line, _, _ := bytes.Cut(bytes.TrimLeft(start, "\r\n"), []byte("\n"))
	return isFromLine(line) && !strings.HasSuffix(name, ".eml")
}

// readMbox reads an mbox to its end, plain or compressed as ReadLog does, message by message: Record.Time is when the
// message came, or else the file's modification time, Record.Body up to 1 MiB of it, flagged as Truncated if
// there was more. A file that does not begin with a From_ line, or is called .eml, is taken for one message. commit gets up to 500
// messages at a time, valid until it returns, and how far that is; from is a Spot's Offset, to go on there. What is
// delivered meanwhile is not read. Errors are those of ReadLog.
func readMbox(ctx context.Context, in *os.File, name string, from int64, commit func(recs []event.Record, at inputs.Spot) error) error {
	var at inputs.Spot
	file, latest := io.Reader(in), time.Now()
	if st, err := in.Stat(); err == nil && st.Mode().IsRegular() {
		latest = st.ModTime()
		if at.Size, err = sizeAtRest(ctx, in); err != nil {
			return unlessEnded(ctx, fmt.Errorf("read %s: %w", name, err))
		}
		file = io.LimitReader(in, at.Size)
	}
	contents, err := disk.Contents(file)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	r := bufio.NewReader(contents)
	if start, _ := r.Peek(1000); from == 0 && !isMbox(name, start) {
		return readOneMessage(ctx, r, name, at, latest, commit)
	}
	if _, err := io.CopyN(io.Discard, r, from); err != nil {
		return fmt.Errorf("go on in %s at byte %d: %w", name, from, err)
	}
	m := newMboxReader(r, from)
	m.latest, m.numbered = latest, from == 0
	for more := true; more && ctx.Err() == nil; {
		var recs []event.Record
		if recs, more, err = m.batch(); len(recs) > 0 {
			if at.Offset = m.offset; at.Size > 0 {
				at.Read, _ = in.Seek(0, io.SeekCurrent) // unknown is 0
			}
			if err := commit(recs, at); err != nil {
				return err
			}
		}
		if err != nil {
			return fmt.Errorf("read %s after %d bytes: %w", name, m.taken, err)
		}
	}
	return nil
}

// unlessEnded is err, nil if that is only ctx's end.
func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func readOneMessage(ctx context.Context, r io.Reader, name string, at inputs.Spot, latest time.Time, commit func(recs []event.Record, at inputs.Spot) error) error {
	body, err := io.ReadAll(io.LimitReader(r, maxMessage+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if len(body) == 0 || ctx.Err() != nil {
		return nil
	}
	rest, err := io.Copy(io.Discard, r)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	at.Offset, at.Read = int64(len(body))+rest, at.Size
	came := receivedTime(body, latest)
	return commit([]event.Record{messageRecord(body[:min(len(body), maxMessage)], len(body) > maxMessage, came)}, at)
}

// batch reads as many messages as one Commit takes; more is false at the end.
func (m *mboxReader) batch() (recs []event.Record, more bool, err error) {
	size := 0
	for len(recs) < batchCount && size < batchBytes {
		msg, err := m.next(nil)
		if err == io.EOF {
			return recs, false, nil
		}
		if err != nil {
			return recs, false, err
		}
		if msg.came.IsZero() {
			msg.came = receivedTime(msg.body, m.latest)
		}
		recs = append(recs, m.record(msg))
		size += len(msg.body)
	}
	return recs, true, nil
}

func (m *mboxReader) record(msg mboxMessage) event.Record {
	rec := messageRecord(msg.body, msg.truncated, msg.came)
	if m.numbered {
		rec.Line = msg.line
	}
	return rec
}
