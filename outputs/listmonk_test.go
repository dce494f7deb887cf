package outputs

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"bouncefeed/internal/event"
)

var update = flag.Bool("update", false, "write testdata/*.want.json anew")

// posted is a request body as listmonk decodes it.
type posted struct {
	Email          string         `json:"email"`
	SubscriberUUID string         `json:"subscriber_uuid"`
	CampaignUUID   string         `json:"campaign_uuid"`
	Source         string         `json:"source"`
	Type           string         `json:"type"`
	CreatedAt      *time.Time     `json:"created_at"`
	Meta           map[string]any `json:"meta"`
}

func decodePosted(t *testing.T, body []byte) (p posted) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return p
}

// recorder takes every body that listmonk's output posts.
func recorder(t *testing.T, bodies *[][]byte) Output {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || r.URL.Path != "/webhooks/bounce" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s %s", r.Method, r.URL, r.Header)
		}
		*bodies = append(*bodies, body)
		io.WriteString(w, `{"data":true}`)
	}))
	t.Cleanup(s.Close)
	return posterTo(t, "listmonk", s.URL)
}

func TestListmonkBodies(t *testing.T) {
	var bodies [][]byte
	out := recorder(t, &bodies)
	ins, _ := filepath.Glob("testdata/listmonk/*.in")
	if len(ins) == 0 {
		t.Fatal("no testdata")
	}
	for _, in := range ins {
		text, err := os.ReadFile(in)
		if err != nil {
			t.Fatal(err)
		}
		var e event.Event
		if err := json.Unmarshal(text, &e); err != nil {
			t.Fatalf("%s: %v", in, err)
		}
		bodies = nil
		if err := out.Send(t.Context(), []event.Event{e}); err != nil || len(bodies) != 1 {
			t.Fatalf("%s: %v, %d requests", in, err, len(bodies))
		}
		decodePosted(t, bodies[0])
		var got bytes.Buffer
		json.Indent(&got, bodies[0], "", "  ")
		got.WriteByte('\n')
		want := strings.TrimSuffix(in, ".in") + ".want.json"
		if *update {
			os.WriteFile(want, got.Bytes(), 0o644)
		}
		if text, err := os.ReadFile(want); err != nil || !bytes.Equal(text, got.Bytes()) {
			t.Errorf("%s: %v, got\n%s", want, err, &got)
		}
	}
}

// FuzzBounce holds every body to what listmonk would lose behind a 200.
func FuzzBounce(f *testing.F) {
	f.Add("jo@example.org", "550 no\x00such\xff user\r\n", "\xed\xa0\x80", "6fdb50a4-e71d-4df2-9ad4-0f2bb8f4b3c4", int64(1795330862))
	f.Add("", strings.Repeat("ü", 5000), "00000000-0000-0000-0000-000000000000", "\x00", int64(-1))
	out, err := build(f, "listmonk", "url: http://localhost/webhooks/bounce")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, email, text, word, id string, unix int64) {
		e := event.Event{ID: "id", Type: event.Soft, Recipient: email, Diagnostic: text, CampaignUUID: id, SubscriberUUID: word,
			MessageID: word, QueueID: text, RemoteMTA: word, Status: text, Rule: word, Input: id, Time: time.Unix(unix%(1<<37), 0)}
		body, err := encode(out.Output.(*listmonkReceiver).bounce(&e))
		if err != nil {
			t.Fatal(err)
		}
		if !utf8.Valid(body) || len(body) > 20_000+6*len(email) {
			t.Fatalf("%d bytes: %q", len(body), body)
		}
		b := decodePosted(t, body)
		for _, id := range []string{b.CampaignUUID, b.SubscriberUUID} {
			if id != "" && id != uuid(id) {
				t.Errorf("UUID %q", id)
			}
		}
		for key, v := range b.Meta {
			if s, ok := v.(string); ok && strings.ContainsFunc(s, unicode.IsControl) {
				t.Errorf("meta %s: %q", key, s)
			}
		}
	})
}

func TestListmonkLogin(t *testing.T) {
	var got string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("Authorization")
		if r.UserAgent() != "bouncefeed/1.0" || len(r.Cookies()) > 0 {
			t.Errorf("%v", r.Header)
		}
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "x"}) // sent back, it would make listmonk ignore the login
		io.WriteString(w, `{"data":true}`)
	}))
	defer s.Close()
	secret := tokenFile(t)
	for auth, want := range map[string]string{
		"basic": "Basic Ym91bmNlZmVlZDpzM2NyZXQtdG9rM24=",
		"token": "token bouncefeed:" + token,
	} {
		out := mustBuild(t, "listmonk", "url: "+s.URL+"/webhooks/bounce", "username: bouncefeed", "password_file: "+secret, "auth: "+auth)
		for range 2 {
			if err := sendOne(t, t.Context(), out); err != nil || got != want {
				t.Errorf("%s: %v, %q", auth, err, got)
			}
		}
		if auth != "token" {
			continue
		}
		os.WriteFile(secret, []byte("rotated"), 0o600)
		if err := sendOne(t, t.Context(), out); err != nil || got != "token bouncefeed:rotated" {
			t.Errorf("after a rotation: %v, %q", err, got)
		}
		os.Remove(secret)
		if err := sendOne(t, t.Context(), out); err == nil || event.IsPermanent(err) || !strings.Contains(err.Error(), secret) {
			t.Errorf("without its file: %v", err)
		}
		os.WriteFile(secret, []byte(token), 0o600)
	}
}

func TestListmonkTakesOneEventAtATime(t *testing.T) {
	var bodies [][]byte
	err := recorder(t, &bodies).Send(t.Context(), []event.Event{someEvent("a"), someEvent("b")})
	if err == nil || event.IsPermanent(err) || len(bodies) != 0 {
		t.Errorf("%v, %d requests", err, len(bodies))
	}
}

const (
	nginx404 = "<html>\r\n<head><title>404 Not Found</title></head>\r\n</html>"
	nginx400 = "<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS port</title></head>\r\n</html>"
	nobody   = `{"message":"Invalid fields: email / subscriber_uuid"}`
)

func TestListmonkRemedies(t *testing.T) {
	for _, c := range []struct {
		name          string
		status        int
		body          string
		send, probe   string // what the error holds; empty: none
		sendPermanent bool
	}{
		{"right", 200, `{"data":true}`, "", "not listmonk's /webhooks/bounce", false},
		{"nobody named", 400, nobody, "400: listmonk refuses the event (it said: Invalid fields: email / subscriber_uuid)", "", true},
		{"another 400", 400, `{"message":"bad"}`, "listmonk refuses the event (it said: bad)", "check url", true},
		{"login in front", 401, "", "listmonk itself says 403", "listmonk itself says 403", false},
		{"login", 403, `{"message":"permission denied"}`, "lacks webhooks:post_bounce", "does not know this username and token", false},
		{"nothing there", 404, nginx404, "404: bounce webhooks are off in Settings → Bounces, or", "no listmonk there: the host or the path in url is wrong", false},
		{"login of listmonk 3", 401, `{"message":"invalid credentials"}`, "name or token is wrong", "name or token is wrong", false},
		{"another's 400", 400, "<html>Bad Request", "something in front of it", "check url", false},
		{"413", 413, nginx404, "413: ", "413: ", false},
		{"empty", 200, "", "200: not listmonk's answer", "not listmonk's", false},
		{"text", 200, "ok", "(it said: ok)", "not listmonk's", false},
		{"an error", 200, `{"error":"x"}`, "(it said: x)", "not listmonk's", false},
		{"a BOM", 200, "\ufeff{\"data\":true}", "not listmonk's answer", "not listmonk's", false},
		{"something else", 200, `{"data":true,"x":1}`, "not listmonk's answer", "not listmonk's", false},
		{"created", 201, `{"data":true}`, "not listmonk's answer", "not listmonk's", false},
		{"method", 405, "{}", "listmonk's is /webhooks/bounce", "listmonk's is /webhooks/bounce", false},
		{"processing off", 503, `{"message":"Bounce processing is not enabled."}`, "bounce processing is switched off", "bounce processing is switched off", false},
		{"proxy", 503, nginx404, "down, restarting", "down, restarting", false},
		{"a web page", 200, "\n<!DOCTYPE html><p>Welcome", "a web page", "not listmonk's", false},
		{"plain to TLS", 400, nginx400, "write https://", "write https://", false},
		{"plain to TLS, Go", 400, "Client sent an HTTP request to an HTTPS server.\n", "write https://", "write https://", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if body, _ := io.ReadAll(r.Body); r.Method == http.MethodPost && len(body) == 0 {
					t.Error("an empty POST")
				}
				w.WriteHeader(c.status)
				io.WriteString(w, c.body)
			}))
			defer s.Close()
			out := posterTo(t, "listmonk", s.URL)
			err := sendOne(t, t.Context(), out)
			expect(t, "Send", err, c.send)
			if event.IsPermanent(err) != c.sendPermanent {
				t.Errorf("permanent: %v", err)
			}
			expect(t, "Probe", probe(t, out), c.probe)
		})
	}
}

func expect(t *testing.T, what string, err error, want string) {
	t.Helper()
	if err == nil && want != "" || err != nil && (want == "" || !strings.Contains(err.Error(), want)) {
		t.Errorf("%s: %v, want %q", what, err, want)
	}
}

func TestListmonkProbeTellsLoginFromPermission(t *testing.T) {
	var profile string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			profile = r.URL.Path
			io.WriteString(w, `{"data":{"id":1}}`)
			return
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	defer s.Close()
	expect(t, "known login", probe(t, posterTo(t, "listmonk", s.URL+"/lists")), "role lacks webhooks:post_bounce")
	if profile != "/lists/api/profile" {
		t.Errorf("asked %q", profile)
	}
	expect(t, "no login", probe(t, mustBuild(t, "listmonk", "url: "+s.URL+listmonkRoute)), "set username and password_file")
}

func TestListmonkEOFNamesTheSwitch(t *testing.T) {
	url, _ := rawServer(t, readRequest)
	expect(t, "EOF", sendOne(t, t.Context(), posterTo(t, "listmonk", url)), "bounce processing is off in Settings → Bounces")
}

func BenchmarkListmonkSend(b *testing.B) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, `{"data":true}`)
	}))
	defer s.Close()
	out := mustBuild(b, "listmonk", "url: "+s.URL+listmonkRoute, "username: bouncefeed", "password_file: "+tokenFile(b))
	batch := []event.Event{someEvent("a")}
	for b.Loop() {
		if err := out.Send(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
}
