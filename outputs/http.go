package outputs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"golang.org/x/sys/unix"

	"bouncefeed/internal/config"
)

// HTTP are the keys of every output that posts; a module's configuration embeds them.
type HTTP struct {
	URL      string        `yaml:"url"`
	Auth     string        `yaml:"auth"` // how the login is sent; each module names the ways it knows
	Username string        `yaml:"username"`
	Password config.Secret `yaml:"password"` // or the token
	// Timeout is for one Send, from the connection to the answer.
	Timeout config.Duration `yaml:"timeout"`
	// CAFile holds the PEM certificates to trust instead of the system's; read when a connection is first made, and
	// again after a certificate was not trusted.
	CAFile string `yaml:"ca_file"`
	// ClientCert and ClientKey are PEM files of the certificate that we show, where a receiver asks for one.
	ClientCert string `yaml:"client_cert"`
	ClientKey  string `yaml:"client_key"`
	// Proxy is the URL of an HTTP or SOCKS proxy, or "none"; "": that of HTTPS_PROXY, HTTP_PROXY and NO_PROXY.
	Proxy string `yaml:"proxy"`
	// InsecureHTTP allows a login over http:// to another machine.
	InsecureHTTP bool `yaml:"insecure_http"`
}

const (
	answerLimit = 64 << 10 // bytes read of an answer's body; headers as much again
	quickTries  = 3        // further connection attempts within one Send
	quickPause  = 200 * time.Millisecond

	// Shorter than any common server's keep-alive (Apache 5 s, nginx 75 s): a server that closes an idle connection
	// just as we post leaves us not knowing whether it took the event, and the repeat would double it.
	idleTimeout = 4 * time.Second
)

// poster makes requests to one receiver, one at a time over one connection. It follows no redirect, keeps no cookie,
// and verifies certificates always.
type poster struct {
	HTTP
	url       *url.URL
	userAgent string
	header    string // that carries the token, where auth is "header"
	broke     bool
	client    *retryablehttp.Client // made by the first request: building does no I/O
}

// String is the receiver's URL without its query, for the log.
func (p *poster) String() string {
	u := *p.url
	u.RawQuery, u.Fragment = "", ""
	return u.Redacted()
}

// do makes one request and reads its answer. The error says why there is none; it carries no login, query or address.
func (p *poster) do(ctx context.Context, method string, u *url.URL, body []byte, header http.Header) (*answer, error) {
	return p.ask(ctx, method, u, body, header, answerLimit)
}

// ask is do where more is expected: up to limit bytes of an answer.
func (p *poster) ask(ctx context.Context, method string, u *url.URL, body []byte, header http.Header, limit int64) (*answer, error) {
	login, err := p.Password.Read()
	if err != nil {
		return nil, err
	}
	if p.client == nil {
		if p.client, err = p.newClient(); err != nil {
			return nil, err
		}
	}
	limited, cancel := context.WithTimeout(ctx, p.Timeout.Std())
	defer cancel()
	var raw any // a nil []byte would be sent as an empty body
	if body != nil {
		raw = body
	}
	connected := false
	limited = httptrace.WithClientTrace(limited, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected = true }})
	req, err := retryablehttp.NewRequestWithContext(limited, method, u.String(), raw)
	if err != nil {
		return nil, errors.New("make a request: url is not usable") // the cause would repeat the query
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("User-Agent", p.userAgent)
	p.authorize(req.Header, login)

	hide := p.secrets(u, login)
	resp, err := p.client.Do(req)
	if err != nil {
		err = p.explain(ctx, u, err, hide)
		if connected { // it may have been sent, and taken
			err = &UncertainError{err}
		}
		return nil, err
	}
	defer resp.Body.Close()
	return readAnswer(resp, hide, limit), nil
}

func (p *poster) authorize(h http.Header, login string) {
	if !p.Password.Set() {
		return
	}
	switch p.Auth {
	case "basic":
		r := http.Request{Header: h}
		r.SetBasicAuth(p.Username, login)
	case "token": // listmonk's own; its spelling is case-sensitive
		h.Set("Authorization", "token "+p.Username+":"+login)
	case "bearer":
		h.Set("Authorization", "Bearer "+login)
	case "header":
		h.Set(p.header, login)
	}
}

func (p *poster) newClient() (*retryablehttp.Client, error) {
	var roots *x509.CertPool // nil: the system's
	if p.CAFile != "" {
		pem, err := os.ReadFile(p.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read ca_file: %w", err)
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read ca_file: no PEM certificate in %s", p.CAFile)
		}
	}
	var shown []tls.Certificate
	if p.ClientCert != "" {
		pair, err := tls.LoadX509KeyPair(p.ClientCert, p.ClientKey)
		if err != nil {
			return nil, fmt.Errorf("read client_cert and client_key: %w", err)
		}
		shown = append(shown, pair)
	}
	var http1 http.Protocols
	http1.SetHTTP1(true) // one request at a time: HTTP/2 has nothing to add
	return &retryablehttp.Client{
		HTTPClient: &http.Client{
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				Proxy:                  p.proxy,
				DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
				TLSClientConfig:        &tls.Config{RootCAs: roots, Certificates: shown, MinVersion: tls.VersionTLS12},
				TLSHandshakeTimeout:    10 * time.Second,
				MaxConnsPerHost:        1,
				IdleConnTimeout:        idleTimeout,
				MaxResponseHeaderBytes: answerLimit,
				DisableCompression:     true,
				Protocols:              &http1,
			},
		},
		RetryMax: quickTries,
		CheckRetry: func(ctx context.Context, _ *http.Response, err error) (bool, error) {
			p.broke = p.broke || errors.Is(err, unix.ECONNREFUSED)
			return neverSent(ctx, err), nil
		},
		Backoff:      func(_, _ time.Duration, n int, _ *http.Response) time.Duration { return jittered(quickPause << n) },
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}, nil
}

func (p *poster) proxy(r *http.Request) (*url.URL, error) {
	switch p.Proxy {
	case "":
		return http.ProxyFromEnvironment(r)
	case noProxy:
		return nil, nil
	}
	return url.Parse(p.Proxy)
}

const noProxy = "none"

// neverSent allows a quick repeat only where no connection was made, as while the receiver restarts. Whatever came
// after may have been recorded: repeating it at once, without any idempotency at the other end, would double it.
func neverSent(ctx context.Context, err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial" && !op.Timeout() && ctx.Err() == nil
}

// Broke says whether nobody listened there since it was asked last, if only for a moment.
func (p *poster) Broke() bool {
	broke := p.broke
	p.broke = false
	return broke
}

func jittered(d time.Duration) time.Duration { return d/2 + rand.N(d/2) }

// attemptError is why there was no answer: text is safe to log, the cause serves errors.Is only.
type attemptError struct {
	text  string
	cause error
}

func (e *attemptError) Error() string { return e.text }
func (e *attemptError) Unwrap() error { return e.cause }

// explain says in an admin's words why a request got no answer.
func (p *poster) explain(ctx context.Context, u *url.URL, err error, hide []string) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err // ue repeats the URL with its query
	}
	what := redact(err.Error(), hide)
	remedy := "" // never cut off
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case ctx.Err() != nil:
		err, what = ctx.Err(), ctx.Err().Error()
	case untrusted:
		remedy = " (name its CA with ca_file, or write the name in the certificate into url)"
		p.client.HTTPClient.CloseIdleConnections()
		p.client = nil // ca_file may be mended meanwhile
	case errors.Is(err, context.DeadlineExceeded):
		what = fmt.Sprintf("no answer within %s", p.Timeout.Std())
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		what = "the connection was closed without an answer"
	}
	return &attemptError{text: fmt.Sprintf("reach %s: %s", redact(bare(u), hide), clean(what, textLimit)+remedy), cause: err}
}

// bare is u as it may be logged: without login, query and fragment.
func bare(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
