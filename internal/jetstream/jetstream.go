// Package jetstream is what an output and an input share that talk to a stream of NATS JetStream: how the server is
// reached, what its refusals mean, and how a stream must be set up for nothing to be lost.
package jetstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"bouncefeed/internal/config"
)

// Server are the keys of every module that talks to NATS; a module's configuration embeds them.
type Server struct {
	// Servers are URLs of one cluster, tls://nats1.example.com:4222; any of them is used.
	Servers []string `yaml:"servers"`
	// Stream is the one that takes the events.
	Stream string `yaml:"stream"`
	// Domain is the JetStream domain, where a leaf node has one of its own.
	Domain      string        `yaml:"domain"`
	Username    string        `yaml:"username"`
	Password    config.Secret `yaml:"password"`
	Credentials config.Secret `yaml:"credentials"` // what `nsc generate creds` writes: a JWT and its key
	NKey        config.Secret `yaml:"nkey"`        // the seed of a user key, SU…
	// CAFile holds the PEM certificates to trust instead of the system's.
	CAFile string `yaml:"ca_file"`
	// ClientCert and ClientKey are PEM files of the certificate that we show, where the servers ask for one.
	ClientCert string `yaml:"client_cert"`
	ClientKey  string `yaml:"client_key"`
	// InsecureTCP allows to talk to another machine without TLS.
	InsecureTCP bool `yaml:"insecure_tcp"`
	// Timeout is for a connection, and for each answer.
	Timeout config.Duration `yaml:"timeout"`
}

// Defaults are those of Server.
var Defaults = Server{Stream: "BOUNCES", Timeout: config.Duration(10 * time.Second)}

const exampleURL = "tls://nats1.example.com:4222"

var token = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// IsToken says whether s may stand between two dots of a subject, or name a stream or consumer.
func IsToken(s string) bool { return token.MatchString(s) }

// Token makes one of s, whoever wrote it: nothing in it is a dot, a wildcard or a space any more.
func Token(s string) string {
	s = strings.Map(func(r rune) rune {
		if IsToken(string(r)) {
			return r
		}
		return '_'
	}, s[:min(len(s), maxToken)])
	if s == "" {
		return "_"
	}
	return s
}

const maxToken = 64

// Check tells the mistakes of a section's server.
func (s *Server) Check(section config.Section) error {
	var errs []error
	if len(s.Servers) == 0 {
		errs = append(errs, section.Errorf("servers", "are missing: write [%s]", exampleURL))
	}
	for i, text := range s.Servers {
		if why := s.whyNot(text); why != "" {
			errs = append(errs, section.Errorf(fmt.Sprintf("servers[%d]", i), "%s", why))
		}
	}
	if !IsToken(s.Stream) {
		errs = append(errs, section.Errorf("stream", "must be a name of letters, digits, - and _"))
	}
	if s.Domain != "" && !IsToken(s.Domain) {
		errs = append(errs, section.Errorf("domain", "must be a name of letters, digits, - and _"))
	}
	ways := 0
	for _, given := range []bool{s.Username != "", s.Credentials.Set(), s.NKey.Set()} {
		if given {
			ways++
		}
	}
	if ways > 1 {
		errs = append(errs, section.Errorf("", "has several logins: name one of username, credentials_file and nkey_file"))
	}
	if (s.Username == "") == s.Password.Set() {
		errs = append(errs, section.Errorf("username", "goes with password_file"))
	}
	if (s.ClientCert == "") != (s.ClientKey == "") {
		errs = append(errs, section.Errorf("client_cert", "goes with client_key: name both files, or one that holds both in each"))
	}
	if s.Timeout <= 0 {
		errs = append(errs, section.Errorf("timeout", "must be more than 0"))
	}
	return config.Join("", errs...)
}

// whyNot says what is wrong with a URL without repeating it: it may hold a password.
func (s *Server) whyNot(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "nats" && u.Scheme != "tls" || u.Hostname() == "" || u.Path != "" || u.RawQuery != "":
		return "is no address like " + exampleURL
	case u.User != nil:
		return "must not hold the login, which goes into username and password_file, credentials_file or nkey_file"
	case u.Scheme == "nats" && !config.IsLoopback(u.Hostname()) && !s.InsecureTCP:
		return "is without TLS, and everybody on the way could read and change events: write tls://, or allow it with insecure_tcp: true"
	}
	return ""
}

// String is where the events go, for the log.
func (s *Server) String() string { return strings.Join(s.Servers, ",") + " stream " + s.Stream }

// Connect logs in to one of the servers. The connection does not mend itself: whoever has it connects again. trouble is
// told, from a goroutine of the connection's, what the server complains of later, and at last why the connection ended.
func (s *Server) Connect(ctx context.Context, name string, trouble func(error)) (*nats.Conn, error) {
	o := nats.GetDefaultOptions()
	o.Name, o.Servers = name, s.Servers
	o.AllowReconnect = false
	o.PingInterval, o.MaxPingsOut = 10*time.Second, 2 // a peer that is gone without a word is found within half a minute
	o.AsyncErrorCB = func(_ *nats.Conn, _ *nats.Subscription, err error) { trouble(s.Explain(err)) }
	o.ClosedCB = func(c *nats.Conn) {
		trouble(fmt.Errorf("the connection ended: %w", s.Explain(orClosed(c.LastError()))))
	}
	if err := s.secure(&o); err != nil {
		return nil, err
	}
	if err := s.login(&o); err != nil {
		return nil, err
	}
	dialing, cancel := context.WithTimeout(ctx, s.Timeout.Std())
	defer cancel()
	o.Timeout = s.Timeout.Std() / time.Duration(len(s.Servers)) // one that does not answer leaves time for the others
	o.CustomDialer = dial{dialing, &net.Dialer{Timeout: o.Timeout, KeepAlive: 15 * time.Second}}
	conn, err := o.Connect()
	if err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("reach %s: %w", strings.Join(s.Servers, ", "), s.Explain(err))
	}
	return conn, nil
}

func orClosed(err error) error {
	if err == nil {
		return nats.ErrConnectionClosed
	}
	return err
}

// dial ends with its context: it is used for one Connect, never by an old connection.
type dial struct {
	ctx    context.Context
	dialer *net.Dialer
}

func (d dial) Dial(network, address string) (net.Conn, error) {
	return d.dialer.DialContext(d.ctx, network, address)
}

func (s *Server) secure(o *nats.Options) error {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.CAFile != "" {
		pem, err := os.ReadFile(s.CAFile)
		if err != nil {
			return fmt.Errorf("read ca_file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("read ca_file: no PEM certificate in %s", s.CAFile)
		}
	}
	if s.ClientCert != "" {
		pair, err := tls.LoadX509KeyPair(s.ClientCert, s.ClientKey)
		if err != nil {
			return fmt.Errorf("read client_cert and client_key: %w", err)
		}
		c.Certificates = append(c.Certificates, pair)
	}
	o.TLSConfig = c
	// One tls:// among several is meant for all. A server on this machine may ask for TLS by itself.
	o.Secure = slices.ContainsFunc(s.Servers, func(u string) bool { return strings.HasPrefix(u, "tls:") })
	o.IgnoreDiscoveredServers = true // what the servers call each other may be no address from here, nor in a certificate
	return nil
}

// login reads secrets anew each time, so that a rotated one needs no restart.
func (s *Server) login(o *nats.Options) error {
	switch {
	case s.Username != "":
		password, err := s.Password.Read()
		o.User, o.Password = s.Username, password
		return err
	case s.Credentials.Set():
		text, err := s.Credentials.Read()
		if err != nil {
			return err
		}
		jwt, err := nkeys.ParseDecoratedJWT([]byte(text))
		if err != nil {
			return fmt.Errorf("read credentials %s: no JWT in it: %w", s.Credentials, err)
		}
		pair, err := nkeys.ParseDecoratedUserNKey([]byte(text))
		if err != nil {
			return fmt.Errorf("read credentials %s: no user's key in it: %w", s.Credentials, err)
		}
		o.UserJWT = func() (string, error) { return jwt, nil }
		o.SignatureCB = pair.Sign
	case s.NKey.Set():
		text, err := s.NKey.Read()
		if err != nil {
			return err
		}
		pair, err := nkeys.FromSeed([]byte(strings.TrimSpace(text)))
		if err != nil {
			return fmt.Errorf("read nkey %s: not the seed of a user's key (SU…): %w", s.NKey, err)
		}
		if o.Nkey, err = pair.PublicKey(); err != nil {
			return fmt.Errorf("read nkey %s: %w", s.NKey, err)
		}
		o.SignatureCB = pair.Sign
	}
	return nil
}
