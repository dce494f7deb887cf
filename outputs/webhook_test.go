package outputs

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bouncefeed/internal/event"
)

// hook records the requests that a webhook output makes.
type hook struct {
	url     string
	bodies  [][]byte
	headers []http.Header
	status  int
}

func newHook(t *testing.T) *hook {
	h := &hook{status: http.StatusOK}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h.bodies, h.headers = append(h.bodies, body), append(h.headers, r.Header)
		w.WriteHeader(h.status)
	}))
	t.Cleanup(s.Close)
	h.url = s.URL
	return h
}

func TestWebhookBodies(t *testing.T) {
	h := newHook(t)
	one, many := mustBuild(t, "webhook", "url: "+h.url), mustBuild(t, "webhook", "url: "+h.url, "batch: 2")
	a, b := someEvent("a"), someEvent("b")
	for _, err := range []error{
		one.Send(t.Context(), []event.Event{a}),
		many.Send(t.Context(), []event.Event{a}),
		many.Send(t.Context(), []event.Event{a, b}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	asJSON := func(v any) string {
		text, err := encode(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for i, want := range []string{asJSON(a), asJSON([]event.Event{a}), asJSON([]event.Event{a, b})} {
		if string(h.bodies[i]) != want || h.headers[i].Get("Content-Type") != "application/json" || h.headers[i].Get("webhook-id") != "" {
			t.Errorf("request %d: %s %v", i, h.bodies[i], h.headers[i])
		}
	}
	if err := one.Send(t.Context(), []event.Event{a, b}); err == nil || event.IsPermanent(err) || len(h.bodies) != 3 {
		t.Errorf("two events with batch: 1: %v", err)
	}
	var back event.Event
	if err := json.Unmarshal(h.bodies[0], &back); err != nil || back.ID != "a" || !back.Time.Equal(a.Time) || back.Diagnostic != a.Diagnostic {
		t.Errorf("%v, %+v", err, back)
	}
}

func TestWebhookBearer(t *testing.T) {
	h := newHook(t)
	if err := sendOne(t, t.Context(), mustBuild(t, "webhook", "url: "+h.url, "auth: bearer", "password_file: "+tokenFile(t))); err != nil {
		t.Fatal(err)
	}
	if got := h.headers[0].Get("Authorization"); got != "Bearer "+token {
		t.Errorf("got %q", got)
	}
}

func secretFile(t *testing.T, secret string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWebhookSigns(t *testing.T) {
	h := newHook(t)
	key := bytes.Repeat([]byte("k3y!"), 8)
	secret := secretFile(t, "whsec_"+base64.StdEncoding.EncodeToString(key))
	out := mustBuild(t, "webhook", "url: "+h.url, "batch: 10", "secret_file: "+secret)
	send := func(ids ...string) (id string) {
		t.Helper()
		var batch []event.Event
		for _, id := range ids {
			batch = append(batch, someEvent(id))
		}
		if err := out.Send(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		header := h.headers[len(h.headers)-1]
		id = header.Get("webhook-id")
		mac := hmac.New(sha256.New, key)
		io.WriteString(mac, id+"."+header.Get("webhook-timestamp")+"."+string(h.bodies[len(h.bodies)-1]))
		if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); header.Get("webhook-signature") != want {
			t.Errorf("got %q, want %q", header.Get("webhook-signature"), want)
		}
		return id
	}
	first, again := send("a", "b"), send("a", "b")
	if send("a") != "a" || first != again || first == send("b", "a") || first == send("ab") {
		t.Error("the id of a request must be that of its events")
	}
	key = bytes.Repeat([]byte("n3w!"), 8)
	os.WriteFile(secret, []byte(base64.StdEncoding.EncodeToString(key)), 0o600) // rotated, and without the prefix
	send("a")
	for _, bad := range []string{"whsec_c2hvcnQ=", "not base64, not at all!", ""} {
		os.WriteFile(secret, []byte(bad), 0o600)
		err := sendOne(t, t.Context(), out)
		if err == nil || event.IsPermanent(err) || bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("secret %q: %v", bad, err)
		}
		if err := probe(t, out); err == nil {
			t.Errorf("secret %q: the probe sees nothing wrong", bad)
		}
	}
}

func TestWebhookProbe(t *testing.T) {
	h := newHook(t)
	plain := mustBuild(t, "webhook", "url: "+h.url)
	signed := mustBuild(t, "webhook", "url: "+h.url, "secret_file: "+secretFile(t, "whsec_"+base64.StdEncoding.EncodeToString(make([]byte, 32))))
	for status, want := range map[int][2]bool{ // without and with a secret
		200: {true, true}, 204: {true, true}, 302: {false, false}, 400: {true, true}, 401: {false, true}, 403: {false, true}, 404: {true, true},
		405: {true, true}, 407: {false, false}, 429: {true, true}, 500: {false, false}, 501: {true, true}, 503: {false, false},
	} {
		h.status = status
		for i, out := range []Output{plain, signed} {
			if err := probe(t, out); (err == nil) != want[i] {
				t.Errorf("%d, signed %v: %v", status, i == 1, err)
			}
		}
	}
	for _, body := range h.bodies {
		if len(body) > 0 {
			t.Errorf("the probe posted %q", body)
		}
	}
}
