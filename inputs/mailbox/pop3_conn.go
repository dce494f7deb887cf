package mailbox

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"time"
)

// pop3MaxLine is how much of a line is kept, in bytes (RFC 5322 §2.1.1 allows 998).
const pop3MaxLine = 64 << 10

var (
	errNotPOP3  = errors.New("the server's answer is no POP3")
	errInjected = errors.New("the server sent something between its answer to STLS and the beginning of TLS: somebody may be tampering with the connection")
)

// pop3Conn is the connection under the POP3 library. Every command starts the time of one operation. Read gives no
// more than one line, so that the library never holds what is behind the status line it asked for: the lines of a
// message or a listing are read here, where they are bounded.
type pop3Conn struct {
	net.Conn
	r    *bufio.Reader
	end  time.Time // of the session
	line []byte    // the current line, reused
	rest []byte    // of the status line being handed out
	dead error     // why nothing more can be read; nil: an error of the library is the server's -ERR
}

func newPOP3Conn(conn net.Conn) *pop3Conn {
	return &pop3Conn{Conn: conn, r: bufio.NewReaderSize(conn, 8<<10), end: time.Now().Add(maxSession)}
}

// Write sends a command. The clock of its operation starts here and nothing received stops it.
func (c *pop3Conn) Write(b []byte) (int, error) {
	deadline := time.Now().Add(maxOperation)
	if c.end.Before(deadline) {
		deadline = c.end
	}
	err := c.SetDeadline(deadline)
	n := 0
	if err == nil {
		n, err = c.Conn.Write(b)
	}
	return n, c.fail(err)
}

// fail keeps an error that ends the connection.
func (c *pop3Conn) fail(err error) error {
	if err != nil && c.dead == nil {
		c.dead = err
	}
	return err
}

// Read gives a status line: "+OK …" or "-ERR …".
func (c *pop3Conn) Read(b []byte) (int, error) {
	if len(c.rest) == 0 {
		line, err := c.status()
		if err != nil {
			return 0, err
		}
		c.rest = append(line, '\n')
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *pop3Conn) status() ([]byte, error) {
	line, cut, err := c.readLine()
	if err == nil && (cut || !bytes.HasPrefix(line, []byte("+")) && !bytes.HasPrefix(line, []byte("-ERR"))) {
		err = errNotPOP3
	}
	return line, c.fail(err)
}

// readLine gives a line without its end, valid until the next call; cut says that it was longer than what is given.
func (c *pop3Conn) readLine() (line []byte, cut bool, err error) {
	c.line = c.line[:0]
	for {
		part, err := c.r.ReadSlice('\n')
		keep := min(len(part), pop3MaxLine-len(c.line))
		c.line = append(c.line, part[:keep]...)
		cut = cut || keep < len(bytes.TrimRight(part, "\r\n"))
		if err == nil {
			return bytes.TrimSuffix(bytes.TrimSuffix(c.line, []byte("\n")), []byte("\r")), cut, nil
		}
		if err != bufio.ErrBufferFull {
			return nil, cut, c.fail(err)
		}
	}
}

// lines gives the lines of a multi-line answer (RFC 1939 §3), its dots unstuffed, until its end or the end of ok.
func (c *pop3Conn) lines(each func(line []byte, cut bool) (ok bool)) error {
	for {
		line, cut, err := c.readLine()
		if err != nil {
			return err
		}
		if dotted := bytes.HasPrefix(line, []byte(".")); dotted && len(line) == 1 {
			return nil
		} else if dotted {
			line = line[1:]
		}
		if !each(line, cut) {
			return c.fail(errStopped)
		}
	}
}

// errStopped: the rest of an answer was not read, so the connection is of no more use.
var errStopped = errors.New("answer not read to its end")
