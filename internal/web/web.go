// Package web is the optional listener for those who look on: monitoring, and whoever reads the page. What it serves is the
// agent's to say; who may ask, and how much at a time, is said here. Nobody changes anything by it.
//
// The loopback is no boundary on a machine with other users, nor is a client's address behind a proxy. So nobody is trusted
// for his address: there is a password, or a unix socket with a mode, or everybody who can reach it may read.
package web

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/disk"
)

const (
	maxConnections = 32
	headerLimit    = 16 << 10
	headerTime     = 5 * time.Second
	readTime       = 10 * time.Second // of header and body
	writeTime      = 15 * time.Second // from the header to the end of the answer
	idleTime       = 2 * time.Minute  // Prometheus comes every minute
	wrongPassword  = time.Second      // until the answer
)

// Server listens where its configuration says.
type Server struct {
	config config.Web
	log    *slog.Logger
	mux    *http.ServeMux
	open   map[string]bool // patterns that need no password
	guard  http.Handler    // of mux, against other sites' forms
	crowd  crowd
	strays strays
	gone   sync.WaitGroup // goroutines of connections
}

// New is a listener that does not listen yet, and serves nothing.
func New(c config.Web, log *slog.Logger) *Server {
	s := &Server{config: c, log: log, mux: http.NewServeMux(), open: map[string]bool{}, crowd: crowd{max: maxConnections}}
	s.guard = http.NewCrossOriginProtection().Handler(s.mux)
	return s
}

// Handle serves what pattern names, as http.ServeMux has them: "GET /metrics".
func (s *Server) Handle(pattern string, h http.Handler) { s.mux.Handle(pattern, h) }

// HandleOpen is Handle for what needs no password, for whoever asks cannot be given one, and tells nothing but its status.
func (s *Server) HandleOpen(pattern string, h http.Handler) {
	s.open[pattern] = true
	s.mux.Handle(pattern, h)
}

// Probe says whether the files are there that it needs.
func (s *Server) Probe(context.Context) error {
	var errs []error
	if s.config.Password.Set() {
		_, err := s.config.Password.Lines()
		errs = append(errs, err)
	}
	if s.config.TLS.Set() {
		_, err := s.config.TLS.Load()
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Run listens, calls open, and serves until ctx ends (nil) or a listener breaks (the error). It may be called again then.
// No handler runs when it returns.
func (s *Server) Run(ctx context.Context, open func()) error {
	listeners, err := s.listen()
	if err != nil {
		return err
	}
	open()
	return s.serve(ctx, listeners)
}

func (s *Server) serve(ctx context.Context, listeners []net.Listener) error {
	var http1 http.Protocols
	http1.SetHTTP1(true) // one request at a time on a connection: the limits count connections
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       readTime,
		WriteTimeout:      writeTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    headerLimit - 4096, // net/http adds 4 KiB
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       withGuest,
		ConnState:         s.follow,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		Protocols:         &http1,
	}
	defer s.gone.Wait()
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { failed <- server.Serve(l) }()
	}
	err := <-failed
	server.Close()
	for range len(listeners) - 1 {
		<-failed
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve: %w", err)
}

// follow keeps account of the connections' goroutines.
func (s *Server) follow(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.gone.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.gone.Done()
	}
}

func (s *Server) listen() (all []net.Listener, err error) {
	for _, addr := range s.config.Listen {
		l, err := disk.ListenAt(addr)
		if err != nil {
			for _, l := range all {
				l.Close()
			}
			return nil, fmt.Errorf("listen: %w", err)
		}
		l = &crowded{l, &s.crowd}
		if s.config.TLS.Set() && l.Addr().Network() != "unix" {
			l = config.NewCertificate(s.config.TLS, s.log).Listener(l)
		}
		all = append(all, l)
	}
	return all, nil
}

// headers are of every answer: it brings no script, is shown in nobody's frame, and is kept nowhere.
var headers = map[string]string{
	"Content-Security-Policy":      "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
	"X-Content-Type-Options":       "nosniff",
	"Referrer-Policy":              "no-referrer",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Cache-Control":                "no-store",
}

// ServeHTTP asks who comes by which name, then has the mux answer.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !busy(r.Context(), true) {
		return
	}
	defer busy(r.Context(), false)
	for name, value := range headers {
		w.Header().Set(name, value)
	}
	if !s.knows(r) {
		if s.strays.isNews(r.Host) {
			s.log.Warn("asked for by a name that is not known: if it is this machine's, add it to web.hosts", "host", r.Host)
		}
		w.WriteHeader(http.StatusMisdirectedRequest)
		return
	}
	if _, pattern := s.mux.Handler(r); !s.open[pattern] && !s.admits(w, r) {
		return
	}
	s.guard.ServeHTTP(w, r)
}

// knows says whether the request names this machine. A page of anybody's can have its name lead here (DNS rebinding), and
// read the answer in its visitor's browser; addresses and localhost it can't have. What sends no name is no browser.
func (s *Server) knows(r *http.Request) bool {
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && local.Network() == "unix" {
		return true
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.Trim(host, "[]"), ".")
	if _, err := netip.ParseAddr(host); err == nil || host == "" || strings.EqualFold(host, "localhost") {
		return true
	}
	is := func(name string) bool { return strings.EqualFold(name, host) }
	return slices.ContainsFunc(s.config.Hosts, is) || slices.ContainsFunc(s.config.Listen, func(addr string) bool {
		name, _, err := net.SplitHostPort(addr)
		return err == nil && is(name)
	})
}

// admits says whether the request has the password, if there is one, and answers it if not.
func (s *Server) admits(w http.ResponseWriter, r *http.Request) bool {
	if !s.config.Password.Set() {
		return true
	}
	lines, err := s.config.Password.Lines()
	if err != nil {
		s.log.Error("nobody is let in without the password to compare", "error", err)
		http.Error(w, "the password can't be read here", http.StatusServiceUnavailable)
		return false
	}
	_, given, _ := r.BasicAuth()
	good := false
	for _, line := range lines {
		good = same(given, line) || good
	}
	if !good {
		if given != "" {
			select {
			case <-time.After(wrongPassword):
			case <-r.Context().Done():
			}
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="bouncefeed", charset="UTF-8"`)
		http.Error(w, "the password, please", http.StatusUnauthorized)
	}
	return good
}

// same compares in constant time, also of unlike lengths.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// strays are the names that it was asked for by and does not know: of a few, it is told once each.
type strays struct {
	mu    sync.Mutex
	names map[string]bool
}

const maxStrays = 8

func (s *strays) isNews(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names == nil {
		s.names = map[string]bool{}
	}
	if s.names[name] || len(s.names) == maxStrays {
		return false
	}
	s.names[name] = true
	return true
}
