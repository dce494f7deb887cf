package outputs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bouncefeed/internal/event"
)

// posting are the outputs that post; what this file tests holds for each.
var posting = []string{"listmonk", "webhook"}

// poster builds an output that posts to url, with a login.
func posterTo(t *testing.T, kind, url string, more ...string) Output {
	t.Helper()
	return mustBuild(t, kind, append([]string{"url: " + url + "/webhooks/bounce", "username: bouncefeed", "password_file: " + tokenFile(t)}, more...)...)
}

// sendOne sends one event and holds the error, if any, to what every error must not say.
func sendOne(t *testing.T, ctx context.Context, out Output) error {
	t.Helper()
	err := out.Send(ctx, []event.Event{someEvent("one")})
	if err != nil && (strings.Contains(err.Error(), token) || strings.Contains(err.Error(), recipient) || len(err.Error()) > 1000 || strings.ContainsAny(err.Error(), "\n\x00")) {
		t.Errorf("the error tells too much: %q", err)
	}
	return err
}

func each(t *testing.T, test func(t *testing.T, kind string)) {
	for _, kind := range posting {
		t.Run(kind, func(t *testing.T) { test(t, kind) })
	}
}

func TestEveryStatus(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		var status atomic.Int64
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(int(status.Load()))
			switch {
			case status.Load() == 200:
				io.WriteString(w, `{"data":true}`)
			case status.Load() == 400:
				io.WriteString(w, `{"message":"bad"}`)
			}
		}))
		defer s.Close()
		out := posterTo(t, kind, s.URL)
		for code := 200; code < 600; code++ {
			status.Store(int64(code))
			err := sendOne(t, t.Context(), out)
			taken, permanent := code < 300, code == 400 || code == 413 || code == 422
			if kind == "listmonk" { // which says nothing else
				taken, permanent = code == 200, code == 400
			}
			if (err == nil) != taken || event.IsPermanent(err) != permanent {
				t.Errorf("%d: %v, permanent %v", code, err, event.IsPermanent(err))
			}
			if err != nil && !strings.HasPrefix(err.Error(), fmt.Sprint(code, ": ")) {
				t.Errorf("%d: the error does not begin with the status: %v", code, err)
			}
		}
	})
}

func TestRetryAfter(t *testing.T) {
	date := time.Now().Add(30 * time.Minute).UTC().Format(http.TimeFormat)
	for value, want := range map[string][2]time.Duration{
		"":                              {0, 0},
		"7":                             {7 * time.Second, 7 * time.Second},
		"0":                             {0, 0},
		"-5":                            {0, 0},
		"soon":                          {0, 0},
		"86400":                         {time.Hour, time.Hour},
		"99999999999999999999":          {time.Hour, time.Hour},
		date:                            {20 * time.Minute, 30 * time.Minute},
		"Mon, 01 Jan 2001 00:00:00 GMT": {0, 0},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", value)
			w.WriteHeader(http.StatusTooManyRequests)
		}))
		later, ok := errors.AsType[*LaterError](sendOne(t, t.Context(), posterTo(t, "listmonk", s.URL)))
		if !ok || later.After < want[0] || later.After > want[1] {
			t.Errorf("%q: %+v", value, later)
		}
		s.Close()
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		var followed atomic.Int64
		target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
		defer target.Close()
		for _, code := range []int{301, 302, 303, 307, 308} {
			s := httptest.NewServer(http.RedirectHandler(target.URL+"/secret/path?key="+token, code))
			err := sendOne(t, t.Context(), posterTo(t, kind, s.URL))
			if err == nil || !strings.Contains(err.Error(), "points to "+target.URL+",") {
				t.Errorf("%d: %v", code, err)
			}
			s.Close()
		}
		if followed.Load() > 0 {
			t.Error("a redirect was followed")
		}
	})
}

func TestOneConnection(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		var connections atomic.Int64
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"data":true}`) }))
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				connections.Add(1)
			}
		}
		s.Start()
		defer s.Close()
		out := posterTo(t, kind, s.URL)
		for range 100 {
			if err := sendOne(t, t.Context(), out); err != nil {
				t.Fatal(err)
			}
		}
		if connections.Load() != 1 {
			t.Errorf("%d connections for 100 events", connections.Load())
		}
	})
}

func TestTimeoutCoversTheWholeAnswer(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		var requests atomic.Int64
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}))
		defer s.Close()
		err := sendOne(t, t.Context(), posterTo(t, kind, s.URL, "timeout: 50ms"))
		if !errors.Is(err, context.DeadlineExceeded) || event.IsPermanent(err) || !strings.Contains(err.Error(), "no answer within 50ms") {
			t.Errorf("silent: %v", err)
		}
		if requests.Load() != 1 {
			t.Errorf("a request that may have been recorded was made %d times", requests.Load())
		}
	})
}

// The status line says what became of the event, whatever the body does then.
func TestBodies(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		var body func(http.ResponseWriter, *http.Request)
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { body(w, r) }))
		defer s.Close()
		out := posterTo(t, kind, s.URL, "timeout: 200ms")
		slow := func(status int) func(http.ResponseWriter, *http.Request) {
			return func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(status)
				io.WriteString(w, "x")
				w.(http.Flusher).Flush()
				<-r.Context().Done()
			}
		}
		endless := func(status int) func(http.ResponseWriter, *http.Request) {
			return func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(status)
				for r.Context().Err() == nil {
					io.WriteString(w, strings.Repeat("jo.private@example.org ", 1000))
				}
			}
		}
		strange := kind != "listmonk" // of which no other words are believed
		for name, c := range map[string]struct {
			body             func(http.ResponseWriter, *http.Request)
			taken, permanent bool
		}{
			"slow 200":    {slow(200), strange, false},
			"slow 400":    {slow(400), false, strange},
			"slow 500":    {slow(500), false, false},
			"endless 200": {endless(200), strange, false},
			"endless 422": {endless(422), false, strange},
			"endless 503": {endless(503), false, false},
		} {
			body = c.body
			if err := sendOne(t, t.Context(), out); (err == nil) != c.taken || event.IsPermanent(err) != c.permanent {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// rawServer answers every connection with f, once the request is there as far as f reads it.
func rawServer(t *testing.T, f func(c net.Conn)) (url string, connections *atomic.Int64) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	connections = new(atomic.Int64)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			f(c)
			c.Close()
		}
	}()
	return "http://" + l.Addr().String(), connections
}

func readRequest(c net.Conn) {
	if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
		io.Copy(io.Discard, r.Body)
	}
}

func answering(text string) func(net.Conn) {
	return func(c net.Conn) { readRequest(c); io.WriteString(c, text) }
}

func TestConnectionEndsAtEveryStage(t *testing.T) {
	const answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"data\":true}"
	head := strings.Index(answer, "{")
	each(t, func(t *testing.T, kind string) {
		stages := map[string]func(net.Conn){
			"at once":         func(net.Conn) {},
			"in the request":  func(c net.Conn) { io.ReadFull(c, make([]byte, 20)) },
			"after it, reset": func(c net.Conn) { readRequest(c); c.(*net.TCPConn).SetLinger(0) },
		}
		for n := range head {
			stages[fmt.Sprintf("after %d bytes of the answer", n)] = answering(answer[:n])
		}
		for name, stage := range stages {
			url, connections := rawServer(t, stage)
			err := sendOne(t, t.Context(), posterTo(t, kind, url))
			if err == nil || event.IsPermanent(err) {
				t.Errorf("ended %s: %v", name, err)
			}
			if connections.Load() != 1 {
				t.Errorf("ended %s: tried %d times, though the event may have been taken", name, connections.Load())
			}
		}
		for n := head + 1; n <= len(answer); n++ {
			url, _ := rawServer(t, answering(answer[:n]))
			if err := sendOne(t, t.Context(), posterTo(t, kind, url)); err != nil {
				t.Errorf("200 and %d bytes of the body: %v", n-head, err)
			}
		}
	})
}

func TestGarbage(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		for name, text := range map[string]string{
			"SMTP":         "220 mx.example.org ESMTP " + recipient + "\r\n",
			"binary":       "\x00\xff\x16\x03\x01" + token + "\r\n\r\n",
			"no number":    "HTTP/1.1 two OK\r\n\r\n",
			"long headers": "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*answerLimit) + "\r\n\r\n",
			"many 100":     strings.Repeat("HTTP/1.1 100 Continue\r\nX: "+strings.Repeat("x", 1000)+"\r\n\r\n", 1000),
			"999":          "HTTP/1.1 999 Denied\r\nContent-Length: 0\r\n\r\n",
		} {
			url, _ := rawServer(t, answering(text))
			if err := sendOne(t, t.Context(), posterTo(t, kind, url)); err == nil || event.IsPermanent(err) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestRefusedConnectionIsTriedAgainAtOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	out := posterTo(t, "listmonk", "http://"+addr)
	if err := sendOne(t, t.Context(), out); err == nil || event.IsPermanent(err) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("nobody listens: %v", err)
	}
	tries := 0
	out.(*listmonkReceiver).client.Backoff = func(_, _ time.Duration, n int, _ *http.Response) time.Duration {
		if tries++; tries == 2 { // the receiver is back after two refusals
			l, err := net.Listen("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"data":true}`) })}
			go s.Serve(l)
			t.Cleanup(func() { s.Close() })
		}
		return time.Millisecond
	}
	if err := sendOne(t, t.Context(), out); err != nil || tries != 2 {
		t.Errorf("after %d refusals: %v", tries, err)
	}
}

func TestQueryAndEchoesStayOutOfErrors(t *testing.T) {
	const key = "k3y-in-the-query"
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "Cannot POST %s %s %s jo.private%%40example.org jo.private\\u0040example.org", r.URL, r.Header.Get("Authorization"), body)
	}))
	out := mustBuild(t, "webhook", "url: "+s.URL+"/x?key="+key, "username: bouncefeed", "password_file: "+tokenFile(t))
	check := func(err error) {
		if err == nil || strings.Contains(err.Error(), key) || strings.Contains(err.Error(), "jo.private") || strings.Contains(err.Error(), "Ym91bmNl") {
			t.Errorf("got %v", err)
		}
	}
	check(sendOne(t, t.Context(), out))
	s.Close()
	check(sendOne(t, t.Context(), out))
}

// The environment's proxies are read once in a process: this one asks itself again in another.
func TestProxyPasswordStaysOutOfErrors(t *testing.T) {
	const proxy = "http://user:hunter2@127.0.0.1:1"
	if os.Getenv("HTTPS_PROXY") == proxy {
		err := sendOne(t, t.Context(), mustBuild(t, "webhook", "url: https://192.0.2.1/x"))
		if err == nil || !strings.Contains(err.Error(), "proxyconnect") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("got %v", err)
		}
		return
	}
	again := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	again.Env = append(os.Environ(), "HTTPS_PROXY="+proxy, "https_proxy=", "NO_PROXY=", "no_proxy=")
	if text, err := again.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}
