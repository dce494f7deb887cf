package outputs

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
)

// build makes an output from the YAML lines of its section, as the agent does.
func build(t testing.TB, kind string, lines ...string) (Built, error) {
	t.Helper()
	c, err := config.Parse("b.yaml", []byte("outputs:\n  out:\n    type: "+kind+"\n    "+strings.Join(lines, "\n    ")+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	env := config.Env{Name: "out", Host: "mx1", Version: "1.0", Log: slog.New(slog.DiscardHandler)}
	return Modules.Build(env, c.Outputs[0].Value)
}

func mustBuild(t testing.TB, kind string, lines ...string) Output {
	t.Helper()
	b, err := build(t, kind, lines...)
	if err != nil {
		t.Fatal(err)
	}
	return b.Output
}

const (
	token     = "s3cret-tok3n"
	recipient = "jo.private@example.org"
)

// tokenFile is a place for password_file.
func tokenFile(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func someEvent(id string) event.Event {
	return event.Event{
		ID: id, Time: time.Date(2026, 11, 22, 7, 1, 2, 0, time.UTC), Input: "postfix", Type: event.Hard,
		Reason: event.UserUnknown, Fault: event.FaultRecipient, Recipient: recipient, Code: 550, Status: "5.1.1",
		Diagnostic: "550 5.1.1 <" + recipient + ">: user unknown", Rule: "enhanced-status/5.1.1",
	}
}

// receiver is the other end of an output under test.
type receiver struct {
	lines         []string                                   // its section
	ids           func() []string                            // what it has
	breaks, mends func(t *testing.T)                         // makes Send fail, and work again
	hangs         func(t *testing.T) (began <-chan struct{}) // makes Send block; nil: can not
}

// receivers has one for every kind of output: a new kind adds its own.
var receivers = map[string]func(t *testing.T) *receiver{
	"listmonk": func(t *testing.T) *receiver {
		return httpReceiver(t, func(body []byte) (ids []string) {
			var b struct{ Meta struct{ ID string } }
			if json.Unmarshal(body, &b) == nil && b.Meta.ID != "" {
				ids = append(ids, b.Meta.ID)
			}
			return ids
		})
	},
	"webhook": func(t *testing.T) *receiver {
		r := httpReceiver(t, idsOf)
		r.lines = append(r.lines, "batch: 10")
		return r
	},
	"file": fileReceiver,
	"exec": execReceiver,
	"nats": natsReceiver,
}

func idsOf(body []byte) (ids []string) {
	var events []event.Event
	if json.Unmarshal(body, &events) != nil {
		return nil
	}
	for _, e := range events {
		ids = append(ids, e.ID)
	}
	return ids
}

func httpReceiver(t *testing.T, parse func([]byte) []string) *receiver {
	var ids []string
	var broken, hanging atomic.Bool
	began := make(chan struct{}, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case hanging.Load():
			began <- struct{}{}
			<-r.Context().Done()
		case broken.Load():
			http.Error(w, "sorry "+recipient+" "+token, http.StatusInternalServerError)
		default:
			ids = append(ids, parse(body)...)
			io.WriteString(w, `{"data":true}`)
		}
	}))
	t.Cleanup(s.Close)
	return &receiver{
		lines:  []string{"url: " + s.URL + "/webhooks/bounce", "username: bouncefeed", "password_file: " + tokenFile(t)},
		ids:    func() []string { return ids },
		breaks: func(*testing.T) { broken.Store(true) },
		mends:  func(*testing.T) { broken.Store(false) },
		hangs:  func(*testing.T) <-chan struct{} { hanging.Store(true); return began },
	}
}

func fileReceiver(t *testing.T) *receiver {
	dir := filepath.Join(t.TempDir(), "out")
	mends := func(t *testing.T) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	mends(t)
	path := filepath.Join(dir, "bounces.jsonl")
	return &receiver{
		lines: []string{"path: " + path},
		ids:   func() []string { return idsInFile(t, path) },
		breaks: func(t *testing.T) {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		},
		mends: mends,
	}
}

func idsInFile(t *testing.T, path string) (ids []string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var e event.Event
		if json.Unmarshal(s.Bytes(), &e) == nil {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

func TestConformance(t *testing.T) {
	for _, kind := range Modules.Kinds() {
		start := receivers[kind]
		if start == nil {
			t.Errorf("%s has no receiver for the conformance suite", kind)
			continue
		}
		t.Run(kind, func(t *testing.T) { conform(t, kind, start(t)) })
	}
}

func conform(t *testing.T, kind string, r *receiver) {
	b, err := build(t, kind, r.lines...)
	if err != nil {
		t.Fatal(err)
	}
	out, settings := b.Output, b.Settings
	if settings.Batch < 1 || !slices.Equal(settings.Send, DefaultSend) {
		t.Errorf("settings %+v: Batch must be set, Send the default", settings)
	}
	if got := r.ids(); len(got) != 0 {
		t.Fatalf("building sent %q", got)
	}
	if err := out.Send(t.Context(), nil); err != nil || len(r.ids()) != 0 {
		t.Errorf("no events: %v, sent %q", err, r.ids())
	}
	send := func(ctx context.Context, ids ...string) error {
		var batch []event.Event
		for _, id := range ids {
			batch = append(batch, someEvent(id))
		}
		err := out.Send(ctx, batch)
		if err != nil && (strings.Contains(err.Error(), token) || strings.Contains(err.Error(), recipient)) {
			t.Errorf("the error tells too much: %v", err)
		}
		return err
	}
	full := []string{"b", "c", "d"}[:min(3, settings.Batch)]
	want := append([]string{"a"}, full...)
	if err := errors.Join(send(t.Context(), "a"), send(t.Context(), full...)); err != nil || !slices.Equal(r.ids(), want) {
		t.Fatalf("%v, the receiver has %q, want %q", err, r.ids(), want)
	}

	done, cancel := context.WithCancel(t.Context())
	cancel()
	if err := send(done, "cancelled"); !errors.Is(err, context.Canceled) || event.IsPermanent(err) || !slices.Equal(r.ids(), want) {
		t.Errorf("cancelled before: %v, the receiver has %q", err, r.ids())
	}

	r.breaks(t)
	if err := send(t.Context(), "broken"); err == nil || event.IsPermanent(err) {
		t.Errorf("a broken receiver: %v", err)
	}
	r.mends(t)
	if err := send(t.Context(), "mended"); err != nil || !slices.Contains(r.ids(), "mended") {
		t.Errorf("mended: %v, the receiver has %q", err, r.ids())
	}

	if r.hangs == nil {
		return
	}
	began := r.hangs(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-began; cancel() }()
	if err := send(ctx, "hanging"); !errors.Is(err, context.Canceled) || event.IsPermanent(err) {
		t.Errorf("cancelled while the receiver hangs: %v", err)
	}
}

func TestBuildDoesNothing(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for kind, lines := range map[string][]string{
		"listmonk": {"url: https://192.0.2.1/webhooks/bounce", "username: u", "password_file: " + missing, "ca_file: " + missing},
		"webhook":  {"url: https://192.0.2.1/x", "secret_file: " + missing},
		"file":     {"path: " + missing},
		"exec":     {"command: " + missing},
		"nats":     {"servers: [tls://192.0.2.1:4222]", "nkey_file: " + missing, "ca_file: " + missing},
	} {
		if _, err := build(t, kind, lines...); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("building made a file")
	}
}

// probe is what an output says of its receiver.
func probe(t *testing.T, out Output) error {
	t.Helper()
	_, err := out.(Probe).Probe(t.Context())
	return err
}

func decodeJSON(text string, v any) error { return json.Unmarshal([]byte(text), v) }
