package e2e

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"bouncefeed/internal/e2e/e2etest"
)

// jailedForFigures is jailed for what measures and proves nothing that the other tests do not: BOUNCEFEED_E2E_FIGURES=1
// asks for it.
func jailedForFigures(t *testing.T) bool {
	t.Helper()
	if os.Getenv("BOUNCEFEED_E2E_FIGURES") == "" {
		t.Skip("BOUNCEFEED_E2E_FIGURES is not set")
	}
	return jailed(t)
}

const measured = 10 * time.Second

// TestFigureNativePosts prints how many posts a second are answered with 200, each after its fsync, beside what bare
// bbolt stores on the same disk.
func TestFigureNativePosts(t *testing.T) {
	if !jailedForFigures(t) {
		return
	}
	r := startReceiver(t)
	d := startHooks(t, r)
	bare := bareCommits(t, d.dir)
	t.Logf("bare bbolt, one event a transaction: %.0f/s", bare)
	var n atomic.Int64
	for _, connections := range []int{1, 32} {
		before := n.Load()
		took := hammer(t, connections, measured, func(c *caller) bool {
			c.do(native(fmt.Sprintf("unknown-%d@mixed.test", n.Add(1)), hooksPass), http.StatusOK)
			return true
		})
		rate := float64(n.Load()-before) / took.Seconds()
		t.Logf("%d connections: %.0f posts/s, %.1f times bare bbolt", connections, rate, rate/bare)
	}
	s := d.status(t)
	t.Logf("stored %d of %d; sent meanwhile: %d", s.Inputs[0].Queued, n.Load(), s.Outputs[0].Sent)
	if s.Inputs[0].Queued != uint64(n.Load()) {
		t.Error("a post was answered and not stored, or stored twice")
	}
	d.stop(t)
	used := d.process.cmd.ProcessState
	t.Logf("the daemon's processor time: %v a post", (used.UserTime()+used.SystemTime())/time.Duration(n.Load()))
}

// bareCommits is how many transactions of one event's size a second bbolt makes durable in dir.
func bareCommits(t *testing.T, dir string) float64 {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, "bare.db"), 0o600, &bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	value, n := make([]byte, 600), 0
	began := time.Now()
	for ; time.Since(began) < measured/2; n++ {
		if err := db.Update(func(tx *bbolt.Tx) error {
			bucket, err := tx.CreateBucketIfNotExists([]byte("events"))
			if err != nil {
				return err
			}
			return bucket.Put(fmt.Appendf(nil, "%016d", n), value)
		}); err != nil {
			t.Fatal(err)
		}
	}
	return float64(n) / time.Since(began).Seconds()
}

// caller posts to the daemon itself on one connection that stays open.
type caller struct {
	t      *testing.T
	client *http.Client
}

// hammer runs call on so many connections until it returns false or the time is over.
func hammer(t *testing.T, connections int, limit time.Duration, call func(*caller) bool) time.Duration {
	t.Helper()
	var wg sync.WaitGroup
	began := time.Now()
	for range connections {
		wg.Go(func() {
			transport := &http.Transport{MaxIdleConnsPerHost: 1}
			defer transport.CloseIdleConnections()
			c := &caller{t, &http.Client{Transport: transport, Timeout: e2etest.Patience}}
			for time.Since(began) < limit && !t.Failed() && call(c) {
			}
		})
	}
	wg.Wait()
	return time.Since(began)
}

// do posts r and holds the answer to want.
func (c *caller) do(r request, want int) {
	req, err := http.NewRequest(http.MethodPost, "http://"+hooksAddr+r.path, strings.NewReader(r.body))
	if err != nil {
		c.t.Error(err)
		return
	}
	req.Header = r.header
	resp, err := c.client.Do(req)
	if err != nil {
		c.t.Error(err)
		return
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		c.t.Error(err)
	}
	if resp.StatusCode != want {
		c.t.Errorf("%s %v %s: %d, want %d", r.path, r.header, r.body, resp.StatusCode, want)
	}
}

// TestFigureForgeries posts a million requests whose signature is not right: BOUNCEFEED_E2E_FORGERIES says how many.
func TestFigureForgeries(t *testing.T) {
	if !jailedForFigures(t) {
		return
	}
	r := startReceiver(t)
	d := startHooks(t, r)
	forgeries := int64(setting(t, "BOUNCEFEED_E2E_FORGERIES", 1_000_000))
	var n atomic.Int64
	took := hammer(t, 16, time.Hour, func(c *caller) bool {
		i := n.Add(1)
		if i <= forgeries {
			c.do(forge(i), http.StatusUnauthorized)
		}
		return i < forgeries
	})
	t.Logf("%d forgeries in %v, each answered with 401", forgeries, took.Round(time.Second))
	var s status
	waitFor(t, "all are counted", func() bool {
		s = d.status(t)
		return total(s.Inputs[0].Refused) == uint64(forgeries)
	})
	t.Logf("refused %v, stored %d", s.Inputs[0].Refused, s.Inputs[0].Queued)
	if s.Inputs[0].Queued != 0 || s.Inputs[0].Held != 0 || len(r.Seen()) != 0 {
		t.Error("a forgery got through")
	}
	d.requireQuiet(t)
	(door{addr: hooksAddr}).require(t, "a genuine post afterwards", resend("genuine@mixed.test"), http.StatusOK)
	requireBounces(t, d, "genuine@mixed.test")
	d.stop(t)
}

// forge changes a genuine request by one byte, or one of its headers, in the nth way.
func forge(n int64) request {
	recipient := fmt.Sprintf("forged-%d@mixed.test", n)
	r, prefix := resend(recipient), "Svix-"
	if n%2 == 0 {
		prefix = "Webhook-"
		r = standardWebhook("/webhooks/service/standard", prefix, fmt.Sprintf("%032x", n),
			fmt.Sprintf(`{"id":"%032x","time":"2026-11-22T07:01:02Z","type":"hard","recipient":%q}`, n, recipient))
	}
	switch n / 2 % 8 {
	case 0: // one character of the signature, but for the last, of which base64 does not use all bits
		signature := []byte(r.header.Get(prefix + "Signature"))
		at := len("v1,") + rand.IntN(42)
		signature[at] = '0' + (signature[at]-'0'+1+byte(rand.IntN(9)))%10
		r.header.Set(prefix+"Signature", string(signature))
	case 1: // one bit of the body
		body := []byte(r.body)
		body[rand.IntN(len(body))] ^= 1 << rand.IntN(7)
		r.body = string(body)
	case 2:
		r.body += " "
	case 3:
		r.header.Set(prefix+"Id", r.header.Get(prefix+"Id")+"x")
	case 4:
		r.header.Set(prefix+"Timestamp", fmt.Sprint(time.Now().Unix()+1+rand.Int64N(200)))
	case 5:
		r.header.Del(prefix + "Signature")
	case 6: // cut off
		r.header.Set(prefix+"Signature", r.header.Get(prefix + "Signature")[:rand.IntN(46)])
	case 7: // another's
		r.header.Set(prefix+"Signature", resend("other@mixed.test").header.Get("Svix-Signature"))
	}
	return r
}
