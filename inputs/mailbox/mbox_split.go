package mailbox

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"regexp"
	"time"
)

var errNotMbox = errors.New("it is no mbox: it does not begin with a line like \"From jo@example.org Mon Nov 22 07:01:02 2026\"")

// mboxReader splits an mbox into its messages (RFC 4155, and mboxrd's way to quote "From "). A message begins with a From_
// line at the beginning or behind an empty line.
type mboxReader struct {
	r        *bufio.Reader
	offset   int64  // of the next message's From_ line
	from     []byte // that line, read already; nil: none was read yet
	taken    int64  // how far the contents were read
	inLine   bool   // what was read ends within a line
	ended    bool
	lines    int       // read, from where the reader began
	fromLine int       // of from, among them, from 1
	latest   time.Time // no message came later
	numbered bool      // records say where they begin
}

func newMboxReader(r io.Reader, offset int64) *mboxReader {
	return &mboxReader{r: bufio.NewReaderSize(r, 64<<10), offset: offset, taken: offset, latest: time.Now()}
}

// mboxMessage is one message with the line ends of the file, without the empty line that parts it from the next.
type mboxMessage struct {
	body      []byte    // appended to what next was given
	truncated bool      // at maxMessage
	came      time.Time // zero: the From_ line does not tell
	line      int       // of its From_ line
}

// next appends the next message to buf; io.EOF: there is none.
func (m *mboxReader) next(buf []byte) (mboxMessage, error) {
	if err := m.begin(); err != nil {
		return mboxMessage{}, err
	}
	msg := mboxMessage{body: buf, came: fromTime(m.from), line: m.fromLine}
	m.from = nil
	for blank := false; ; {
		at := m.taken
		line, part, err := m.line()
		if err != nil && err != io.EOF {
			return msg, err
		}
		if blank && !part && isFromLine(line) || len(line) == 0 {
			m.from, m.fromLine, m.offset, m.ended = bytes.Clone(line), m.lines, at, len(line) == 0
			if !msg.truncated {
				msg.body = cutLine(msg.body, len(buf))
			}
			return msg, nil
		}
		blank = !part && len(bytes.TrimRight(line, "\r\n")) == 0
		if !part && isQuotedFrom(line) {
			line = line[1:]
		}
		room := maxMessage - (len(msg.body) - len(buf))
		msg.truncated = msg.truncated || len(line) > room
		msg.body = append(msg.body, line[:min(len(line), max(0, room))]...)
	}
}

// begin makes sure that m.from is a From_ line.
func (m *mboxReader) begin() error {
	for len(m.from) == 0 && !m.ended {
		at := m.taken
		line, _, err := m.line()
		switch {
		case err != nil && err != io.EOF:
			return err
		case len(line) == 0:
			m.ended, m.offset = true, m.taken
		case isFromLine(line):
			m.from, m.fromLine, m.offset = bytes.Clone(line), m.lines, at
		case len(bytes.TrimSpace(line)) > 0:
			return errNotMbox
		}
	}
	if m.ended {
		return io.EOF
	}
	return nil
}

// line gives a line with its end, or a part of a very long one; part says that it is not its beginning.
func (m *mboxReader) line() (line []byte, part bool, err error) {
	part = m.inLine
	line, err = m.r.ReadSlice('\n')
	m.taken += int64(len(line))
	if err == bufio.ErrBufferFull {
		err = nil
	}
	if !part {
		m.lines++
	}
	m.inLine = len(line) > 0 && line[len(line)-1] != '\n'
	return line, part, err
}

// fromLine matches "From MAILER-DAEMON Mon Nov  2 07:01:02 2026", in the spellings in use: with a zone, without seconds.
var fromLine = regexp.MustCompile(`^From .*[ \t]\d{1,2}:\d\d(:\d\d)?[ \t].*\d{4}`)

func isFromLine(line []byte) bool {
	return bytes.HasPrefix(line, []byte("From ")) && len(line) < 1000 && fromLine.Match(line)
}

// isQuotedFrom knows ">From ", ">>From " …: one '>' was put before it.
func isQuotedFrom(line []byte) bool {
	return len(line) > 0 && line[0] == '>' && bytes.HasPrefix(bytes.TrimLeft(line[:min(len(line), 1000)], ">"), []byte("From "))
}

var ctime = regexp.MustCompile(`[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}`)

// fromTime is the time in a From_ line, which is this machine's; zero if there is none to be read.
func fromTime(line []byte) time.Time {
	t, err := time.ParseInLocation(time.ANSIC, string(ctime.Find(line)), time.Local)
	if err != nil {
		return time.Time{}
	}
	return t
}

// cutLine takes the empty line off the end of a message that begins at start.
func cutLine(b []byte, start int) []byte {
	for _, end := range []string{"\n\r\n", "\n\n"} {
		if bytes.HasSuffix(b[start:], []byte(end)) {
			return b[:len(b)-len(end)+1]
		}
	}
	return b
}
