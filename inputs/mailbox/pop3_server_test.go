package mailbox

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// pop3Server is a maildrop as RFC 1939 has it: what DELE marks goes at QUIT.
type pop3Server struct {
	*testing.T
	listener net.Listener
	tls      tls.Certificate
	mode     string // as `tls` in the configuration

	mu       sync.Mutex
	drop     []pop3Mail
	added    int
	commands []string // received, without their arguments' secrets
	open     map[net.Conn]bool
	password string
	no       []string // commands the server does not know
	// meddle, if set, sees every command first; true: it answered, and the session goes on. "" is the greeting.
	meddle func(conn net.Conn, command string) bool
}

// pop3Mail is one message, with LF line ends.
type pop3Mail struct{ uid, body string }

func newPOP3Server(t *testing.T, mode string) *pop3Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &pop3Server{T: t, listener: l, mode: mode, password: "sesame", open: map[net.Conn]bool{}}
	if mode != tlsNone {
		s.tls = testCertificate(t)
	}
	var sessions sync.WaitGroup
	sessions.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.open[conn] = true
			s.mu.Unlock()
			sessions.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.cut()
		sessions.Wait()
	})
	return s
}

// cut closes all connections.
func (s *pop3Server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.open {
		conn.Close()
	}
}

// set changes what the next session finds.
func (s *pop3Server) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// interfere has f see every command of the next sessions.
func (s *pop3Server) interfere(f func(conn net.Conn, command string) bool) {
	s.set(func() { s.meddle = f })
}

func (s *pop3Server) port() int { return s.listener.Addr().(*net.TCPAddr).Port }

// add puts n bounces into the maildrop.
func (s *pop3Server) add(n int) (bodies []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.added++
		body := fmt.Sprintf("Received: from mx by us; Mon, 2 Nov 2026 07:00:%02d +0000\nMessage-ID: <%d@mx>\nSubject: failure\n\n.dot\n..\nuser %d unknown\n", s.added%60, s.added, s.added)
		s.drop = append(s.drop, pop3Mail{fmt.Sprintf("uid-%d", s.added), body})
		bodies = append(bodies, body)
	}
	return bodies
}

func (s *pop3Server) left() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var left []string
	for _, m := range s.drop {
		left = append(left, m.body)
	}
	return left
}

// asked counts the commands that begin with prefix.
func (s *pop3Server) asked(prefix string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.commands {
		if strings.HasPrefix(c, prefix) {
			n++
		}
	}
	return n
}

// pop3Talk is one session of the server.
type pop3Talk struct {
	*pop3Server
	conn    net.Conn
	r       *bufio.Reader
	drop    []pop3Mail // as of the login
	no      []string
	deleted map[int]bool
}

func (s *pop3Server) serve(conn net.Conn) {
	defer func() {
		conn.Close()
		s.mu.Lock()
		delete(s.open, conn)
		s.mu.Unlock()
	}()
	s.mu.Lock()
	t := &pop3Talk{pop3Server: s, conn: conn, drop: slices.Clone(s.drop), no: s.no, deleted: map[int]bool{}}
	meddle := s.meddle
	s.mu.Unlock()
	if s.mode == tlsImplicit {
		t.conn = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{s.tls}})
	}
	t.r = bufio.NewReader(t.conn)
	if meddle == nil || !meddle(t.conn, "") {
		t.say("+OK ready")
	}
	for {
		line, err := t.r.ReadString('\n')
		if err != nil {
			return
		}
		command := strings.TrimRight(line, "\r\n")
		s.mu.Lock()
		s.commands = append(s.commands, command)
		s.mu.Unlock()
		if meddle != nil && meddle(t.conn, command) {
			continue
		}
		if !t.answer(command) {
			return
		}
	}
}

func (t *pop3Talk) say(format string, args ...any) { fmt.Fprintf(t.conn, format+"\r\n", args...) }

// answer says whether the session goes on.
func (t *pop3Talk) answer(command string) bool {
	verb, rest, _ := strings.Cut(command, " ")
	arg, _, _ := strings.Cut(rest, " ")
	n, _ := strconv.Atoi(arg)
	exists := n > 0 && n <= len(t.drop) && !t.deleted[n]
	switch {
	case slices.Contains(t.no, verb):
		t.say("-ERR unknown command")
	case verb == "STLS":
		t.say("+OK")
		t.conn = tls.Server(t.conn, &tls.Config{Certificates: []tls.Certificate{t.tls}})
		t.r = bufio.NewReader(t.conn)
	case verb == "USER", verb == "NOOP":
		t.say("+OK")
	case verb == "PASS":
		t.mu.Lock()
		right := rest == t.password
		t.mu.Unlock()
		if !right {
			t.say("-ERR [AUTH] %s is wrong", rest)
			return true
		}
		t.say("+OK logged in")
	case verb == "AUTH":
		t.auth(arg)
	case verb == "UIDL", verb == "LIST":
		t.listing(verb)
	case !exists && verb != "QUIT":
		t.say("-ERR no such message")
	case verb == "RETR", verb == "TOP":
		t.message(t.drop[n-1].body, verb == "TOP")
	case verb == "DELE":
		t.deleted[n] = true
		t.say("+OK")
	case verb == "QUIT":
		t.quit()
		t.say("+OK bye")
		return false
	}
	return true
}

func (t *pop3Talk) listing(verb string) {
	w := bufio.NewWriter(t.conn)
	defer w.Flush()
	fmt.Fprint(w, "+OK\r\n")
	for i, m := range t.drop {
		fmt.Fprintf(w, "%d %s\r\n", i+1, map[string]string{"UIDL": m.uid, "LIST": strconv.Itoa(len(m.body))}[verb])
	}
	fmt.Fprint(w, ".\r\n")
}

func (t *pop3Talk) message(body string, headerOnly bool) {
	w := bufio.NewWriter(t.conn)
	defer w.Flush()
	fmt.Fprint(w, "+OK\r\n")
	for line := range strings.Lines(body) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, ".") {
			line = "." + line
		}
		fmt.Fprintf(w, "%s\r\n", line)
		if headerOnly && line == "" {
			break
		}
	}
	fmt.Fprint(w, ".\r\n")
}

// auth takes the token "ticket".
func (t *pop3Talk) auth(mechanism string) {
	t.say("+ ")
	line, _ := t.r.ReadString('\n')
	b, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(line))
	want := map[string]string{
		"XOAUTH2":     "user=bounces\x01auth=Bearer ticket\x01\x01",
		"OAUTHBEARER": fmt.Sprintf("n,a=bounces,\x01host=127.0.0.1\x01port=%d\x01auth=Bearer ticket\x01\x01", t.port()),
	}
	if string(b) == want[mechanism] {
		t.say("+OK")
		return
	}
	t.say("+ %s", base64.StdEncoding.EncodeToString([]byte(`{"status":"invalid_token"}`)))
	_, _ = t.r.ReadString('\n')
	t.say("-ERR no entry")
}

func (t *pop3Talk) quit() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for n := range t.deleted {
		gone := t.drop[n-1]
		t.pop3Server.drop = slices.DeleteFunc(t.pop3Server.drop, func(m pop3Mail) bool { return m == gone })
	}
}
