package mailbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

const (
	imapAnswer = 24 << 10 // bytes that the server may send in one operation: messages are fetched and listed in pieces
	imapChunk  = 16 << 10 // bytes of a message in one operation

	// imapNesting is how many "(" may follow one another. The library follows them down the stack and words the error at
	// every level anew: 24 KiB of them cost 9 s and 130 MiB of memory. Further ones are replaced, wherever they are. No mail is
	// changed by that whose lines are as long as they may be (RFC 5322 §2.1.1).
	imapNesting = 998
)

var errTooMuch = errors.New("the server sends without end")

// imapConn is the connection under the IMAP library. Every operation has an end, which nothing received moves, and a
// number of bytes.
type imapConn struct {
	net.Conn
	greeting []byte // to be read first

	mu   sync.Mutex
	end  time.Time
	left int

	nesting int   // "(" at the end of what was read
	dead    error // why nothing more could be read
}

// begin starts an operation.
func (c *imapConn) begin(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end, c.left = time.Now().Add(d), imapAnswer
	_ = c.Conn.SetDeadline(c.end)
}

// SetReadDeadline is the library's; the operation's own deadline stands above it.
func (c *imapConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.IsZero() || t.After(c.end) {
		t = c.end
	}
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline is SetReadDeadline for writing.
func (c *imapConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.IsZero() || t.After(c.end) {
		t = c.end
	}
	return c.Conn.SetWriteDeadline(t)
}

func (c *imapConn) Read(b []byte) (int, error) {
	if len(c.greeting) > 0 {
		n := copy(b, c.greeting)
		c.greeting = c.greeting[n:]
		return n, nil
	}
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left -= n; c.left < 0 {
		n, err = 0, errTooMuch
	}
	if err != nil && c.dead == nil {
		c.dead = err
	}
	c.flatten(b[:n])
	return n, err
}

// flatten holds what was read to imapNesting.
func (c *imapConn) flatten(b []byte) {
	for i := range b {
		if b[i] != '(' {
			c.nesting = 0
		} else if c.nesting++; c.nesting > imapNesting {
			b[i] = '_'
		}
	}
}

// lost is why nothing more could be read; nil: all was.
func (c *imapConn) lost() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead
}

// open connects and logs in.
func (p *imapInput) open(ctx context.Context) (*imapSession, error) {
	raw, err := p.connect(ctx)
	if err != nil {
		return nil, err
	}
	s := &imapSession{imapInput: p, news: make(chan struct{}, 1), stop: whileOpen(ctx, raw)}
	if err := s.begin(ctx, raw); err != nil {
		s.close()
		raw.Close()
		return nil, err
	}
	return s, nil
}

func (s *imapSession) begin(ctx context.Context, raw net.Conn) error {
	server := &s.config.serverSettings
	conn, err, greeting := raw, error(nil), ""
	switch server.TLS {
	case tlsImplicit:
		conn, err = server.secure(ctx, raw)
	case tlsUpgradeIMAP:
		greeting = "* OK\r\n"
		conn, err = s.startTLS(ctx, raw)
	}
	if err != nil {
		return err
	}
	s.conn = &imapConn{Conn: conn, greeting: []byte(greeting)}
	s.conn.begin(maxOperation)
	s.client = imapclient.New(s.conn, &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(data *imapclient.UnilateralDataMailbox) {
			if data.NumMessages != nil {
				select {
				case s.news <- struct{}{}:
				default:
				}
			}
		},
	}})
	if err := s.client.WaitGreeting(); err != nil {
		return server.explain(err)
	}
	s.learnCaps()
	return s.login(ctx)
}

// learnCaps waits until the library knows what the server can. It asks by itself, from a goroutine, behind the greeting
// and, once the login is answered, again; left alone, that question could come out at any time and wait behind IDLE. To be
// called when the answer to a further command shows that the library has begun to ask.
func (s *imapSession) learnCaps() { s.caps = s.client.Caps() }

// startTLS upgrades conn. What the server said before is not to be believed.
func (s *imapSession) startTLS(ctx context.Context, conn net.Conn) (net.Conn, error) {
	server := &s.config.serverSettings
	plain := newPOP3Conn(conn)
	if _, _, err := plain.readLine(); err != nil { // the greeting
		return nil, server.explain(err)
	}
	if _, err := plain.Write([]byte("a STARTTLS\r\n")); err != nil {
		return nil, server.explain(err)
	}
	for range 20 {
		line, _, err := plain.readLine()
		if err != nil {
			return nil, server.explain(err)
		}
		answer, tagged := strings.CutPrefix(string(line), "a ")
		switch {
		case !tagged:
			continue
		case !strings.HasPrefix(strings.ToUpper(answer), "OK"):
			return nil, fmt.Errorf("%s offers no STARTTLS (%s): try tls: implicit", server.address(), serverWords(answer, ""))
		case plain.r.Buffered() > 0:
			return nil, fmt.Errorf("connection to %s: %w", server.address(), errInjected)
		}
		return server.secure(ctx, conn)
	}
	return nil, fmt.Errorf("connection to %s: no answer to STARTTLS", server.address())
}

func (s *imapSession) login(ctx context.Context) error {
	server := &s.config.serverSettings
	secret, err := server.secret(ctx)
	if err != nil {
		return err
	}
	s.conn.begin(maxOperation)
	why := ""
	if server.Auth == authPassword {
		err = s.client.Login(server.Username, secret).Wait()
	} else {
		mechanism, response := server.bearer(secret)
		b := &bearerClient{mechanism: mechanism, response: response}
		err = s.client.Authenticate(b)
		why = " " + b.challenge
	}
	if err == nil {
		s.introduce()
		return nil
	}
	words := serverWords(err.Error()+why, secret)
	var answer *imap.Error
	switch {
	case !errors.As(err, &answer):
		return fmt.Errorf("log in as %s: connection lost: %s", server, words)
	case answer.Code == imap.ResponseCodeUnavailable || answer.Code == imap.ResponseCodeInUse || answer.Code == imap.ResponseCodeServerBug:
		return fmt.Errorf("log in as %s: the server can't at present: %s", server, words)
	case server.Auth != authPassword:
		server.refused()
		return fmt.Errorf("log in as %s: the server refuses username or token: %s: check username, and whether the token has expired", server, words)
	}
	return fmt.Errorf("log in as %s: the server refuses username or password: %s: check username and %s", server, words, server.Password)
}

// introduce tells the server who this is (ID, RFC 2971), without which 163.com, 126.com and their like let nobody open a
// folder. Whatever it answers, SELECT shows whether it is content.
func (s *imapSession) introduce() {
	if s.caps.Has(imap.CapID) {
		s.conn.begin(maxOperation)
		_, _ = s.client.ID(&imap.IDData{Name: "bouncefeed", Version: s.version}).Wait()
	}
}

// bearerClient is the SASL client of an access token.
type bearerClient struct{ mechanism, response, challenge string }

// Start gives the mechanism and what it says first.
func (b *bearerClient) Start() (mechanism string, response []byte, err error) {
	return b.mechanism, []byte(b.response), nil
}

// Next answers the challenge that tells of a failure (RFC 7628 §3.2.3); the server then refuses.
func (b *bearerClient) Next(challenge []byte) ([]byte, error) {
	b.challenge = string(challenge)
	return []byte{1}, nil
}
