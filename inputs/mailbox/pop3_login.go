package mailbox

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/knadh/go-pop3"
)

// encrypt makes conn what the configuration asks for.
func (p *pop3Input) encrypt(ctx context.Context, conn net.Conn) (net.Conn, error) {
	switch p.server.TLS {
	case tlsImplicit:
		return p.server.secure(ctx, conn)
	case tlsUpgradePOP3:
		return p.stls(ctx, conn)
	}
	return conn, nil
}

// stls upgrades conn (RFC 2595 §4). What the server said before is not to be believed, its capabilities neither.
func (p *pop3Input) stls(ctx context.Context, conn net.Conn) (net.Conn, error) {
	plain := newPOP3Conn(conn)
	if _, err := plain.status(); err != nil {
		return nil, p.server.explain(err)
	}
	if _, err := plain.Write([]byte("STLS\r\n")); err != nil {
		return nil, p.server.explain(err)
	}
	answer, err := plain.status()
	switch {
	case err != nil:
		return nil, p.server.explain(err)
	case !strings.HasPrefix(string(answer), "+OK"):
		return nil, fmt.Errorf("%s offers no STLS (%s): try tls: implicit", p.server.address(), serverWords(string(answer), ""))
	case plain.r.Buffered() > 0:
		return nil, fmt.Errorf("connection to %s: %w", p.server.address(), errInjected)
	}
	return p.server.secure(ctx, conn)
}

// dialer gives the library a connection of ours.
type dialer struct{ conn *pop3Conn }

// Dial implements pop3.Dialer.
func (d dialer) Dial(string, string) (net.Conn, error) { return d.conn, nil }

// open connects and logs in.
func (p *pop3Input) open(ctx context.Context) (*pop3Session, error) {
	raw, err := p.connect(ctx)
	if err != nil {
		return nil, err
	}
	s := &pop3Session{pop3Input: p, stop: whileOpen(ctx, raw)}
	if err := s.begin(ctx, raw); err != nil {
		s.stop()
		raw.Close()
		return nil, err
	}
	return s, nil
}

func (s *pop3Session) begin(ctx context.Context, raw net.Conn) error {
	conn, err := s.encrypt(ctx, raw)
	if err != nil {
		return err
	}
	s.conn = newPOP3Conn(conn)
	if s.server.TLS == tlsUpgradePOP3 { // the greeting was before TLS, and the library waits for one
		s.conn.rest = []byte("+OK\n")
	}
	if s.pop, err = pop3.New(pop3.Opt{Dialer: dialer{s.conn}}).NewConn(); err != nil {
		return s.server.explain(err)
	}
	return s.login(ctx)
}

func (s *pop3Session) login(ctx context.Context) error {
	secret, err := s.server.secret(ctx)
	if err != nil {
		return err
	}
	if s.server.Auth == authPassword {
		if err = s.pop.User(s.server.Username); err == nil {
			err = s.pop.Pass(secret)
		}
	} else {
		err = s.authenticate(secret)
	}
	if err == nil {
		return nil
	}
	words := serverWords(err.Error(), secret)
	if s.conn.dead != nil {
		return fmt.Errorf("log in as %s: connection lost: %s", s.server, words)
	}
	switch upper := strings.ToUpper(words); {
	case strings.HasPrefix(upper, "[IN-USE]") || strings.Contains(upper, "LOCK"): // RFC 2449 §8.1.1
		return fmt.Errorf("log in as %s: the mailbox is in use by another program: %s", s.server, words)
	case strings.HasPrefix(upper, "[SYS/") || strings.HasPrefix(upper, "[LOGIN-DELAY]"): // RFC 3206
		return fmt.Errorf("log in as %s: the server can't at present: %s", s.server, words)
	case s.server.Auth != authPassword:
		s.server.refused()
		return fmt.Errorf("log in as %s: the server refuses username or token: %s: check username, and whether the token has expired", s.server, words)
	}
	return fmt.Errorf("log in as %s: the server refuses username or password: %s: check username and %s", s.server, words, s.server.Password)
}

// authenticate sends an access token by AUTH (RFC 5034), in a line of its own: it is too long for the command's.
func (s *pop3Session) authenticate(token string) error {
	mechanism, response := s.server.bearer(token)
	answer, err := s.exchange("AUTH " + mechanism)
	if err == nil && strings.HasPrefix(answer, "+") && !strings.HasPrefix(answer, "+OK") {
		answer, err = s.exchange(base64.StdEncoding.EncodeToString([]byte(response)))
	}
	if err == nil && strings.HasPrefix(answer, "+") && !strings.HasPrefix(answer, "+OK") { // RFC 7628 §3.2.3: why it fails
		why, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(answer[1:]))
		if answer, err = s.exchange("AQ=="); err == nil {
			answer += " " + string(why)
		}
	}
	if err == nil && !strings.HasPrefix(answer, "+OK") {
		err = errors.New(strings.TrimPrefix(strings.TrimPrefix(answer, "-ERR"), " "))
	}
	return err
}

// exchange sends a line and gives the one that answers it.
func (s *pop3Session) exchange(line string) (string, error) {
	if _, err := s.conn.Write([]byte(line + "\r\n")); err != nil {
		return "", err
	}
	answer, err := s.conn.status()
	return string(answer), err
}
