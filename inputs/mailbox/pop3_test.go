package mailbox

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"bouncefeed/inputs"
	"bouncefeed/inputs/inputtest"
	"bouncefeed/internal/event"
)

func TestPOP3Conformance(t *testing.T) {
	inputtest.Conformance(t, func(t *testing.T) inputtest.Source {
		s := newPOP3Server(t, tlsNone)
		return inputtest.Source{Input: s.input(""), Add: s.add}
	})
}

func TestPOP3WithoutUIDLConformance(t *testing.T) {
	inputtest.Conformance(t, func(t *testing.T) inputtest.Source {
		s := newPOP3Server(t, tlsNone)
		s.set(func() { s.no = []string{"UIDL"} })
		return inputtest.Source{Input: s.input(""), Add: s.add}
	})
}

// input reads s; more are further lines of its section.
func (s *pop3Server) input(more string) *pop3Input {
	s.Helper()
	in, _ := s.inputAndLog(more)
	return in
}

func (s *pop3Server) inputAndLog(more string) (*pop3Input, *syncBuffer) {
	s.Helper()
	section := fmt.Sprintf("type: pop3\nhost: 127.0.0.1\nport: %d\ntls: %s\nusername: bounces\ntrust: any\n%s", s.port(), s.mode, more)
	if !strings.Contains(more, "auth:") {
		section += "\npassword_file: " + tempFile(s.T, s.password+"\n")
	}
	if s.mode != tlsNone && !strings.Contains(more, "ca_file:") {
		section += "\nca_file: " + certificateFile(s.T, s.tls)
	}
	in, log := buildInput(s.T, section)
	p := in.(*pop3Input)
	p.server.Poll /= 10_000 // 30 ms
	return p, log
}

// once polls one time.
func (s *pop3Server) once(p *pop3Input, sink inputs.Sink) error {
	_, err := p.poll(s.Context(), sink, false)
	return err
}

func (s *pop3Server) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func TestPOP3TLS(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{tlsNone, tlsUpgradePOP3, tlsImplicit} {
		for _, auth := range []string{authPassword, authXOAuth2, authOAuthBearer} {
			t.Run(mode+"/"+auth, func(t *testing.T) {
				s := newPOP3Server(t, mode)
				want := s.add(2)
				more := ""
				if auth != authPassword {
					more = "auth: " + auth + "\ntoken_file: " + tempFile(t, "ticket")
				}
				sink := &inputtest.Sink{}
				s.must(s.once(s.input(more), sink))
				if !slices.Equal(sink.Bodies, want) {
					t.Errorf("got %q", sink.Bodies)
				}
			})
		}
	}
}

// What an admin has to do stands in the error, the password never.
func TestPOP3SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	t.Run("password", func(t *testing.T) {
		s := newPOP3Server(t, tlsImplicit)
		p := s.input("")
		s.set(func() { s.password = "changed" })
		wantError(t, s.once(p, &inputtest.Sink{}), "bounces at 127.0.0.1", "refuses username or password", "[AUTH]", "file:")
		s.set(func() { s.password = "sesame" })
		s.must(s.once(p, &inputtest.Sink{}))
	})
	t.Run("token", func(t *testing.T) {
		s := newPOP3Server(t, tlsImplicit)
		p := s.input("auth: xoauth2\ntoken_file: " + tempFile(t, "expired"))
		wantError(t, s.once(p, &inputtest.Sink{}), "refuses username or token", "invalid_token")
	})
	t.Run("unreachable", func(t *testing.T) {
		s := newPOP3Server(t, tlsImplicit)
		s.listener.Close()
		wantError(t, s.once(s.input(""), &inputtest.Sink{}), "connection refused", "check host and port")
	})
	t.Run("certificate", func(t *testing.T) {
		s := newPOP3Server(t, tlsImplicit)
		other := certificateFile(t, testCertificate(t))
		wantError(t, s.once(s.input("ca_file: "+other), &inputtest.Sink{}), "ca_file")
	})
	t.Run("certificate's name", func(t *testing.T) {
		s := newPOP3Server(t, tlsUpgradePOP3)
		p := s.input("")
		p.server.Host = "localhost"
		wantError(t, s.once(p, &inputtest.Sink{}), "another name")
	})
	t.Run("no TLS", func(t *testing.T) {
		s := newPOP3Server(t, tlsNone)
		p := s.input("")
		p.server.TLS = tlsImplicit
		wantError(t, s.once(p, &inputtest.Sink{}), "check port and tls")
	})
	t.Run("no STLS", func(t *testing.T) {
		s := newPOP3Server(t, tlsNone)
		s.set(func() { s.no = []string{"STLS"} })
		p := s.input("")
		p.server.TLS = tlsUpgradePOP3
		wantError(t, s.once(p, &inputtest.Sink{}), "try tls: implicit")
		if s.asked("USER") > 0 {
			t.Error("logged in without TLS")
		}
	})
}

func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, w := range words {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("error %v, want %q in it", err, w)
		}
	}
	if err != nil && strings.Contains(err.Error(), "sesame") {
		t.Errorf("the password is in %v", err)
	}
}

// An attacker on the way can't slip commands or answers in before TLS begins (CVE-2011-0411 and its kind).
func TestPOP3RefusesSTLSInjection(t *testing.T) {
	t.Parallel()
	s := newPOP3Server(t, tlsUpgradePOP3)
	s.add(1)
	s.interfere(func(conn net.Conn, command string) bool {
		if command == "STLS" {
			fmt.Fprint(conn, "+OK\r\n+OK injected\r\n")
		}
		return command == "STLS"
	})
	wantError(t, s.once(s.input(""), &inputtest.Sink{}), "tampering")
}

// What stays on the server is fetched once, also by the next process.
func TestPOP3FetchesOnce(t *testing.T) {
	t.Parallel()
	s := newPOP3Server(t, tlsNone)
	sink := &fates{}
	s.add(30)
	for range 3 {
		s.must(s.once(s.input(""), sink))
	}
	s.add(1)
	s.must(s.once(s.input(""), sink))
	if got := s.asked("RETR"); got != 31 || len(sink.Bodies) != 31 || s.asked("DELE") > 0 {
		t.Errorf("%d fetched, %d committed, %d deleted", got, len(sink.Bodies), s.asked("DELE"))
	}
	s.set(func() { s.drop = s.drop[30:] })
	s.must(s.once(s.input(""), sink))
	if hashes, _ := decodeHashes("seen", sink.Stored["seen"]); len(hashes) != 1 {
		t.Errorf("%d known, 1 is there", len(hashes))
	}
}

// addKinds puts one message of every fate into the maildrop.
func (s *pop3Server) addKinds() {
	for _, kind := range []string{"failure", "ordinary", "strange"} {
		s.drop = append(s.drop, pop3Mail{"u-" + kind, "Subject: " + kind + "\n\ntext\n"})
	}
}

func TestPOP3DeletesWhatItMay(t *testing.T) {
	t.Parallel()
	for after, want := range map[string][]string{
		afterLeave:         {"failure", "ordinary", "strange"},
		afterDeleteReports: {"ordinary", "strange"},
		afterDeleteAll:     {"strange"},
	} {
		s := newPOP3Server(t, tlsNone)
		s.set(s.addKinds)
		sink := &fates{}
		for range 2 {
			s.must(s.once(s.input("after: "+after), sink))
		}
		var left []string
		for _, body := range s.left() {
			left = append(left, strings.Fields(body)[1])
		}
		if !slices.Equal(left, want) || len(sink.Bodies) != 3 {
			t.Errorf("%s: left %q, want %q; %d committed", after, left, want, len(sink.Bodies))
		}
	}
}

// Whatever the moment at which the connection breaks: all is committed once, nothing is deleted that was not, and in
// the end everything is gone.
func TestPOP3CutAnywhere(t *testing.T) {
	t.Parallel()
	for at := 0; ; at++ {
		s := newPOP3Server(t, tlsNone)
		want := s.add(4)
		sink := &fates{}
		var seen atomic.Int32
		s.interfere(func(conn net.Conn, command string) bool {
			if seen.Add(1) == int32(at+1) {
				if at%2 == 0 && command != "" { // after some of the answer
					fmt.Fprint(conn, "+OK\r\nReceived: fr")
				}
				conn.Close()
				return true
			}
			return false
		})
		_ = s.once(s.input("after: delete-all"), sink)
		for _, body := range want {
			if !slices.Contains(s.left(), body) && !slices.Contains(sink.Bodies, body) {
				t.Fatalf("cut at command %d: deleted without a commit: %q", at, body)
			}
		}
		s.interfere(nil)
		for range 3 {
			s.must(s.once(s.input("after: delete-all"), sink))
		}
		if !slices.Equal(sink.Bodies, want) || len(s.left()) > 0 {
			t.Errorf("cut at command %d: committed %q, left %q", at, sink.Bodies, s.left())
		}
		if hashes := sink.Stored["seen"] + sink.Stored["doomed"]; hashes != "" {
			t.Errorf("cut at command %d: %q is still known", at, hashes)
		}
		if int(seen.Load()) <= at {
			return
		}
	}
}

// A server may give a UIDL again once its message is deleted (RFC 1939 §7). The new message is not taken for the old.
func TestPOP3ReusedUIDL(t *testing.T) {
	t.Parallel()
	s := newPOP3Server(t, tlsNone)
	s.add(1)
	sink := &fates{}
	s.must(s.once(s.input("after: delete-all"), sink))
	s.set(func() { s.drop = []pop3Mail{{"uid-1", "Subject: another\n\nx\n"}} })
	s.must(s.once(s.input("after: delete-all"), sink))
	if len(sink.Bodies) != 2 || len(s.left()) > 0 {
		t.Errorf("committed %q, left %q", sink.Bodies, s.left())
	}
}

// Neither a missing TOP nor UIDL, nor two messages of one UIDL, nor a server that refuses DELE loses anything.
func TestPOP3PoorServers(t *testing.T) {
	t.Parallel()
	for _, no := range []string{"TOP", "UIDL", "UIDL TOP", "DELE", "DELE TOP UIDL", "same", "words", "a word"} {
		s := newPOP3Server(t, tlsNone)
		s.set(func() { s.no = strings.Fields(no) })
		want := s.add(5)
		if no == "same" {
			s.set(func() {
				for i := range s.drop {
					s.drop[i].uid = "same"
				}
			})
		}
		if no == "words" || no == "a word" { // UIDL answers with nothing behind the number
			s.set(func() {
				for i := range s.drop {
					if no == "words" || i == 2 {
						s.drop[i].uid = ""
					}
				}
			})
		}
		p, log := s.inputAndLog("after: delete-all")
		sink := &fates{}
		for range 3 {
			s.must(s.once(p, sink))
		}
		stays := strings.Contains(no, "DELE")
		if !slices.Equal(sink.Bodies, want) || stays != (len(s.left()) == 5) || stays != strings.Contains(log.String(), "does not delete") {
			t.Errorf("without %s: committed %d, left %d, said %s", no, len(sink.Bodies), len(s.left()), log)
		}
	}
}

// A message that the server does not give is tried again, and does not bar the others.
func TestPOP3RefusedMessage(t *testing.T) {
	t.Parallel()
	s := newPOP3Server(t, tlsNone)
	want := s.add(3)
	s.interfere(func(conn net.Conn, command string) bool {
		if command == "RETR 2" {
			fmt.Fprint(conn, "-ERR disk error\r\n")
		}
		return command == "RETR 2"
	})
	p, log := s.inputAndLog("")
	sink := &fates{}
	for range 2 {
		s.must(s.once(p, sink))
	}
	if len(sink.Bodies) != 2 || strings.Count(log.String(), "does not give") != 1 {
		t.Errorf("committed %q, said %s", sink.Bodies, log)
	}
	s.interfere(nil)
	s.must(s.once(p, sink))
	if len(sink.Bodies) != 3 || sink.Bodies[2] != want[1] {
		t.Errorf("committed %q", sink.Bodies)
	}
}

func TestPOP3LongMessage(t *testing.T) {
	t.Parallel()
	s := newPOP3Server(t, tlsNone)
	body := "Subject: failure\n\n" + strings.Repeat("x", 200<<10) + "\n" + strings.Repeat(strings.Repeat("y", 99)+"\n", 30_000)
	s.set(func() { s.drop = []pop3Mail{{"long", body}, {"next", "Subject: next\n\n"}} })
	sink := &fates{}
	truncated := 0
	sink.Refuse = func(_ context.Context, recs []event.Record) error {
		for _, r := range recs {
			if r.Truncated {
				truncated++
			}
		}
		return nil
	}
	s.must(s.once(s.input("after: delete-all"), sink))
	if len(sink.Bodies) != 2 || len(sink.Bodies[0]) != maxMessage || truncated != 1 || len(s.left()) > 0 {
		t.Errorf("%d committed, %d truncated, %d left", len(sink.Bodies), truncated, len(s.left()))
	}
}

func TestPOP3ManyMessages(t *testing.T) {
	t.Parallel()
	n := 4*pop3MaxFetched + 1
	if testing.Short() {
		n = 2_000
	}
	s := newPOP3Server(t, tlsNone)
	s.add(n)
	p := s.input("")
	sink := &fates{}
	again := true
	for sessions := 0; again; sessions++ {
		var err error
		if again, err = p.poll(t.Context(), sink, false); err != nil || sessions > n/pop3MaxFetched {
			t.Fatalf("session %d: %v", sessions, err)
		}
	}
	if len(sink.Bodies) != n {
		t.Errorf("%d committed", len(sink.Bodies))
	}
	if size := len(sink.Stored["seen"]); size > 11*n {
		t.Errorf("%d bytes of checkpoint", size)
	}
}

func TestPOP3Probe(t *testing.T) {
	t.Parallel()
	s := newPOP3Server(t, tlsImplicit)
	s.add(1)
	p := s.input("after: delete-all")
	s.must(p.Probe(t.Context()))
	if s.asked("RETR")+s.asked("DELE") > 0 {
		t.Error("it changed something")
	}
	_ = os.WriteFile(strings.TrimPrefix(p.server.Password.String(), "file:"), []byte("wrong"), 0o600)
	wantError(t, p.Probe(t.Context()), "refuses username or password")
}

func TestPOP3Report(t *testing.T) {
	t.Parallel()
	s := newPOP3Server(t, tlsNone)
	s.add(3)
	p := s.input("")
	if got := p.Report(); got.Lag != -1 {
		t.Errorf("%+v", got)
	}
	s.must(s.once(p, &inputtest.Sink{}))
	if got := p.Report(); got.Lag != 0 || !strings.Contains(got.At, "message 3 of 3") {
		t.Errorf("%+v", got)
	}
}

func FuzzPOP3Listing(f *testing.F) {
	for _, seed := range []string{"1 whqtswO00WBw418f9t5JxYwZ", "2 QhdPYR:00WBw1Ph7x7", "x", "-1 a", "1", "99999999999999999999 a", " 3  b c "} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		if id, name, ok := parseListing(line); ok && (id < 1 || len(name) == 0 || len(name) > len(line)) {
			t.Errorf("%q: %d %q", line, id, name)
		}
	})
}
