package web

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/config"
)

func hello(body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) })
}

// running is a listener at work until the test ends, and the address at which it listens.
func running(t *testing.T, c config.Web, routes func(*Server)) (s *Server, addr string) {
	t.Helper()
	if c.Listen == nil {
		c.Listen = config.Listen{"127.0.0.1:0"}
	}
	s = New(c, slog.New(slog.DiscardHandler))
	s.Handle("GET /figures", hello("figures"))
	s.Handle("POST /ask", hello("answer"))
	s.HandleOpen("GET /live", hello("yes"))
	if routes != nil {
		routes(s)
	}
	listeners, err := s.listen()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.serve(ctx, listeners) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s, listeners[0].Addr().String()
}

func asked(t *testing.T, client *http.Client, method, url string, change func(*http.Request)) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(req)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// A page of anybody's that has its name lead here (DNS rebinding) reads nothing.
func TestHostNames(t *testing.T) {
	t.Parallel()
	_, addr := running(t, config.Web{Hosts: []string{"mail.example.net"}}, nil)
	_, port, _ := net.SplitHostPort(addr)
	for host, want := range map[string]int{
		addr: 200, "localhost:" + port: 200, "LOCALHOST": 200, "localhost.": 200, "[::1]:" + port: 200, "[::1]": 200, "192.0.2.7": 200,
		"mail.example.net": 200, "Mail.Example.Net:443": 200,
		"evil.example": 421, "evil.example:" + port: 421, "localhost.evil.example": 421, "127.0.0.1.evil.example:" + port: 421,
		"mail.example.net.evil.example": 421, "xmail.example.net": 421, "127.1": 421, "2130706433": 421,
	} {
		resp, body := asked(t, http.DefaultClient, "GET", "http://"+addr+"/figures", func(r *http.Request) { r.Host = host })
		if resp.StatusCode != want || want == 421 && body != "" {
			t.Errorf("Host: %s: %d %q", host, resp.StatusCode, body)
		}
	}
}

// What sends no name is no browser: HAProxy's probes, for one.
func TestNoHostName(t *testing.T) {
	t.Parallel()
	_, addr := running(t, config.Web{}, nil)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET /live HTTP/1.0\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("%v %v", resp, err)
	}
}

// Every answer carries the headers, nothing is answered that is not served, and a form of another site's is refused.
func TestAnswers(t *testing.T) {
	t.Parallel()
	_, addr := running(t, config.Web{}, nil)
	for _, c := range []struct {
		method, path, origin string
		status               int
	}{
		{"GET", "/figures", "", 200}, {"HEAD", "/figures", "", 200}, {"POST", "/figures", "", 405}, {"DELETE", "/live", "", 405}, {"GET", "/else", "", 404},
		{"POST", "/ask", "", 200}, {"POST", "/ask", "http://" + addr, 200}, {"POST", "/ask", "http://evil.example", 403}, {"POST", "/ask", "null", 403},
	} {
		resp, _ := asked(t, http.DefaultClient, c.method, "http://"+addr+c.path, func(r *http.Request) {
			if c.origin != "" {
				r.Header.Set("Origin", c.origin)
			}
		})
		if resp.StatusCode != c.status {
			t.Errorf("%+v: %s", c, resp.Status)
		}
		for name, value := range headers {
			if resp.Header.Get(name) != value {
				t.Errorf("%+v: %s is %q", c, name, resp.Header.Get(name))
			}
		}
	}
}

func TestPassword(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "password")
	c, err := config.Parse("c.yaml", []byte("web: {listen: '127.0.0.1:0', password_file: '"+file+"'}\n"))
	if err != nil {
		t.Fatal(err)
	}
	s, addr := running(t, c.Web, nil)
	get := func(path, password string) int {
		t.Helper()
		resp, body := asked(t, http.DefaultClient, "GET", "http://"+addr+path, func(r *http.Request) {
			if password != "" {
				r.SetBasicAuth("anybody", password)
			}
		})
		if resp.StatusCode == 401 && (resp.Header.Get("WWW-Authenticate") == "" || strings.Contains(body, "figures")) {
			t.Errorf("%q %q", resp.Header, body)
		}
		return resp.StatusCode
	}
	if got := get("/figures", "secret"); got != 503 {
		t.Errorf("without the file: %d", got)
	}
	if err := s.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), file) {
		t.Error(err)
	}
	if err := os.WriteFile(file, []byte("secret\nnext\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		path, password string
		want           int
	}{
		{"/figures", "secret", 200}, {"/figures", "next", 200}, {"/figures", "", 401}, {"/figures", "secre", 401},
		{"/else", "", 401}, {"/else", "next", 404}, {"/live", "", 200}, {"//live", "", 200}, {"/live/../figures", "", 401},
	} {
		if got := get(c.path, c.password); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// The socket is its owner's and group's, any name leads to it, and it is gone at the end.
func TestUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "web.sock")
	running(t, config.Web{Listen: config.Listen{"unix:" + path}}, nil)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v %v", info, err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) }}}
	if resp, body := asked(t, client, "GET", "http://anything.example/figures", nil); resp.StatusCode != 200 || body != "figures" {
		t.Errorf("%s %q", resp.Status, body)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	from := httptest.NewTLSServer(nil)
	defer from.Close()
	key, err := x509.MarshalPKCS8PrivateKey(from.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	files := config.TLS{Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	for path, block := range map[string]*pem.Block{files.Cert: {Type: "CERTIFICATE", Bytes: from.Certificate().Raw}, files.Key: {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, addr := running(t, config.Web{TLS: files}, nil)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool(from.Certificate())}}}
	if resp, body := asked(t, client, "GET", "https://"+addr+"/figures", nil); resp.TLS == nil || body != "figures" {
		t.Errorf("%s %q", resp.Status, body)
	}
}

func pool(cert *x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(cert)
	return p
}

// Those who connect and say nothing, or not all of it, keep nobody out; whoever is being answered keeps his place.
func TestCrowd(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	_, addr := running(t, config.Web{}, func(s *Server) {
		s.Handle("GET /slow", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			entered <- struct{}{}
			<-leave
			io.WriteString(w, "slow")
		}))
	})
	answers := make(chan string)
	for range maxConnections / 2 {
		go func() {
			resp, err := http.Get("http://" + addr + "/slow")
			if err != nil {
				answers <- err.Error()
				return
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			answers <- string(body)
		}()
		<-entered
	}
	for i := range 2 * maxConnections {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i%2 == 0 {
			io.WriteString(c, "GET /figures HTTP/1.1\r\nHost: local")
		}
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	if resp, body := asked(t, client, "GET", "http://"+addr+"/figures", nil); resp.StatusCode != 200 || body != "figures" {
		t.Errorf("%s %q", resp.Status, body)
	}
	close(leave)
	for range maxConnections / 2 {
		if got := <-answers; got != "slow" {
			t.Errorf("%q", got)
		}
	}
}

// One who can't listen says so, has let go of what he could, and may try again.
func TestAddressInUse(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "web.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := New(config.Web{Listen: config.Listen{"127.0.0.1:0", "unix:" + path}}, slog.New(slog.DiscardHandler))
	if err := s.Run(t.Context(), func() { t.Error("open") }); err == nil || !strings.Contains(err.Error(), path) {
		t.Error(err)
	}
	l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	if err := s.Run(ctx, cancel); err != nil {
		t.Error(err)
	}
}

func TestStraysAreToldOnce(t *testing.T) {
	t.Parallel()
	var s strays
	if !s.isNews("a") || s.isNews("a") || !s.isNews("b") {
		t.Error("not once each")
	}
	n := 0
	for i := range 100 {
		if s.isNews(strings.Repeat("x", i)) {
			n++
		}
	}
	if n != maxStrays-2 {
		t.Errorf("%d told", n)
	}
}
