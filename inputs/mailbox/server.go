package mailbox

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"bouncefeed/internal/config"
)

// serverSettings are the keys of the inputs that log in to a server.
type serverSettings struct {
	Host     string          `yaml:"host"`
	Port     int             `yaml:"port"`     // default: the protocol's own for the chosen tls
	TLS      string          `yaml:"tls"`      // implicit | stls (POP3), starttls (IMAP) | none
	CAFile   string          `yaml:"ca_file"`  // PEM certificates to trust instead of the system's
	Username string          `yaml:"username"` // of the mailbox
	Password config.Secret   `yaml:"password"`
	Auth     string          `yaml:"auth"`  // password | xoauth2 | oauthbearer
	Token    config.Secret   `yaml:"token"` // access token, read anew for every login
	OAuth    oauthSettings   `yaml:"oauth"` // or where to ask for one
	Poll     config.Duration `yaml:"poll"`  // how often to look for new messages

	tokens *accessTokens // of oauth
}

const (
	tlsImplicit = "implicit"
	tlsNone     = "none"

	authPassword    = "password"
	authXOAuth2     = "xoauth2"
	authOAuthBearer = "oauthbearer"

	maxOperation = 30 * time.Second // of one command, from sending it to the end of its answer
	maxSession   = 10 * time.Minute
	minMailPoll  = time.Second
	maxMailPoll  = 24 * time.Hour
)

// check holds the keys to what they may be. upgrade is the protocol's word for TLS on the plain port.
func (s *serverSettings) check(section config.Section, upgrade string) error {
	var errs []error
	wrong := func(key, format string, args ...any) { errs = append(errs, section.Errorf(key, format, args...)) }
	switch {
	case s.Host == "":
		wrong("host", "is missing: the mail server's name")
	case strings.ContainsAny(s.Host, ":/ \t\r\n") && net.ParseIP(s.Host) == nil:
		wrong("host", "a name or an address only; the port goes into port")
	}
	if s.Port < 0 || s.Port > 65535 {
		wrong("port", "from 1 to 65535, please")
	}
	if words := []string{tlsImplicit, upgrade, tlsNone}; !slices.Contains(words, s.TLS) {
		wrong("tls", "%q is none of %s", s.TLS, strings.Join(words, ", "))
	}
	if s.TLS == tlsNone && s.CAFile != "" {
		wrong("ca_file", "serves TLS only, and tls is none")
	}
	if s.Username == "" || strings.ContainsFunc(s.Username, control) {
		wrong("username", "is missing, or holds a control character: the mailbox's login name")
	}
	if p := s.Poll.Std(); p < minMailPoll || p > maxMailPoll {
		wrong("poll", "from %v to %v, please", minMailPoll, maxMailPoll)
	}
	if words := []string{authPassword, authXOAuth2, authOAuthBearer}; !slices.Contains(words, s.Auth) {
		wrong("auth", "%q is none of %s", s.Auth, strings.Join(words, ", "))
	} else if s.Auth == authPassword && !s.Password.Set() {
		if wrong("password_file", "is missing: name the file that holds the password, or use password_env or password_credential"); s.OAuth.set() {
			wrong("auth", "oauth serves auth: %s or %s", authXOAuth2, authOAuthBearer)
		}
	} else if s.Auth != authPassword && !s.Token.Set() && !s.OAuth.set() {
		wrong("auth", "%s needs the access token: name its file with token_file, or use token_env or token_credential, or say in oauth where to ask for one", s.Auth)
	}
	if s.Auth != authPassword && s.OAuth.set() {
		if s.OAuth.check(wrong); s.Token.Set() {
			wrong("oauth", "and token_file are two ways to one thing: leave one out")
		}
		s.tokens = &accessTokens{oauthSettings: s.OAuth}
	}
	return config.Join("", errs...)
}

func control(r rune) bool { return r < ' ' || r == 0x7f }

// String is where the mailbox is: jo@mail.example.com:995.
func (s *serverSettings) String() string { return s.Username + " at " + s.address() }

func (s *serverSettings) address() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

// secret reads what proves the user, or asks for it.
func (s *serverSettings) secret(ctx context.Context) (string, error) {
	if s.tokens != nil {
		return s.tokens.get(ctx)
	}
	secret := s.Password
	if s.Auth != authPassword {
		secret = s.Token
	}
	v, err := secret.Read()
	if err == nil && strings.ContainsFunc(v, control) {
		err = errors.New("read secret: it holds a line break or another control character")
	}
	return v, err
}

// refused is told that the server did not let in whoever showed the secret.
func (s *serverSettings) refused() {
	if s.tokens != nil {
		s.tokens.forget()
	}
}

// bearer is the SASL mechanism for an access token and what it says first: OAUTHBEARER (RFC 7628 §3.1), or XOAUTH2
// (https://developers.google.com/gmail/imap/xoauth2-protocol), which Microsoft took over.
func (s *serverSettings) bearer(token string) (mechanism, response string) {
	if s.Auth == authOAuthBearer {
		name := strings.NewReplacer("=", "=3D", ",", "=2C").Replace(s.Username)
		return "OAUTHBEARER", fmt.Sprintf("n,a=%s,\x01host=%s\x01port=%d\x01auth=Bearer %s\x01\x01", name, s.Host, s.Port, token)
	}
	return "XOAUTH2", "user=" + s.Username + "\x01auth=Bearer " + token + "\x01\x01"
}

// connect opens a TCP connection, which the whole time until the first command must not exceed maxOperation.
func (s *serverSettings) connect(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: maxOperation}
	conn, err := d.DialContext(ctx, "tcp", s.address())
	if err != nil {
		return nil, s.explain(err)
	}
	return conn, conn.SetDeadline(time.Now().Add(maxOperation))
}

// secure does the TLS handshake on conn.
func (s *serverSettings) secure(ctx context.Context, conn net.Conn) (net.Conn, error) {
	config := &tls.Config{ServerName: s.Host, MinVersion: tls.VersionTLS12}
	if s.CAFile != "" {
		pem, err := os.ReadFile(s.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read ca_file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read ca_file: no PEM certificate in %s", s.CAFile)
		}
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, s.explain(err)
	}
	return secured, nil
}

// explain says what an admin can do about err, from a connection to s.
func (s *serverSettings) explain(err error) error {
	var (
		dns         *net.DNSError
		unknown     x509.UnknownAuthorityError
		otherName   x509.HostnameError
		invalid     x509.CertificateInvalidError
		noTLS       tls.RecordHeaderError
		timeout     net.Error
		remedy      string
		unreachable *net.OpError
	)
	switch {
	case errors.As(err, &dns):
		remedy = "check host"
	case errors.As(err, &unknown):
		remedy = "its certificate is signed by an authority this machine doesn't know: give that authority's certificate as ca_file"
	case errors.As(err, &otherName):
		remedy = "its certificate is for another name: give that name as host"
	case errors.As(err, &invalid):
		remedy = "its certificate isn't valid"
	case errors.As(err, &noTLS):
		remedy = "it doesn't begin with TLS on this port: check port and tls"
	case errors.As(err, &timeout) && timeout.Timeout():
		remedy = "it doesn't answer in time: check host, port, tls and the firewall"
	case errors.As(err, &unreachable) && unreachable.Op == "dial":
		remedy = "check host and port, and whether the server runs"
	default:
		return fmt.Errorf("connection to %s: %w", s.address(), err)
	}
	return fmt.Errorf("connection to %s: %w: %s", s.address(), err, remedy)
}

// serverWords is what a server said, fit for a log: short, printable and without the secret it may echo.
func serverWords(text, secret string) string {
	if secret != "" {
		text = strings.ReplaceAll(text, secret, "***")
	}
	text = strings.Map(func(r rune) rune {
		if control(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "") + "…"
	}
	return text
}

// whileOpen closes conn as soon as ctx ends; the returned function ends that and leaves nothing behind.
func whileOpen(ctx context.Context, conn net.Conn) (stop func()) {
	closed := make(chan struct{})
	end := context.AfterFunc(ctx, func() {
		conn.Close()
		close(closed)
	})
	return func() {
		if !end() {
			<-closed
		}
	}
}
