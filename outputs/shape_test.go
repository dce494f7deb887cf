package outputs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bouncefeed/internal/event"
)

// shaped sends batch by a webhook of these lines and gives the request as the receiver saw it.
func shaped(t *testing.T, batch []event.Event, path string, lines ...string) (r *http.Request, body string, err error) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, got *http.Request) {
		text, _ := io.ReadAll(got.Body)
		r, body = got, string(text)
	}))
	defer s.Close()
	err = mustBuild(t, "webhook", append([]string{"url: '" + s.URL + path + "'"}, lines...)...).Send(t.Context(), batch)
	return r, body, err
}

func TestWebhookShapes(t *testing.T) {
	e := someEvent("a")
	e.Recipient, e.Diagnostic = `"j/o?&#%"@example.org`, "550 \"}],\r\n\x00\xff é"
	for _, c := range []struct {
		name, path string
		lines      []string
		uri, body  string
	}{
		{"JSON", "/x", []string{`body: '{"to":"{{.recipient}}","n":{{.code}},"why":{{json .diagnostic}},"none":"{{.sender}}"}'`}, "/x",
			`{"to":"\"j/o?&#%\"@example.org","n":550,"why":"550 \"}],\r\n\u0000` + "\ufffd é" + `","none":""}`},
		{"text", "/x", []string{"content_type: text/plain", "body: '{{.recipient}} {{lower .status}}'"}, "/x", `"j/o?&#%"@example.org 5.1.1`},
		{"form by hand", "/x", []string{"content_type: application/x-www-form-urlencoded", "body: 'a={{.recipient}}&b={{.code}}'"}, "/x", "a=%22j%2Fo%3F%26%23%25%22%40example.org&b=550"},
		{"form", "/x", []string{"form: {email: '{{.recipient}}', type: '{{.type}}'}"}, "/x", "email=%22j%2Fo%3F%26%23%25%22%40example.org&type=hard"},
		{"URL", "/c/{{.recipient}}/x?q={{.recipient}}", nil, "/c/%22j%2Fo%3F%26%23%25%22%40example.org/x?q=%22j%2Fo%3F%26%23%25%22%40example.org", ""},
		{"conditions", "/x", []string{`body: '{{if eq .type "hard"}}{{with $r := .reason}}"{{$r}}"{{end}}{{else}}0{{end}}'`}, "/x", `"user_unknown"`},
		{"all of a batch", "/x", []string{"batch: 5", `body: '[{{range $i, $e := .events}}{{if $i}},{{end}}"{{.recipient}}"{{end}}]'`}, "/x", `["\"j/o?&#%\"@example.org"]`},
	} {
		r, body, err := shaped(t, []event.Event{e}, c.path, c.lines...)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if r.RequestURI != c.uri || c.body != "" && body != c.body {
			t.Errorf("%s: %s\n%s\nwant %s\n%s", c.name, r.RequestURI, body, c.uri, c.body)
		}
	}
	r, _, err := shaped(t, []event.Event{e}, "/x", "method: PUT", "headers: {X-List: news, Accept: text/plain}", "token_header: X-Token", "password_file: "+tokenFile(t))
	if err != nil || r.Method != "PUT" || r.Header.Get("X-List") != "news" || r.Header.Get("Accept") != "text/plain" || r.Header.Get("X-Token") != token || r.Header.Get("Authorization") != "" {
		t.Errorf("%v %+v", err, r)
	}
	if _, _, err := shaped(t, []event.Event{e}, "/x", "body: '{{.recipient}}'"); !event.IsPermanent(err) {
		t.Errorf("what makes no JSON is not sent: %v", err)
	}
}

func TestWebhookAnswers(t *testing.T) {
	h := newHook(t)
	out := mustBuild(t, "webhook", "url: "+h.url, `success: ["202", "3xx"]`, `unknown: ["404", "410"]`)
	for status, want := range map[int]string{202: "", 304: "", 200: "later", 404: "unknown", 410: "unknown", 400: "never", 500: "later"} {
		h.status = status
		err := sendOne(t, t.Context(), out)
		_, unknown := errors.AsType[*UnknownError](err)
		got := map[bool]string{true: "", false: "later"}[err == nil]
		switch {
		case unknown:
			got = "unknown"
		case event.IsPermanent(err):
			got = "never"
		}
		if got != want {
			t.Errorf("%d: %q, %v", status, got, err)
		}
	}
}

func TestWebhookMistakes(t *testing.T) {
	for line, want := range map[string]string{
		"body: '{{.recipiant}}'":                   `no entry for key "recipiant"`,
		"body: '{{.recipient'":                     "is no template",
		"body: x\n    form: {a: b}":                "keep one",
		"method: GET":                              "none of POST",
		"success: []":                              "must name answers",
		"unknown: [404, 6xx]":                      `"6xx" is no answer`,
		"token_header: 'a b'\n    password_env: X": "no header",
		"token_header: a":                          "needs the token",
		"headers: {'a b': c}":                      "no header",
		"lookup: {find: a.b}":                      "needs url and find",
		"lookup: {find: a.b, url: 'https://elsewhere.example/{{.id}}'}":  "must begin as url does",
		"lookup: {find: a.b, url: 'https://h.example/'}\n    batch: 5":   "batch: 1",
		"lookup: {find: a.b, url: 'https://{{.recipient}}.h.example/x'}": "behind the host only",
		"client_cert: /a":  "goes with client_key",
		"proxy: socks://x": "must be none, or",
	} {
		_, err := build(t, "webhook", "url: https://h.example/x", line)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", line, err)
		}
	}
	if _, err := build(t, "webhook", "url: 'https://{{.recipient}}/x'"); err == nil || !strings.Contains(err.Error(), "behind the host only") {
		t.Error(err)
	}
}

func TestPick(t *testing.T) {
	v := map[string]any{"contacts": map[string]any{"47": map[string]any{"id": 47.0}}, "list": []any{map[string]any{"id": "x"}}, "two": []any{1.0, 2.0}, "none": []any{}}
	for path, want := range map[string]any{"contacts.*.id": "47", "contacts.47.id": "47", "list.0.id": "x", "list.*.id": "x", "two.*": nil, "two.1": "2", "none.*.id": nil, "contacts": nil, "x.y": nil} {
		if got := pick(v, strings.Split(path, ".")); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}

func TestWebhookProxy(t *testing.T) {
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.String())
		io.WriteString(w, `{"data":true}`)
	}))
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	if err := sendOne(t, t.Context(), mustBuild(t, "webhook", "url: http://nowhere.example/x", "proxy: "+proxy.URL)); err != nil || !slices.Equal(asked, []string{"http://nowhere.example/x"}) {
		t.Errorf("%v, asked %q", err, asked)
	}
	if err := sendOne(t, t.Context(), mustBuild(t, "webhook", "url: "+proxy.URL, "proxy: none")); err != nil {
		t.Error(err)
	}
}

// A receiver that asks for a certificate gets ours.
func TestWebhookShowsItsCertificate(t *testing.T) {
	issuer := httptest.NewTLSServer(nil) // for its certificate and key
	defer issuer.Close()
	pair := issuer.TLS.Certificates[0]
	dir := t.TempDir()
	cert, key, ca := filepath.Join(dir, "cert"), filepath.Join(dir, "key"), filepath.Join(dir, "ca")
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(cert, asPEM(pair.Certificate[0]), 0o600)
	os.WriteFile(key, []byte(strings.ReplaceAll(string(asPEM(der)), "CERTIFICATE", "PRIVATE KEY")), 0o600)
	var shown int
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { shown = len(r.TLS.PeerCertificates) }))
	s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	s.StartTLS()
	defer s.Close()
	os.WriteFile(ca, asPEM(s.Certificate().Raw), 0o600)
	if err := sendOne(t, t.Context(), mustBuild(t, "webhook", "url: "+s.URL, "ca_file: "+ca)); err == nil {
		t.Error("without a certificate it is let in")
	}
	if err := sendOne(t, t.Context(), mustBuild(t, "webhook", "url: "+s.URL, "ca_file: "+ca, "client_cert: "+cert, "client_key: "+key)); err != nil || shown != 1 {
		t.Errorf("%v, shown %d", err, shown)
	}
}

// However a recipient is called, he stands where the blank is and nowhere else.
func FuzzForm(f *testing.F) {
	f.Add(`jo@example.org`)
	f.Add("\"},{\"\x00\xff{{.id}} ../?a=b&c#d\r\n")
	made, err := newForm(`{"a":"{{.recipient}}","b":[{{json .recipient}}]}`, jsonEscape)
	if err != nil {
		f.Fatal(err)
	}
	address, err := newForm(`https://h.example/a/{{.recipient}}/b?c={{.recipient}}`, urlEscape)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, recipient string) {
		data := formData([]event.Event{{Recipient: recipient}})
		text, err := made.fill(data)
		if err != nil || strings.Count(text, `"b":[`) < 1 {
			t.Fatal(text, err)
		}
		var got map[string]any
		if err := decodeJSON(text, &got); err != nil || len(got) != 2 || got["a"] != strings.ToValidUTF8(data["recipient"].(string), "\uFFFD") {
			t.Errorf("%q: %v", text, err)
		}
		text, err = address.fill(data)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(text)
		if err != nil || u.Host != "h.example" || strings.Count(u.EscapedPath(), "/") != 3 || u.Query().Get("c") != data["recipient"] || len(u.Query()) != 1 || u.Fragment != "" {
			t.Errorf("%q: %v", text, err)
		}
	})
}
