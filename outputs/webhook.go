package outputs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/stdwebhook"
)

// webhookConfig is a section `type: webhook`.
type webhookConfig struct {
	Settings
	HTTP
	// BatchSize is how many events one request may carry: 1 posts an object, more an array.
	BatchSize int `yaml:"batch"`
	// Secret signs every request (Standard Webhooks): "whsec_" and the key in base64.
	Secret config.Secret `yaml:"secret"`
}

func init() {
	register("webhook", webhookConfig{
		Settings:  Settings{Send: DefaultSend},
		HTTP:      HTTP{Auth: "basic", Timeout: config.Duration(30 * time.Second)},
		BatchSize: 1,
	}, newWebhook)
}

// maxBatch keeps a request under the receiver's body limit: 1 MiB in another bouncefeed.
const maxBatch = 100

// webhook posts events as their public JSON to any receiver, another bouncefeed among them. The body is one event
//
//	{"id":"9f2c…","time":"2026-11-22T07:01:02Z","type":"hard","recipient":"jo@example.org",…}
//
// with `batch: 1`, and with a larger one always an array of them, even of one. Any 2xx means that the receiver has
// them all; an event may be posted again with the same id. With a secret a request carries the three headers of Standard
// Webhooks; its id is the event's, or a hash of the ids.
type webhook struct {
	*poster
	array  bool
	secret config.Secret
}

func newWebhook(env config.Env, section config.Section, c *webhookConfig) (Output, error) {
	var batch error
	if c.BatchSize < 1 || c.BatchSize > maxBatch {
		batch = section.Errorf("batch", "must be from 1 to %d", maxBatch)
	}
	c.Batch = c.BatchSize
	p, err := newPoster(env, section, c.HTTP, "https://hub.example.com/webhooks/service/standard", "basic", "bearer")
	if err := config.Join("", err, batch); err != nil {
		return nil, err
	}
	return &webhook{poster: p, array: c.BatchSize > 1, secret: c.Secret}, nil
}

func (w *webhook) Send(ctx context.Context, batch []event.Event) error {
	if len(batch) == 0 {
		return nil
	}
	var payload any = batch
	if !w.array {
		if len(batch) > 1 {
			return fmt.Errorf("batch: 1 takes one event at a time, not %d", len(batch))
		}
		payload = &batch[0]
	}
	body, err := encode(payload)
	if err != nil {
		return err
	}
	header := jsonHeader()
	if err := w.sign(header, requestID(batch), time.Now(), body); err != nil {
		return err
	}
	a, err := w.do(ctx, http.MethodPost, w.url, body, header)
	if err != nil {
		return err
	}
	return a.verdict("")
}

// Probe asks for the headers only: an endpoint that takes nothing but POST may well answer 404 or 405, which tells
// that it can be reached.
func (w *webhook) Probe(ctx context.Context) ([]string, error) { return nil, w.probe(ctx) }

func (w *webhook) probe(ctx context.Context) error {
	if _, err := signingKey(w.secret); err != nil {
		return err
	}
	a, err := w.do(ctx, http.MethodHead, w.url, nil, nil)
	if err != nil {
		return err
	}
	switch a.status {
	case http.StatusUnauthorized, http.StatusForbidden:
		if w.secret.Set() { // the signature is the login, and only a POST has it
			return nil
		}
	case http.StatusProxyAuthRequired:
	default:
		if a.status/100 == 2 || a.status/100 == 4 || a.status == http.StatusNotImplemented {
			return nil
		}
	}
	return a.verdict("")
}

// requestID is the same for the same events, so that a receiver recognizes a request it has taken already.
func requestID(batch []event.Event) string {
	if len(batch) == 1 {
		return batch[0].ID
	}
	h := sha256.New()
	for i := range batch {
		fmt.Fprintln(h, batch[i].ID)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func (w *webhook) sign(header http.Header, id string, at time.Time, body []byte) error {
	key, err := signingKey(w.secret)
	if err != nil || key == nil {
		return err
	}
	timestamp := strconv.FormatInt(at.Unix(), 10)
	header.Set("webhook-id", id)
	header.Set("webhook-timestamp", timestamp)
	header.Set("webhook-signature", stdwebhook.Signature(stdwebhook.MAC(key, id, timestamp, body)))
	return nil
}

// signingKey reads the secret anew, so that a rotated one needs no restart; nil if there is none.
func signingKey(secret config.Secret) ([]byte, error) {
	text, err := secret.Read()
	if err != nil || text == "" {
		return nil, err
	}
	key, err := stdwebhook.Key(text)
	if err != nil {
		return nil, fmt.Errorf(`%w: make one with: echo "whsec_$(head -c 32 /dev/urandom | base64)"`, err)
	}
	return key, nil
}
