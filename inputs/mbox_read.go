package inputs

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"bouncefeed/internal/event"
)

// ReadMbox reads an mbox to its end, plain or compressed as ReadLog does, message by message: Record.Time is when the
// message came, Record.Body up to 1 MiB of it, flagged by Meta{"truncated": "true"} if there was more. A file that does
// not begin with a From_ line is taken for one message. commit gets up to 500 messages at a time, valid until it
// returns, and how far that is; from is a Spot's Offset, to go on there. Errors are those of ReadLog.
func ReadMbox(ctx context.Context, in *os.File, name string, from int64, commit func(recs []event.Record, at Spot) error) error {
	var at Spot
	if st, err := in.Stat(); err == nil && st.IsDir() {
		return fmt.Errorf("read %s: is a directory", name)
	} else if err == nil && st.Mode().IsRegular() {
		at.Size = st.Size()
	}
	contents, err := contents(in)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	r := bufio.NewReader(contents)
	if start, _ := r.Peek(5); from == 0 && !bytes.Equal(start, []byte("From ")) {
		return readOneMessage(r, name, at, commit)
	}
	if _, err := io.CopyN(io.Discard, r, from); err != nil {
		return fmt.Errorf("go on in %s at byte %d: %w", name, from, err)
	}
	m := newMboxReader(r, from)
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

func readOneMessage(r io.Reader, name string, at Spot, commit func(recs []event.Record, at Spot) error) error {
	body, err := io.ReadAll(io.LimitReader(r, maxMessage+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if len(body) == 0 {
		return nil
	}
	rest, err := io.Copy(io.Discard, r)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	at.Offset, at.Read = int64(len(body))+rest, at.Size
	return commit([]event.Record{messageRecord(body[:min(len(body), maxMessage)], len(body) > maxMessage, fromTime(nil))}, at)
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
		recs = append(recs, messageRecord(msg.body, msg.truncated, msg.came))
		size += len(msg.body)
	}
	return recs, true, nil
}
