package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"bouncefeed/internal/e2e/e2etest"
)

// mailServer is an SMTP server (RFC 5321) whose answers are the test's.
type mailServer struct {
	name string
	// rcpt answers RCPT TO:<addr>, data the end of DATA. Empty: 250. Several lines: a multi-line reply, as written.
	// hangUp: the connection ends there.
	rcpt func(addr string) string
	data func(m message) string
}

// message is one mail transaction.
type message struct {
	from string
	to   []string
	body []byte
}

// listen serves on addr until the test ends.
func (s *mailServer) listen(t *testing.T, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	var sessions sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	sessions.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[conn] = true
			mu.Unlock()
			sessions.Go(func() {
				s.session(conn)
				conn.Close()
				mu.Lock()
				delete(open, conn)
				mu.Unlock()
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for conn := range open {
			conn.Close()
		}
		mu.Unlock()
		sessions.Wait()
	})
}

var errHangUp = errors.New("hang up")

func (s *mailServer) session(conn net.Conn) {
	_ = conn.SetDeadline(time.Now().Add(e2etest.Patience))
	in := bufio.NewReader(conn)
	answer := func(text string) error {
		if text == hangUp {
			return errHangUp
		}
		if text == "" {
			text = "250 2.0.0 Ok"
		}
		_, err := conn.Write([]byte(strings.ReplaceAll(text, "\n", "\r\n") + "\r\n"))
		return err
	}
	err := answer("220 " + s.name + " ESMTP")
	var m message
	for err == nil {
		var line string
		if line, err = in.ReadString('\n'); err != nil {
			return
		}
		verb, arg, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		switch strings.ToUpper(verb) {
		case "EHLO":
			err = answer("250-" + s.name + "\n250-PIPELINING\n250-ENHANCEDSTATUSCODES\n250-SMTPUTF8\n250 8BITMIME")
		case "MAIL":
			m = message{from: path(arg)}
			err = answer("")
		case "RCPT":
			reply := s.rcpt(path(arg))
			if reply == "" {
				m.to = append(m.to, path(arg))
			}
			err = answer(reply)
		case "DATA":
			err = s.receive(in, answer, &m)
		case "QUIT":
			_ = answer("221 2.0.0 Bye")
			return
		default: // RSET, NOOP, HELO
			err = answer("")
		}
	}
}

// receive reads the mail data up to the final dot.
func (s *mailServer) receive(in *bufio.Reader, answer func(string) error, m *message) error {
	if len(m.to) == 0 {
		return answer("554 5.5.1 No valid recipients")
	}
	if err := answer("354 End data with <CR><LF>.<CR><LF>"); err != nil {
		return err
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		if line == ".\r\n" {
			return answer(s.data(*m))
		}
		m.body = append(m.body, strings.TrimPrefix(line, ".")...)
	}
}

// path takes the address out of "TO:<jo@example.org> NOTIFY=…" (RFC 5321 §4.1.2).
func path(arg string) string {
	_, rest, _ := strings.Cut(arg, "<")
	addr, _, _ := strings.Cut(rest, ">")
	return addr
}

// startSink listens as the MX of every test domain and answers as the recipient's scenario says.
func startSink(t *testing.T) {
	t.Helper()
	var mu sync.Mutex
	asked := map[string]bool{}
	sink := &mailServer{name: "mx.sink.test"}
	sink.rcpt = func(addr string) string {
		mu.Lock()
		defer mu.Unlock()
		s := scenarioOf(addr)
		if s.once && asked[addr] {
			return ""
		}
		asked[addr] = true
		if strings.Contains(s.rcpt, "%s") {
			return fmt.Sprintf(s.rcpt, addr)
		}
		return s.rcpt
	}
	sink.data = func(m message) string { return scenarioOf(m.to[0]).data }
	sink.listen(t, sinkAddr+":25")
}
