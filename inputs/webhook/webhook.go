// Package webhook takes bounces that are posted by HTTP. Strangers reach it: everything it takes is bounded.
package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/internal/config"
	"bouncefeed/internal/disk"
)

// webhookConfig is a section `type: webhook`.
type webhookConfig struct {
	Senders []string      `yaml:"senders"`
	Listen  config.Listen `yaml:"listen"`
	// PublicURL is under what the world sees the listener, for `check` to print: "https://bounces.example.com".
	PublicURL string     `yaml:"public_url"`
	TLS       config.TLS `yaml:"tls"`
	// InsecureHTTP lets passwords and tokens of routes come over a network without TLS.
	InsecureHTTP bool `yaml:"insecure_http"`
	// TrustedProxies are networks, or "unix", whose X-Forwarded-For is believed.
	TrustedProxies []proxy        `yaml:"trusted_proxies"`
	MaxConnections int            `yaml:"max_connections"`
	MaxPerAddress  int            `yaml:"max_per_address"` // of one IPv4 address or IPv6 /64
	Routes         []webhookRoute `yaml:"routes"`
	embedded       inputs.Settings
}

// Common gives the agent the settings of any module; the parsers are the routes'.
func (c *webhookConfig) Common() *inputs.Settings {
	c.embedded.Senders = c.Senders
	return &c.embedded
}

const (
	webhookBodyLimit   = 1 << 20
	webhookHeaderLimit = 16 << 10
	webhookReadTime    = 10 * time.Second // for the header, and again for the body
	webhookIdleTime    = 60 * time.Second
	webhookStoreTime   = 10 * time.Second // then the sender is told to come again: none waits much longer
	webhookRetryAfter  = "30"             // seconds
)

func init() {
	inputs.Register("webhook", webhookConfig{
		Listen: config.Listen{"127.0.0.1:8025"}, MaxConnections: 512, MaxPerAddress: 64,
	}, newWebhook)
}

// webhook takes bounces by HTTP: POST to one path for each account of a provider. The answer is 200 once they are on
// disk and not before; 401 to whom it does not believe, 503 when it can't tell or can't store.
type webhook struct {
	log       *slog.Logger
	listen    []string
	publicURL string
	trusted   config.Networks
	trustUnix bool
	cert      *config.Certificate // nil: without TLS
	tls       config.TLS
	maxConns  int
	maxPeer   int
	routes    map[string]*webhookRoute // by path
	order     []*webhookRoute
	files     map[string]string // path to file
	bodies    *budget
	accepts   atomic.Bool // the listeners are open
}

func newWebhook(env config.Env, section config.Section, c *webhookConfig) (inputs.Input, error) {
	w := &webhook{
		log: env.Log, listen: c.Listen, publicURL: strings.TrimSuffix(c.PublicURL, "/"), maxConns: c.MaxConnections, maxPeer: c.MaxPerAddress,
		routes: map[string]*webhookRoute{}, files: map[string]string{}, bodies: newBudget(webhookBodyMemory),
	}
	errs := []error{c.checkListen(section), c.checkTLS(section), c.checkLimits(section)}
	for _, p := range c.TrustedProxies {
		if p.unix {
			w.trustUnix = true
		} else {
			w.trusted = append(w.trusted, p.network)
		}
	}
	if c.TLS.Set() {
		w.tls, w.cert = c.TLS, config.NewCertificate(c.TLS, env.Log)
	}
	if len(c.Routes) == 0 {
		errs = append(errs, section.Errorf("routes", "none: nothing could be posted"))
	}
	for i := range c.Routes {
		if why := w.add(&c.Routes[i], c); why != "" {
			errs = append(errs, section.Errorf("routes", "the %s: %s", nth(i+1), why))
		}
	}
	return w, config.Join("", errs...)
}

func nth(n int) string {
	if n < 4 {
		return []string{"first", "second", "third"}[n-1]
	}
	return fmt.Sprintf("%dth", n)
}

func (c *webhookConfig) checkListen(section config.Section) error {
	if len(c.Listen) == 0 {
		return section.Errorf("listen", "names no address: write 127.0.0.1:8025 or unix:/run/bouncefeed/webhook.sock")
	}
	var errs []error
	wrong := c.Listen.Mistakes("8025")
	for _, i := range slices.Sorted(maps.Keys(wrong)) {
		errs = append(errs, section.Errorf(fmt.Sprintf("listen[%d]", i), "%s", wrong[i]))
	}
	return config.Join("", errs...)
}

func (c *webhookConfig) checkLimits(section config.Section) error {
	var errs []error
	if c.MaxConnections < 8 || c.MaxConnections > 100_000 {
		errs = append(errs, section.Errorf("max_connections", "must be from 8 to 100000"))
	}
	if c.MaxPerAddress < 1 {
		errs = append(errs, section.Errorf("max_per_address", "must be at least 1"))
	}
	return config.Join("", errs...)
}

func (c *webhookConfig) checkTLS(section config.Section) error {
	if !c.TLS.Whole() {
		return section.Errorf("tls", "takes both cert and key, the paths of PEM files")
	}
	return nil
}

// public says whether machines other than this one can send here: to a listener, or to a proxy before it.
func (c *webhookConfig) public() bool {
	if c.Listen.Exposed() || len(c.TrustedProxies) > 0 {
		return true
	}
	u, err := url.Parse(c.PublicURL)
	return c.PublicURL != "" && (err != nil || !config.IsLoopback(u.Hostname()))
}

// proxy is a network of proxies, or "unix": whoever can reach our socket is one.
type proxy struct {
	unix    bool
	network config.Network
}

// UnmarshalText accepts a network, an address or unix.
func (p *proxy) UnmarshalText(text []byte) error {
	if p.unix = string(text) == "unix"; p.unix {
		return nil
	}
	if err := p.network.UnmarshalText(text); err != nil {
		return fmt.Errorf("%w, or unix", err)
	}
	return nil
}

// String tells where w listens.
func (w *webhook) String() string { return strings.Join(w.listen, ", ") }

// IsOpen implements Opener.
func (w *webhook) IsOpen() bool { return w.accepts.Load() }

// Routes implements Routed: a route is known by its path.
func (w *webhook) Routes() []inputs.Route {
	base := w.publicURL
	if base == "" {
		base = "http://" + w.listen[0]
		if w.cert != nil {
			base = "https://" + w.listen[0]
		}
	}
	var all []inputs.Route
	for _, r := range w.order {
		all = append(all, inputs.Route{Name: r.Path, URL: base + r.Path, Parser: r.Parser, Authenticated: r.authenticated(), Public: r.public})
	}
	return all
}

// Probe implements Probe.
func (w *webhook) Probe(context.Context) error {
	var errs []error
	for _, r := range w.order {
		if secret := r.secret(); secret.Set() {
			if _, err := secret.Lines(); err != nil {
				errs = append(errs, fmt.Errorf("route %s: %w", r.Path, err))
			}
		}
	}
	if w.cert != nil {
		_, err := w.tls.Load()
		errs = append(errs, err)
	}
	for _, file := range w.files {
		_, err := os.Stat(file)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Run implements Input.
func (w *webhook) Run(ctx context.Context, s inputs.Sink) error {
	sink, ok := s.(inputs.RequestSink)
	if !ok {
		return fmt.Errorf("nothing here takes requests: %T", s)
	}
	g := newGuard(w.maxConns, w.maxPeer, w.exempt)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	server := w.server(ctx, sink, g)
	listeners, err := w.open()
	if err != nil {
		return err
	}
	w.accepts.Store(true)
	defer w.accepts.Store(false)
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { failed <- server.Serve(w.wrap(l, g)) }()
	}
	serving := len(listeners)
	select {
	case <-ctx.Done():
	case err = <-failed:
		serving--
		err = fmt.Errorf("serve %s: %w", w, err)
	}
	cancel() // commits that wait for room or for the disk end, and their senders come again
	w.stop(server, g)
	for range serving {
		<-failed
	}
	return err
}

// stop ends the server when the requests that are being stored have their answer.
func (w *webhook) stop(server *http.Server, g *guard) {
	g.closeWaiting()
	end, cancel := context.WithTimeout(context.Background(), webhookStoreTime)
	defer cancel()
	if server.Shutdown(end) != nil {
		server.Close()
	}
	g.gone.Wait()
}

func (w *webhook) server(ctx context.Context, sink inputs.RequestSink, g *guard) *http.Server {
	var http1 http.Protocols
	http1.SetHTTP1(true) // one request at a time on a connection: all limits count connections
	return &http.Server{
		Handler:           &webhookServer{webhook: w, ctx: ctx, sink: sink},
		ReadHeaderTimeout: webhookReadTime,
		WriteTimeout:      3 * webhookReadTime,
		IdleTimeout:       webhookIdleTime,
		MaxHeaderBytes:    webhookHeaderLimit - 4096, // net/http adds 4 KiB
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connKey{}, guarded(c))
		},
		ConnState: g.state,
		ErrorLog:  slog.NewLogLogger(w.log.Handler(), slog.LevelDebug),
		Protocols: &http1,
	}
}

func (w *webhook) open() (all []*lobby, err error) {
	for _, addr := range w.listen {
		l, err := disk.ListenAt(addr)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("listen: %w", err), closeAll(all))
		}
		y, err := newLobby(l, w.cert != nil && l.Addr().Network() != "unix", w.exempt)
		if err != nil {
			l.Close()
			return nil, errors.Join(err, closeAll(all))
		}
		all = append(all, y)
	}
	return all, nil
}

func closeAll(listeners []*lobby) error {
	for _, l := range listeners {
		l.Close()
	}
	return nil
}

// wrap puts the guard before TLS.
func (w *webhook) wrap(l *lobby, g *guard) net.Listener {
	guardedListener := &guardListener{Listener: l, guard: g}
	if !l.tls {
		return guardedListener
	}
	return w.cert.Listener(guardedListener)
}

// exempt says of a peer that it stands for many: a proxy.
func (w *webhook) exempt(addr netip.Addr) bool {
	return !addr.IsValid() /* a unix socket */ || w.trusted.Contain(addr)
}

// sender finds who sent a request: the peer, or what trusted proxies say of it in X-Forwarded-For, from the right as
// far as each next is trusted, too. A hop that is no plain address ("192.0.2.1:4711", "unknown", "fe80::1%eth0") is a
// stranger whose address is not known: the invalid one, which is in no network.
func (w *webhook) sender(r *http.Request) netip.Addr {
	peer := peerOf(r.RemoteAddr)
	if !peer.IsValid() && !w.trustUnix || peer.IsValid() && !w.exempt(peer) {
		return peer
	}
	fields := r.Header.Values("X-Forwarded-For")
	if len(fields) == 0 {
		return peer
	}
	hops := strings.Split(strings.Join(fields, ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		addr, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil || addr.Zone() != "" {
			return netip.Addr{}
		}
		if peer = addr.Unmap(); !w.exempt(peer) {
			break
		}
	}
	return peer
}

// peerOf reads "192.0.2.1:4711"; of a unix socket's peer it gives the invalid address.
func peerOf(remote string) netip.Addr {
	p, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return p.Addr().Unmap().WithZone("")
}
