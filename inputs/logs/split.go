package logs

import (
	"bytes"
	"io"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/internal/event"
)

const (
	maxLine    = inputs.MaxLine
	readBlock  = 256 << 10 // of one read
	MaxBatch   = 4 << 20   // of one Commit, bytes: each Commit costs an fsync
	maxRecords = 32 << 10  // of one Commit; very short lines would need more memory than the batch itself
	printSize  = 1 << 10   // of a fingerprint, bytes
	smallBuf   = readBlock + 2*maxLine
	largeBuf   = readBlock + MaxBatch
	maxKept    = maxLine + 2 // of an incomplete line, bytes: enough to see that it is too long, even with a CR at its end
)

// splitter cuts a stream into lines, each a slice of the buffer that was read: no copy and no allocation per line.
// A batch is what fill gathered; take gives it back and makes room. What stands before the first line not yet complete
// is always accounted for: offset is that line's place in the stream, tail are the bytes before it.
//
// Lines end at LF only; what goes of one is inputs.Line's to say. Whatever is dropped still counts in offset and tail.
//
// Who takes lines as they stand has read and lines instead: one block at a time, and no batch.
type splitter struct {
	buf    []byte
	n      int   // buf[:n] holds data
	from   int   // where the first line not yet complete begins
	scan   int   // buf[from:scan] holds no LF
	rolled int   // buf[:rolled] has gone into roll
	offset int64 // of buf[from] in the stream
	lost   int64 // bytes of the incomplete line that were dropped from the buffer
	roll   []byte
	held   []byte // the tail while lost > 0
	now    time.Time
	recs   []event.Record
}

// fill reads on until a batch is complete or r ends; then more is false.
func (s *splitter) fill(r io.Reader) (more bool, err error) {
	s.split() // what the last batch had no room for
	for len(s.recs) < maxRecords && (s.n < MaxBatch || len(s.recs) == 0) {
		n, err := r.Read(s.space())
		s.n += n
		s.split()
		if err != nil && s.scan == s.n { // else there was no room for all; r says it again
			return false, notEOF(err)
		}
	}
	return true, nil
}

// space is room for one block. The buffer is small until more than one block comes at once.
func (s *splitter) space() []byte {
	if len(s.recs) == 0 && s.from > 0 {
		s.compact()
	}
	if len(s.buf)-s.n < readBlock {
		if s.n+readBlock <= smallBuf {
			s.resize(smallBuf)
		} else {
			s.resize(largeBuf)
			s.recs = append(make([]event.Record, 0, maxRecords), s.recs...)
		}
	}
	return s.buf[s.n : s.n+readBlock]
}

func (s *splitter) resize(size int) {
	old := s.buf
	s.buf = make([]byte, size)
	copy(s.buf, old[:s.n])
}

// shrink gives the memory of a backlog back.
func (s *splitter) shrink() {
	if s.compact(); len(s.buf) > smallBuf && s.n <= smallBuf {
		s.resize(smallBuf)
		s.recs = nil
	}
}

func (s *splitter) compact() {
	s.settle()
	copy(s.buf, s.buf[s.from:s.n])
	s.n, s.scan, s.rolled, s.from = s.n-s.from, s.scan-s.from, s.rolled-s.from, 0
}

func (s *splitter) split() {
	for len(s.recs) < maxRecords {
		i := bytes.IndexByte(s.buf[s.scan:s.n], '\n')
		if i < 0 {
			s.scan = s.n
			s.bound()
			return
		}
		s.line(s.scan+i, 1)
	}
}

// read reads one block of r, as io.Reader does.
func (s *splitter) read(r io.Reader) (n int, err error) {
	if s.from > 0 {
		s.compact()
	}
	if len(s.buf)-s.n < readBlock {
		s.resize(smallBuf)
	}
	n, err = r.Read(s.buf[s.n : s.n+readBlock])
	s.n += n
	return n, err
}

// lines gives the whole lines that were read, each with its LF, valid until the next read.
func (s *splitter) lines() []byte {
	end := s.scan + bytes.LastIndexByte(s.buf[s.scan:s.n], '\n') + 1
	var whole []byte
	if end > s.scan {
		whole = s.upTo(end)
	}
	s.scan = s.n
	s.bound()
	return whole
}

// rest gives the last line, which will get no LF any more.
func (s *splitter) rest() []byte {
	if s.n == s.from && s.lost == 0 {
		return nil
	}
	return s.upTo(s.n)
}

func (s *splitter) upTo(end int) []byte {
	whole := s.buf[s.from:end]
	s.offset += int64(len(whole)) + s.lost
	s.from, s.scan, s.lost = end, end, 0
	return whole
}

// line ends the current line at buf[end], where a line end of size bytes follows.
func (s *splitter) line(end, size int) {
	line, cut := inputs.Line(s.buf[s.from:end])
	s.offset += int64(end+size-s.from) + s.lost
	s.from, s.scan, s.lost = end+size, end+size, 0
	if len(line) == 0 {
		return
	}
	s.recs = append(s.recs, event.Record{Time: s.now, Body: line, Truncated: cut})
}

// last makes a record of a line that will get no LF any more.
func (s *splitter) last() {
	if s.n > s.from || s.lost > 0 {
		s.line(s.n, 0)
	}
}

// forget leaves out a line whose end is damaged.
func (s *splitter) forget() {
	s.compact()
	s.roll = append(s.roll[:0], s.tail()...)
	s.n, s.scan, s.rolled, s.lost = 0, 0, 0, 0
}

// bound keeps the incomplete line small: NULs at its start go, and all that does not matter beyond maxLine.
func (s *splitter) bound() {
	rest := bytes.TrimLeft(s.buf[s.from:s.n], "\x00")
	s.drop(s.from, s.n-len(rest))
	if s.n-s.from > maxKept {
		s.drop(s.from+maxKept, s.n)
	}
}

func (s *splitter) drop(a, b int) {
	if a == b {
		return
	}
	if s.lost == 0 {
		s.held = append(s.held[:0], s.tail()...)
	}
	s.roll = appendTail(s.roll, s.buf[s.rolled:b])
	s.lost += int64(b - a)
	copy(s.buf[a:], s.buf[b:s.n])
	s.n -= b - a
	s.scan, s.rolled = s.n, a
}

// settle moves what is complete into roll.
func (s *splitter) settle() {
	if s.rolled < s.from {
		s.roll = appendTail(s.roll, s.buf[s.rolled:s.from])
		s.rolled = s.from
	}
}

// tail is the last printSize bytes of the stream before offset. Valid until the next call of any method.
func (s *splitter) tail() []byte {
	if s.lost > 0 {
		return s.held
	}
	s.settle()
	return s.roll
}

// take ends the batch: its records are no longer needed.
func (s *splitter) take() {
	s.settle()
	s.recs = s.recs[:0]
}

// handOverBuffers hands the memory on to the splitter of the next file; nothing may be left in it.
func (s *splitter) handOverBuffers() ([]byte, []event.Record) {
	s.compact()
	buf, recs := s.buf, s.recs
	s.buf, s.recs = nil, nil
	return buf, recs
}

// startAt makes s continue a stream at offset, with tail before it.
func (s *splitter) startAt(offset int64, tail []byte) {
	*s = splitter{buf: s.buf, recs: s.recs[:0], offset: offset, roll: append(s.roll[:0], tail...)}
}

// appendTail keeps the last printSize bytes of tail and b together, in tail's memory.
func appendTail(tail, b []byte) []byte {
	if len(b) >= printSize {
		return append(tail[:0], b[len(b)-printSize:]...)
	}
	if over := len(tail) + len(b) - printSize; over > 0 {
		tail = tail[:copy(tail, tail[over:])]
	}
	return append(tail, b...)
}
