package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/inputs/inputtest"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
)

// buildWebhook builds the input of a YAML section; %DIR% in it is dir.
func buildWebhook(t testing.TB, dir, section string) (*webhook, error) {
	t.Helper()
	text := "inputs:\n  hooks:\n    type: webhook\n"
	for line := range strings.Lines(strings.ReplaceAll(section, "%DIR%", dir)) {
		text += "    " + line
	}
	c, err := config.Parse("test.yaml", []byte(text+"\noutputs: {}\n"))
	if err != nil {
		return nil, err
	}
	built, err := inputs.Modules.Build(config.Env{Name: "hooks", Log: slog.New(slog.DiscardHandler)}, c.Inputs[0].Value)
	if err != nil {
		return nil, err
	}
	return built.Input.(*webhook), nil
}

// startWebhook runs the input on a port that is free and gives the base of its URLs.
func startWebhook(t testing.TB, dir, section string, sink inputs.Sink) string {
	t.Helper()
	w, err := buildWebhook(t, dir, "listen: '"+freeAddress(t)+"'\n"+section)
	if err != nil {
		t.Fatal(err)
	}
	runWebhook(t, w, sink)
	return "http://" + w.listen[0]
}

func runWebhook(t testing.TB, w *webhook, sink inputs.Sink) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx, sink) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	network, addr := "tcp", w.listen[0]
	if path, unix := strings.CutPrefix(addr, "unix:"); unix {
		network, addr = "unix", path
	}
	for deadline := time.Now().Add(2 * time.Minute); ; {
		c, err := net.Dial(network, addr)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func writeFile(t testing.TB, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// judge is a Sink that gives its error for every request and remembers them.
type judge struct {
	inputtest.Sink
	err     error
	recs    chan event.Record
	refused chan string
}

func newJudge(err error) *judge {
	return &judge{err: err, recs: make(chan event.Record, 100), refused: make(chan string, 100)}
}

func (j *judge) CommitRequest(_ context.Context, rec event.Record) (string, error) {
	j.recs <- rec
	return "", j.err
}

func (j *judge) CountRefused(why string) { j.refused <- why }

// post gives status, header and body of an answer.
func post(t testing.TB, method, url, body string, header ...string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return do(t, http.DefaultClient, req)
}

func do(t testing.TB, client *http.Client, req *http.Request) (int, http.Header, string) {
	t.Helper()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

func TestWebhookAnswersByWhatBecameOfTheRequest(t *testing.T) {
	for _, c := range []struct {
		name   string
		err    error
		status int
		retry  bool
	}{
		{"stored", nil, 200, false},
		{"wrong signature", event.Refuse("bad_signature", "another key"), 401, false},
		{"wrong form", event.Refuse(event.WhyContentType, "a form"), 415, false},
		{"wrong field", &inputs.MalformedError{Detail: "email is no address"}, 400, false},
		{"disk full", errors.New("no space left"), 503, true},
		{"no room in time", context.DeadlineExceeded, 503, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			sink := newJudge(c.err)
			url := startWebhook(t, "", "routes: [{parser: native}]", sink)
			status, header, body := post(t, "POST", url+"/webhooks/bounce?a=b", `{"x":1}`, "X-Two", "yes", "Content-Type", "application/json")
			if status != c.status || (header.Get("Retry-After") != "") != c.retry || (c.status == 200) != (body == `{"data":true}`) {
				t.Errorf("%d %v %s", status, header, body)
			}
			rec := <-sink.recs
			if string(rec.Body) != `{"x":1}` || rec.Route != "/webhooks/bounce" || rec.Request.Field("x-two") != "yes" || rec.Request.Target != "/webhooks/bounce?a=b" ||
				rec.Request.Method != "POST" || rec.Request.Field("Host") != strings.TrimPrefix(url, "http://") || rec.Request.Remote.String() != "127.0.0.1" || rec.Time.IsZero() {
				t.Errorf("%+v", rec)
			}
		})
	}
}

// A sender of CloudEvents asks before it sends, with the login it will send with.
func TestWebhookAllowsSendersOfCloudEvents(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "secret", "s3cret\n")
	sink := newJudge(nil)
	url := startWebhook(t, dir, `routes: [{parser: azure, path: /a, query: key, secret_file: "%DIR%/secret"}]`, sink)
	status, header, body := post(t, "OPTIONS", url+"/a?key=s3cret", "", "WebHook-Request-Origin", "eventgrid.azure.net", "WebHook-Request-Rate", "120")
	if status != 200 || header.Get("WebHook-Allowed-Origin") != "eventgrid.azure.net" || header.Get("WebHook-Allowed-Rate") != "*" || header.Get("Allow") != "POST" || body != "" {
		t.Errorf("%d %v %q", status, header, body)
	}
	if status, header, _ := post(t, "OPTIONS", url+"/a?key=other", "", "WebHook-Request-Origin", "eventgrid.azure.net"); status != 401 || header.Get("WebHook-Allowed-Origin") != "" {
		t.Errorf("%d %v", status, header)
	}
	if status, _, _ := post(t, "OPTIONS", url+"/a?key=s3cret", ""); status != 405 {
		t.Error(status)
	}
	if len(sink.recs) > 0 {
		t.Error("taken for a bounce")
	}
}

func TestWebhookTurnsAway(t *testing.T) {
	sink := newJudge(nil)
	url := startWebhook(t, "", "routes: [{parser: native}]", sink)
	for _, c := range []struct {
		method, path, body string
		status             int
		why                string
	}{
		{"POST", "/nothing", "{}", 404, ""},
		{"GET", "/webhooks/bounce", "", 405, ""},
		{"PUT", "/webhooks/bounce", "{}", 405, ""},
		{"POST", "/webhooks/bounce", strings.Repeat("x", 1<<20+1), 413, whyTooLarge},
	} {
		status, header, _ := post(t, c.method, url+c.path, c.body)
		if status != c.status || status == 405 && header.Get("Allow") != "POST" {
			t.Errorf("%s %s: %d %v, want %d", c.method, c.path, status, header, c.status)
		}
		if c.why != "" && <-sink.refused != c.why {
			t.Errorf("%s %s: counted otherwise", c.method, c.path)
		}
	}
	if status, _, _ := post(t, "POST", url+"/webhooks/bounce", strings.Repeat("x", 1<<20)); status != 200 {
		t.Errorf("1 MiB: %d", status)
	}
	if n := len((<-sink.recs).Body); n != 1<<20 || len(sink.recs) > 0 {
		t.Errorf("%d bytes, %d more records", n, len(sink.recs))
	}
}

func TestWebhookAnswersWhatTheParserSays(t *testing.T) {
	url := startWebhook(t, "", "routes: [{parser: native}]", answering{&inputtest.Sink{}})
	if status, _, body := post(t, "POST", url+"/webhooks/bounce", "{}"); status != 200 || body != `{"validationResponse":"1"}` {
		t.Errorf("%d %s", status, body)
	}
}

type answering struct{ *inputtest.Sink }

func (answering) CommitRequest(context.Context, event.Record) (string, error) {
	return `{"validationResponse":"1"}`, nil
}

func TestWebhookOnASocket(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "hook.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"}) // what a killed daemon leaves
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	w, err := buildWebhook(t, dir, "listen: unix:%DIR%/hook.sock\ntrusted_proxies: unix\nroutes: [{parser: native}]")
	if err != nil {
		t.Fatal(err)
	}
	sink := newJudge(nil)
	runWebhook(t, w, sink)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", path)
	}}}
	req, _ := http.NewRequest("POST", "http://lists.example.com/webhooks/bounce", strings.NewReader("{}"))
	req.Header.Set("X-Forwarded-For", "192.0.2.7")
	if status, _, _ := do(t, client, req); status != 200 {
		t.Errorf("%d", status)
	}
	if rec := <-sink.recs; rec.Request.Remote.String() != "192.0.2.7" || rec.Request.Field("Host") != "lists.example.com" {
		t.Errorf("%+v", rec.Request)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v %v", info, err)
	}
}

func TestWebhookServesVerificationFiles(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "smtpeter-4711.txt", "it is me")
	url := startWebhook(t, dir, "routes: [{parser: native, path: /hooks/a, files: '%DIR%/smtpeter-4711.txt'}]", newJudge(nil))
	for path, want := range map[string]int{"/hooks/smtpeter-4711.txt": 200, "/smtpeter-4711.txt": 404, "/hooks/../hooks/b.txt": 404, "/hooks/": 404} {
		if status, _, body := post(t, "GET", url+path, ""); status != want || status == 200 && body != "it is me" {
			t.Errorf("%s: %d %q", path, status, body)
		}
	}
}

// A webhook returns no error of Commit: its answers tell the senders.
func TestWebhookConformance(t *testing.T) {
	w, err := buildWebhook(t, "", "listen: '"+freeAddress(t)+"'\nroutes: [{parser: native}]")
	if err != nil {
		t.Fatal(err)
	}
	source := inputtest.Source{Input: w, Add: func(n int) (bodies []string) {
		for i := range n {
			body := fmt.Sprintf(`{"n":%d}`, i)
			bodies = append(bodies, body)
			go persist("http://"+w.listen[0]+"/webhooks/bounce", body)
		}
		return bodies
	}}
	inputtest.Ends(t, func(*testing.T) inputtest.Source { return source })
}

// persist posts until there is any answer, as senders do.
func persist(url, body string) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if resp, err := client.Post(url, "application/json", strings.NewReader(body)); err == nil {
			resp.Body.Close()
			return
		}
	}
}
