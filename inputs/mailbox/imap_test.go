package mailbox

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"bouncefeed/inputs"
	"bouncefeed/inputs/inputtest"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
)

func TestIMAPConformance(t *testing.T) {
	inputtest.Conformance(t, func(t *testing.T) inputtest.Source {
		s := newIMAPServer(t, tlsNone)
		return inputtest.Source{Input: s.input(""), Add: s.add}
	})
}

// imapServer is a mail server in memory, of the library that also has the client.
type imapServer struct {
	*testing.T
	user  *imapmemserver.User
	addr  *net.TCPAddr
	mode  string
	tls   tls.Certificate
	added int
	cut   atomic.Int64 // bytes that the server still sends on the next connections; 0: all
}

func newIMAPServer(t *testing.T, mode string, without ...imap.Cap) *imapServer {
	t.Helper()
	memory, user := imapmemserver.New(), imapmemserver.NewUser("bounces", "sesame")
	memory.AddUser(user)
	caps := imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapUIDPlus: {}, imap.CapMove: {}}
	for _, c := range without {
		delete(caps, c)
	}
	s := &imapServer{T: t, user: user, mode: mode, tls: testCertificate(t)}
	s.must(user.Create("INBOX", nil))
	config := &tls.Config{Certificates: []tls.Certificate{s.tls}}
	options := imapserver.Options{Caps: caps, InsecureAuth: true, Logger: log.New(io.Discard, "", 0),
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return memory.NewSession(), nil, nil
		}}
	if mode == tlsUpgradeIMAP {
		options.TLSConfig = config
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	s.addr = l.Addr().(*net.TCPAddr)
	listener := net.Listener(&cutListener{l, &s.cut})
	if mode == tlsImplicit {
		listener = tls.NewListener(listener, config)
	}
	server := imapserver.New(&options)
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(listener) })
	t.Cleanup(func() {
		server.Close()
		wg.Wait()
	})
	return s
}

// cutListener has connections end after some bytes.
type cutListener struct {
	net.Listener
	cut *atomic.Int64
}

func (l *cutListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if n := l.cut.Load(); err == nil && n > 0 {
		return &cutConn{conn, n}, nil
	}
	return conn, err
}

type cutConn struct {
	net.Conn
	left int64
}

func (c *cutConn) Write(b []byte) (int, error) {
	if c.left -= int64(len(b)); c.left < 0 {
		_, _ = c.Conn.Write(b[:int64(len(b))+c.left])
		c.Conn.Close()
		return 0, net.ErrClosed
	}
	return c.Conn.Write(b)
}

func (s *imapServer) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *imapServer) append(folder, body string) {
	s.Helper()
	_, err := s.user.Append(folder, &literal{strings.NewReader(body), int64(len(body))}, &imap.AppendOptions{})
	s.must(err)
}

type literal struct {
	io.Reader
	size int64
}

func (l *literal) Size() int64 { return l.size }

func (s *imapServer) add(n int) (bodies []string) {
	for range n {
		s.added++
		body := fmt.Sprintf("Subject: failure %d\n\nuser unknown\n", s.added)
		s.append("INBOX", strings.ReplaceAll(body, "\n", "\r\n"))
		bodies = append(bodies, body)
	}
	return bodies
}

// count is how many messages are in a folder.
func (s *imapServer) count(folder string) int {
	s.Helper()
	data, err := s.user.Status(folder, &imap.StatusOptions{NumMessages: true, NumUnseen: true})
	s.must(err)
	return int(*data.NumMessages)
}

func (s *imapServer) unseen() int {
	s.Helper()
	data, err := s.user.Status("INBOX", &imap.StatusOptions{NumUnseen: true})
	s.must(err)
	return int(*data.NumUnseen)
}

func (s *imapServer) input(more string) *imapInput {
	s.Helper()
	section := fmt.Sprintf("type: imap\nhost: 127.0.0.1\nport: %d\ntls: %s\nusername: bounces\ntrust: any\npassword_file: %s\n%s",
		s.addr.Port, s.mode, tempFile(s.T, "sesame\n"), more)
	if s.mode != tlsNone {
		section += "\nca_file: " + certificateFile(s.T, s.tls)
	}
	in, _ := buildInput(s.T, section)
	return in.(*imapInput)
}

// once reads what is there, by a session that ends when the server would be waited for.
func (s *imapServer) once(p *imapInput, sink inputs.Sink) error {
	state, err := loadIMAPState(sink)
	if err != nil {
		return err
	}
	session, err := p.open(s.Context())
	if err != nil {
		return err
	}
	defer session.close()
	session.sink, session.state = sink, state
	return session.read(s.Context())
}

func TestIMAPTLS(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{tlsNone, tlsUpgradeIMAP, tlsImplicit} {
		s := newIMAPServer(t, mode)
		want := s.add(2)
		sink := &inputtest.Sink{}
		s.must(s.once(s.input(""), sink))
		if !slices.Equal(sink.Bodies, want) || s.unseen() != 2 {
			t.Errorf("%s: got %q, %d unseen", mode, sink.Bodies, s.unseen())
		}
		s.must(s.input("").Probe(t.Context()))
	}
}

func TestIMAPSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := newIMAPServer(t, tlsNone)
	p := s.input("")
	p.config.Username = "nobody"
	wantError(t, s.once(p, &inputtest.Sink{}), "refuses username or password", "nobody at 127.0.0.1")
	wantError(t, s.once(s.input("folder: Nowhere"), &inputtest.Sink{}), "open folder Nowhere")
	wantError(t, s.input("folder: Nowhere").Probe(t.Context()), "open folder Nowhere")
	p = s.input("")
	p.config.TLS = tlsUpgradeIMAP
	wantError(t, s.once(p, &inputtest.Sink{}), "try tls: implicit")
	for section, want := range map[string]string{
		"after: move": "move_to", "after: move\nmove_to: INBOX": "move_to", `folder: ""`: "folder",
	} {
		_, _, err := tryInput("type: imap\nhost: h\nusername: u\npassword_file: /x\ntrust: any\n" + section)
		wantError(t, err, want)
	}
}

func TestIMAPClearsAwayWhatItMay(t *testing.T) {
	t.Parallel()
	for after, want := range map[string][3]int{ // left, unseen, moved
		"leave": {3, 3, 0}, "delete-reports": {2, 2, 0}, "delete-all": {1, 1, 0}, "flag": {3, 2, 0}, "move\nmove_to: Done": {2, 2, 1},
	} {
		for _, without := range []imap.Cap{"", imap.CapMove} {
			s := newIMAPServer(t, tlsNone, without)
			s.must(s.user.Create("Done", nil))
			for _, kind := range []string{"failure", "ordinary", "strange"} {
				s.append("INBOX", "Subject: "+kind+"\r\n\r\n")
			}
			sink := &fates{}
			for range 2 {
				s.must(s.once(s.input("after: "+after), sink))
			}
			if got := [3]int{s.count("INBOX"), s.unseen(), s.count("Done")}; got != want || len(sink.Bodies) != 3 {
				t.Errorf("after: %s without %q: %v, want %v; %d committed", after, without, got, want, len(sink.Bodies))
			}
		}
	}
}

// Whatever the byte at which the connection breaks, all is committed once and in the end everything is gone.
func TestIMAPCutAnywhere(t *testing.T) {
	t.Parallel()
	step := int64(37)
	if testing.Short() {
		step = 211
	}
	for at := int64(1); at < 3000; at += step {
		s := newIMAPServer(t, tlsNone)
		want := s.add(3)
		sink := &fates{}
		p := s.input("after: delete-all")
		s.cut.Store(at)
		_ = s.once(p, sink)
		if left := s.count("INBOX"); left+len(sink.Bodies) < 3 {
			t.Fatalf("cut at byte %d: %d left, %d committed", at, left, len(sink.Bodies))
		}
		s.cut.Store(0)
		for range 2 {
			s.must(s.once(p, sink))
		}
		slices.Sort(sink.Bodies) // the one at which the connection broke comes last
		if !slices.Equal(sink.Bodies, want) || s.count("INBOX") != 0 || sink.Stored["doomed"]+sink.Stored["retry"] != "" {
			t.Errorf("cut at byte %d: committed %q, %d left, %v", at, sink.Bodies, s.count("INBOX"), sink.Stored)
		}
	}
}

// A folder that is made anew has other messages under the same UIDs.
func TestIMAPNumberedAnew(t *testing.T) {
	t.Parallel()
	s := newIMAPServer(t, tlsNone)
	sink := &fates{}
	for range 2 {
		s.must(s.user.Create("Bounces", nil))
		s.append("Bounces", "Subject: failure\r\n\r\n")
		for range 2 {
			s.must(s.once(s.input("folder: Bounces"), sink))
		}
		s.must(s.user.Delete("Bounces"))
	}
	if len(sink.Bodies) != 2 {
		t.Errorf("%d committed", len(sink.Bodies))
	}
}

// The server tells of a new message: it is read long before the next poll. This server keeps to itself what came just
// before it was asked to tell, so there are several.
func TestIMAPIdle(t *testing.T) {
	t.Parallel()
	s := newIMAPServer(t, tlsNone)
	p, sink := s.input("poll: 1h"), &inputtest.Sink{}
	first, polls := s.add(1), 0
	err := inputtest.RunUntil(t, p, sink, func() bool {
		if !sink.Has(first) {
			return false
		}
		if polls++; polls%100 == 1 {
			s.add(1)
		}
		return sink.Has(make([]string, 2))
	})
	if err != nil || len(sink.Bodies) < 2 {
		t.Errorf("%v, %q", err, sink.Bodies)
	}
}

func TestIMAPLongMessage(t *testing.T) {
	t.Parallel()
	s := newIMAPServer(t, tlsNone)
	s.append("INBOX", "Subject: failure\r\n\r\n"+strings.Repeat(strings.Repeat("y", 98)+"\r\n", 30_000))
	want := s.add(1)
	sink := &fates{}
	s.must(s.once(s.input(""), sink))
	if len(sink.Bodies) != 2 || len(sink.Bodies[0]) < maxMessage*9/10 || len(sink.Bodies[0]) > maxMessage || sink.Bodies[1] != want[0] {
		t.Errorf("%d committed", len(sink.Bodies))
	}
}

func TestIMAPState(t *testing.T) {
	t.Parallel()
	s := &imapState{validity: 7, next: 100_001, retry: []imap.UID{3, 9}, toClear: []imap.UID{12}}
	back, err := loadIMAPState(&inputtest.Sink{Stored: s.checkpoint()})
	if err != nil || fmt.Sprint(back) != fmt.Sprint(s) {
		t.Errorf("%v, %v", back, err)
	}
	for _, bad := range []map[string]string{{"next": "x"}, {"doomed": "1 x"}, {"uidvalidity": "99999999999"}} {
		if _, err := loadIMAPState(&inputtest.Sink{Stored: bad}); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
}

func TestIMAPReport(t *testing.T) {
	t.Parallel()
	s := newIMAPServer(t, tlsNone)
	s.add(3)
	p := s.input("")
	if got := p.Report(); got.Lag != -1 || got.Unit != "messages" {
		t.Errorf("%+v", got)
	}
	s.must(s.once(p, &inputtest.Sink{}))
	if got := p.Report(); got.Lag != 0 || !strings.Contains(got.At, "UID 4") || !strings.Contains(got.At, "bounces at 127.0.0.1") {
		t.Errorf("%+v", got)
	}
}

// A login by access token: the server takes it, or says in a challenge why not (RFC 7628 §3.2.3).
func TestIMAPToken(t *testing.T) {
	t.Parallel()
	for _, mechanism := range []string{"XOAUTH2", "OAUTHBEARER"} {
		for _, good := range []bool{true, false} {
			var tag, token string
			f := &hostileFolder{slowWriter: &slowWriter{}, sink: &fates{}}
			f.h = func(w *slowWriter, command string) bool {
				switch {
				case command == "AUTHENTICATE "+mechanism:
					tag = w.tag
					return w.put("+ \r\n", 0)
				case tag == "" || command != "":
					return false
				case w.tag == "AQ==":
					return w.put(tag+" NO not this one\r\n", 0)
				}
				said, _ := base64.StdEncoding.DecodeString(w.tag)
				if token = string(said); good {
					return w.put(tag+" OK\r\n", 0)
				}
				return w.put("+ "+base64.StdEncoding.EncodeToString([]byte(`{"status":"expired"}`))+"\r\n", 0)
			}
			in, _ := buildInput(t, "type: imap\nhost: h\nusername: jo@example.com\ntls: none\nafter: delete-all\nauth: "+strings.ToLower(mechanism)+"\ntrust: any\ntoken_file: "+tempFile(t, "ya29.token\n"))
			p := in.(*imapInput)
			p.connect = f.connect
			err := p.Probe(t.Context())
			f.end()
			if good && err != nil {
				t.Errorf("%s: %v", mechanism, err)
			} else if !good {
				wantError(t, err, "refuses username or token", "not this one", "expired")
			}
			if !strings.Contains(token, "jo@example.com") || !strings.Contains(token, "auth=Bearer ya29.token\x01\x01") || err != nil && strings.Contains(err.Error(), "ya29") {
				t.Errorf("%s: said %q, %v", mechanism, token, err)
			}
		}
	}
}
