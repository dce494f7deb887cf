package agent

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
)

// hooks is a webhook input at work before a real queue.
type hooks struct {
	url   string
	queue *queue.Queue
}

func startHooks(t testing.TB, routes string) *hooks {
	t.Helper()
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	a, err := New(parseHooks(t, fmt.Sprintf("listen: '%s'\nroutes:\n%s", addr, strings.ReplaceAll(routes, "%DIR%", dir))), "test.yaml", "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if a.queue, err = queue.Open(filepath.Join(dir, "queue.db"), queue.Options{Retain: time.Hour, Outputs: []string{"out"}, Log: a.log}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	in := a.plan.inputs[0]
	go func() { done <- in.built.Input.Run(ctx, a.newSink(in)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		a.queue.Close()
	})
	h := &hooks{url: "http://" + addr, queue: a.queue}
	h.until(t, "it listens", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return h
}

func parseHooks(t testing.TB, section string) *config.Config {
	t.Helper()
	text := "inputs:\n  hooks:\n    type: webhook\n"
	for line := range strings.Lines(section) {
		text += "    " + line
	}
	c, err := config.Parse("test.yaml", []byte(text+"\noutputs:\n  out: {type: file, path: /nowhere}\n"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (h *hooks) until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func (h *hooks) post(t testing.TB, path, body string, header ...string) int {
	t.Helper()
	status, _ := h.ask(t, path, body, header...)
	return status
}

// ask posts, and gives what was answered.
func (h *hooks) ask(t testing.TB, path, body string, header ...string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequest("POST", h.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func (h *hooks) counts(t testing.TB) map[string]uint64 {
	t.Helper()
	stats, err := h.queue.Stats()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]uint64{}
	for c, n := range stats.Counters {
		if word, ok := strings.CutPrefix(c.String(), "input/hooks/"); ok {
			counts[word] = n
		}
	}
	return counts
}

const seedPost = `{"email":"user1@example.com","campaign_uuid":"9f86b50d-5711-41c8-ab03-bc91c43d711b","source":"api","type":"hard","meta":"{\"additional\": \"info\"}"}`

func TestTheSameBouncePostedTwiceIsOne(t *testing.T) {
	h := startHooks(t, "- parser: native")
	for range 3 {
		if status := h.post(t, "/webhooks/bounce", seedPost, "Content-Type", "application/json"); status != 200 {
			t.Fatal(status)
		}
	}
	if c := h.counts(t); c["queued"] != 1 || c["ignored/repeat"] != 2 || c["read"] != 3 {
		t.Error(c)
	}
}

func TestWhatCanNotBeUsedIsKeptAsideAndAnswered(t *testing.T) {
	h := startHooks(t, "- parser: native")
	for _, c := range []struct{ body, says string }{
		{"{", "not JSON"},
		{`{"type":"hard"}`, "neither email nor subscriber_uuid"},
		{`[` + seedPost + `,{"email":"x"},{"a":1,"a":2}]`, "2 were not taken, the others of the array were: type is none of hard, soft and complaint; a key stands twice"},
	} {
		status, said := h.ask(t, "/webhooks/bounce", c.body, "Content-Type", "application/json")
		if status != 400 || !strings.HasPrefix(said, `{"message":"`+c.says) {
			t.Errorf("%s: %d %s", c.body, status, said)
		}
	}
	if c := h.counts(t); c["read"] != 5 || c["queued"] != 1 || c["refused/malformed"] != 2 || c["refused/no_recipient"] != 1 || c["refused/two_readings"] != 1 {
		t.Error(c)
	}
	if status := h.post(t, "/webhooks/bounce", "email=jo", "Content-Type", "application/x-www-form-urlencoded"); status != 415 {
		t.Error(status)
	}
	for _, body := range []string{"\xef\xbb\xbf" + seedPost, "\xff\xfe{\x00}\x00"} {
		if status, said := h.ask(t, "/webhooks/bounce", body, "Content-Type", "application/json"); status != 415 || !strings.Contains(said, "byte order mark") {
			t.Errorf("%q: %d %s", body, status, said)
		}
	}
	for encoding, want := range map[string]int{"gzip": 415, "identity": 200} {
		if status := h.post(t, "/webhooks/bounce", seedPost, "Content-Type", "application/json", "Content-Encoding", encoding); status != want {
			t.Errorf("%s: %d, want %d", encoding, status, want)
		}
	}
	h.until(t, "the 415s are counted", func() bool { return h.counts(t)["refused/content_type"] == 4 })
}

// The hop from one bouncefeed to another: the id stays, a forged one stays out, and all adds up.
func TestAnotherBouncefeedsEventsKeepTheirIDs(t *testing.T) {
	const id, secret = "9f2c4e6a8b0d1f3355779911bbddff00", "0123456789abcdef01234567"
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("whsec_"+base64.StdEncoding.EncodeToString([]byte(secret))+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h := startHooks(t, "- parser: {type: standard, secret_file: '"+dir+"/secret'}")
	eventOf := func(queueID string) string {
		return `{"id":"` + id + `","time":"2026-11-22T07:01:02Z","type":"hard","reason":"user_unknown","recipient":"jo@example.org","queue_id":"` + queueID + `"}`
	}
	send := func(body, key string) int {
		timestamp := strconv.FormatInt(time.Now().Unix(), 10)
		mac := hmac.New(sha256.New, []byte(key))
		fmt.Fprintf(mac, "%s.%s.%s", id, timestamp, body)
		return h.post(t, "/webhooks/service/standard", body, "webhook-id", id, "webhook-timestamp", timestamp,
			"webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	for range 2 {
		if status := send(eventOf("Q1"), secret); status != 200 {
			t.Fatal(status)
		}
	}
	// Another machine's event: the same recipient, and by chance the same queue id.
	other := strings.Replace(eventOf("Q1"), id, "00000000000000000000000000000001", 1)
	if status := send(other, secret); status != 200 {
		t.Fatal(status)
	}
	if status := send(eventOf("Q2"), "another key"); status != 401 {
		t.Errorf("forged: %d", status)
	}
	h.until(t, "the forged one is counted", func() bool { return h.counts(t)["refused/bad_signature"] == 1 })
	if c := h.counts(t); c["queued"] != 2 || c["ignored/repeat"] != 1 || c["read"] != 4 {
		t.Error(c)
	}
	items, err := h.queue.Next(t.Context(), "out", 10)
	if err != nil || len(items) != 2 || items[0].Event.ID != id {
		t.Errorf("%+v %v", items, err)
	}
}

func TestAHandshakeIsAnswered(t *testing.T) {
	h := startHooks(t, "- parser: azure")
	body := `[{"id":"1","eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","data":{"validationCode":"512d38b6"}}]`
	req, err := http.NewRequest("POST", h.url+"/webhooks/service/azure", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Aeg-Event-Type", "SubscriptionValidation")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 || string(text) != `{"validationResponse":"512d38b6"}` {
		t.Errorf("%s %s %v", resp.Status, text, err)
	}
	if c := h.counts(t); c["read"] != 1 || c["ignored/other"] != 1 {
		t.Error(c)
	}
}

func TestNoRequestIsStoredUnverified(t *testing.T) {
	s := newSink(sinkConfig{formats: map[string]config.Section{"/": {Type: "native"}}})
	if s.Commit(t.Context(), []event.Record{{Route: "/", Body: []byte(seedPost)}}, nil) == nil {
		t.Error("committed as if no stranger could have sent it")
	}
}

func TestRoutesNobodyGuardsAreRefused(t *testing.T) {
	for section, want := range map[string]string{
		"listen: ':8025'\nroutes: [{parser: native}]":                                            "anybody could post",
		"listen: ':8025'\nroutes: [{parser: {type: sendgrid}}]":                                  "public_key",
		"listen: '127.0.0.1:8025'\nroutes: [{parser: ses}]":                                      "topics",
		"listen: '127.0.0.1:8025'\nroutes: [{parser: copernica}]":                                "accounts and hosts",
		"listen: '127.0.0.1:8025'\nroutes: [{parser: postfix}]":                                  "does not come by HTTP",
		"listen: '127.0.0.1:8025'\nroutes: [{parser: nativ}]":                                    "native",
		"listen: '127.0.0.1:8025'\nroutes: [{parser: native}]":                                   "",
		"public_url: https://b.example.com\nroutes: [{parser: native}]":                          "anybody could post",
		"trusted_proxies: 127.0.0.1\nroutes: [{parser: kumomta}]":                                "anybody could post",
		"listen: unix:/x\ntrusted_proxies: unix\nroutes: [{parser: native}]":                     "anybody could post",
		"public_url: http://localhost:8025\nroutes: [{parser: native}]":                          "",
		"trusted_proxies: 127.0.0.1\nroutes: [{parser: native, from: 127.0.0.1}]":                "",
		"public_url: https://b.example.com\nroutes: [{parser: native, token_file: /x}]":          "",
		"listen: ':8025'\ninsecure_http: true\nroutes: [{parser: native, token_file: /x}]":       "",
		"listen: ':8025'\nroutes: [{parser: {type: standard, secret_file: /x}}]":                 "",
		"listen: '127.0.0.1:8025'\nroutes: [{parser: sendgrid, username: a, password_file: /b}]": "",
	} {
		_, err := New(parseHooks(t, section), "test.yaml", "test", slog.New(slog.DiscardHandler))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s\n%v, want %q", section, err, want)
		}
	}
}

// BenchmarkNativePosts is durable posts a second: each 200 comes after its fsync. In the same run: bare transactions of
// bbolt, one event each, by one writer.
func BenchmarkNativePosts(b *testing.B) {
	for _, connections := range []int{1, 32} {
		b.Run(fmt.Sprintf("%d connections", connections), func(b *testing.B) {
			h := startHooks(b, "- parser: native")
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range connections {
				wg.Go(func() {
					for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
						resp, err := client.Post(h.url+"/webhooks/bounce", "application/json", strings.NewReader(fmt.Sprintf(`{"email":"jo%d@example.org","type":"hard","source":"bench"}`, n)))
						if err != nil {
							b.Error(err)
							return
						}
						io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
						if resp.StatusCode != 200 {
							b.Error(resp.Status)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "posts/s")
			if got := h.counts(b)["queued"]; got != uint64(b.N) {
				b.Errorf("%d events of %d posts", got, b.N)
			}
		})
	}
	b.Run("bare bbolt", func(b *testing.B) {
		db, err := bbolt.Open(filepath.Join(b.TempDir(), "bare.db"), 0o600, nil)
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		value := make([]byte, 300)
		b.ResetTimer()
		for i := range b.N {
			err := db.Update(func(tx *bbolt.Tx) error {
				bucket, err := tx.CreateBucketIfNotExists([]byte("events"))
				if err != nil {
					return err
				}
				return bucket.Put([]byte(fmt.Sprintf("%016d", i)), value)
			})
			if err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
	})
}
