package webhook

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLobbyKnowsACompleteRequest(t *testing.T) {
	for in, want := range map[string]bool{
		"": false, "POST": false, "POST / HTTP/1.1\r\nHost: a\r\n": false,
		"POST / HTTP/1.1\r\nHost: a\r\n\r\n":                                               true,
		"POST / HTTP/1.1\r\ncontent-LENGTH: 3\r\n\r\nab":                                   false,
		"POST / HTTP/1.1\r\ncontent-LENGTH: 3\r\n\r\nabc":                                  true,
		"POST / HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n":             true,
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n":                            true,
		"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n":                                     true,
		"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\nab":                             false,
		"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 16<<10): true,
		"GET / HTTP/1.0\n\n":        true,
		strings.Repeat("x", 16<<10): true,
	} {
		if got := (&lobby{}).complete([]byte(in)); got != want {
			t.Errorf("%.60q: %v", in, got)
		}
	}
	for in, want := range map[string]bool{
		"": false, "\x16\x03\x01": false, "\x16\x03\x01\x00\x02a": false, "\x16\x03\x01\x00\x02ab": true, "POST": true,
	} {
		if got := (&lobby{tls: true}).complete([]byte(in)); got != want {
			t.Errorf("TLS %q: %v", in, got)
		}
	}
}

// A request that comes byte by byte arrives, on TCP as on a socket.
func TestWebhookTakesARequestInPieces(t *testing.T) {
	body := `{"email":"jo@example.org"}`
	request := fmt.Sprintf("POST /webhooks/bounce HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	sink := newJudge(nil)
	url := startWebhook(t, "", "routes: [{parser: native}]", sink)
	for _, size := range []int{1, 7, 60, len(request)} {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(request); i += size {
			io.WriteString(c, request[i:min(i+size, len(request))])
		}
		answer, err := io.ReadAll(c)
		c.Close()
		if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 ")) {
			t.Errorf("in pieces of %d: %v %q", size, err, answer)
		}
		if rec := <-sink.recs; string(rec.Body) != body {
			t.Errorf("%q", rec.Body)
		}
	}
}

// Bodies above what the lobby waits for, by length, in chunks, and after a 100 (Continue).
func TestWebhookTakesLargeRequests(t *testing.T) {
	sink := newJudge(nil)
	url := startWebhook(t, "", "routes: [{parser: native}]", sink)
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: 10 * time.Second}}
	for _, size := range []int{0, 1, 8191, 8192, 8193, 16 << 10, 200_000, 1 << 20} {
		for _, way := range []string{"length", "chunked", "expect"} {
			body := strings.Repeat("x", size)
			req, _ := http.NewRequest("POST", url+"/webhooks/bounce", strings.NewReader(body))
			switch way {
			case "chunked":
				req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), -1
			case "expect":
				req.Header.Set("Expect", "100-continue")
			}
			if status, _, _ := do(t, client, req); status != 200 {
				t.Errorf("%d bytes, %s: %d", size, way, status)
			} else if rec := <-sink.recs; string(rec.Body) != body {
				t.Errorf("%d bytes, %s: got %d", size, way, len(rec.Body))
			}
		}
	}
}

func TestWebhookBodyBudgetComesBack(t *testing.T) {
	b := newBudget(webhookBodyMemory)
	for _, size := range []int{0, 1, 8191, 8192, 8193, 100_000, 1 << 20, 1<<20 + 1, 3 << 20} {
		for _, length := range []int{-1, size} {
			body, err := b.readAll(strings.NewReader(strings.Repeat("x", size)), length)
			if (err == nil) != (size <= webhookBodyLimit) || err == nil && len(body) != size {
				t.Errorf("%d bytes: %d, %v", size, len(body), err)
			}
			if err == nil {
				b.release(cap(body))
			}
			if b.left != webhookBodyMemory {
				t.Fatalf("%d bytes: %d lost", size, webhookBodyMemory-b.left)
			}
		}
	}
	b = newBudget(100)
	if _, err := b.readAll(strings.NewReader(strings.Repeat("x", 9000)), -1); err != errNoMemory || b.left != 100 {
		t.Errorf("%v, %d left", err, b.left)
	}
	if _, err := b.readAll(strings.NewReader(strings.Repeat("x", 8000)), -1); err != nil {
		t.Errorf("a small body needs no budget: %v", err)
	}
}

// Of the address with most connections goes the one that waits longest, and none whose request is complete.
func TestGuardEvicts(t *testing.T) {
	g := newGuard(4, 3, func(a netip.Addr) bool { return a == netip.MustParseAddr("10.0.0.9") })
	admit := func(from string) *guardConn {
		c := g.admit(&pretended{from: from})
		if c != nil {
			c.since = time.Unix(int64(len(g.conns)), 0)
		}
		return c
	}
	gone := func(c *guardConn) bool { return c.Conn.(*pretended).closed }
	first, second, lone := admit("10.0.0.1"), admit("10.0.0.1"), admit("10.0.0.2")
	third := admit("10.0.0.1")
	if gone(first) || gone(second) || gone(third) {
		t.Fatal("closed without need")
	}
	if admit("10.0.0.3") == nil || !gone(first) || gone(lone) {
		t.Error("not the oldest of the address with most had to go")
	}
	second.working(true)
	fourth := admit("10.0.0.1") // replaces the third: its own address is full with two busy or new
	if fourth == nil || gone(second) {
		t.Error("a busy one had to go")
	}
	for range 4 {
		if c := admit("10.0.0.9"); c != nil {
			c.working(true)
		}
	}
	if !second.working(true) {
		t.Error("a busy one is gone")
	}
	for c := range g.conns {
		c.busy = true
	}
	if admit("10.0.0.4") != nil {
		t.Error("let in though all are busy")
	}
	if customer(netip.MustParseAddr("2001:db8::1")) != customer(netip.MustParseAddr("2001:db8::ffff:1")) {
		t.Error("one /64 counts as two addresses")
	}
}

// Those who wait too long go, and when files run short the one that waits longest.
func TestLobbyIsSwept(t *testing.T) {
	g := newGuard(9, 9, func(netip.Addr) bool { return false })
	y := &lobby{guard: g, waiting: map[int32]*guardConn{}}
	var all []*guardConn
	for i := range 4 {
		c := g.admit(&pretended{from: "10.0.0.1"})
		c.since = time.Unix(int64(i), 0)
		y.waiting[int32(i)] = c
		all = append(all, c)
	}
	closed := func() (which []int) {
		for i, c := range all {
			if c.Conn.(*pretended).closed {
				which = append(which, i)
			}
		}
		return which
	}
	g.release(all[3]) // its request came
	y.sweep(time.Unix(1, 0))
	if got := closed(); !slices.Equal(got, []int{0}) || len(y.waiting) != 2 || y.waiting[1] != all[1] || g.peers[all[1].peer] != 2 {
		t.Errorf("closed %v, waiting %v", got, y.waiting)
	}
	g.makeRoom()
	if got := closed(); !slices.Equal(got, []int{0, 1}) {
		t.Errorf("closed %v", got)
	}
	y.sweep(time.Unix(0, 0)) // nobody is that old, but one is closed
	if got := closed(); len(got) != 2 || len(y.waiting) != 1 {
		t.Errorf("closed %v, waiting %v", got, y.waiting)
	}
}

type pretended struct {
	net.Conn
	from   string
	closed bool
}

func (p *pretended) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(p.from), 1))
}

func (p *pretended) Close() error { p.closed = true; return nil }

func TestWebhookTLS(t *testing.T) {
	dir := t.TempDir()
	writeCertificate(t, dir)
	w, err := buildWebhook(t, dir, "listen: '"+freeAddress(t)+"'\ntls: {cert: '%DIR%/cert.pem', key: '%DIR%/key.pem'}\nroutes: [{parser: native}]")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	sink := newJudge(nil)
	runWebhook(t, w, sink)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // its own, made just now
	resp, err := client.Post("https://"+w.listen[0]+"/webhooks/bounce", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if <-sink.recs; resp.StatusCode != 200 || resp.TLS == nil {
		t.Errorf("%d %v", resp.StatusCode, resp.TLS)
	}
}

func TestWebhookProbeNamesWhatIsMissing(t *testing.T) {
	if w, err := buildWebhook(t, "", "routes: [{parser: native, from: 127.0.0.1}]"); err != nil || w.Probe(t.Context()) != nil {
		t.Errorf("a route without a secret: %v", err)
	}
	w, err := buildWebhook(t, t.TempDir(), "tls: {cert: '%DIR%/cert.pem', key: '%DIR%/key.pem'}\nroutes: [{parser: native, token_file: '%DIR%/token', files: '%DIR%/verify.txt'}]")
	if err != nil {
		t.Fatal(err)
	}
	err = w.Probe(t.Context())
	for _, want := range []string{"cert.pem", "token", "verify.txt"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

// writeCertificate writes the pair of net/http/httptest.
func writeCertificate(t *testing.T, dir string) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pair := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})))
	writeFile(t, dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
}
