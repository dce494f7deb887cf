package outputs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/stdwebhook"
)

// webhookConfig is a section `type: webhook`.
type webhookConfig struct {
	Settings
	HTTP
	// Method, URL, Headers and the body make a request of any shape; URL, Body and the fields of Form are forms (see form).
	Method      string             `yaml:"method"`
	Headers     config.Map[string] `yaml:"headers"`
	TokenHeader string             `yaml:"token_header"` // that carries the password, in place of Authorization
	// Body is what is posted, as ContentType; Form are fields instead, form-encoded. Neither: the event as JSON.
	Body        string             `yaml:"body"`
	Form        config.Map[string] `yaml:"form"`
	ContentType string             `yaml:"content_type"`
	// Success are the answers that mean that the receiver has it, Unknown those by which it says that it knows no such
	// contact: "200", "2xx".
	Success []string `yaml:"success"`
	Unknown []string `yaml:"unknown"`
	Lookup  lookup   `yaml:"lookup"`
	// BatchSize is how many events one request may carry: 1 posts an object, more an array.
	BatchSize int `yaml:"batch"`
	// Secret signs every request (Standard Webhooks): "whsec_" and the key in base64.
	Secret config.Secret `yaml:"secret"`
}

func init() {
	register("webhook", webhookConfig{
		Settings:    Settings{Send: DefaultSend},
		HTTP:        HTTP{Auth: "basic", Timeout: config.Duration(30 * time.Second)},
		Method:      http.MethodPost,
		ContentType: "application/json",
		Success:     []string{"2xx"},
		BatchSize:   1,
	}, newWebhook)
}

// maxBatch keeps a request under the receiver's body limit: 1 MiB in another bouncefeed.
const maxBatch = 100

// webhook posts events to any receiver, another bouncefeed among them: as their public JSON, if the configuration makes no
// other shape. The body is one event
//
//	{"id":"9f2c…","time":"2026-11-22T07:01:02Z","type":"hard","recipient":"jo@example.org",…}
//
// with `batch: 1`, and with a larger one always an array of them, even of one. An answer of `success:` means that the
// receiver has them all; an event may be posted again with the same id. With a secret a request carries the three headers
// of Standard Webhooks; its id is the event's, or a hash of the ids.
type webhook struct {
	*poster
	shape
	method           string
	headers          http.Header
	success, unknown codes
	array            bool
	secret           config.Secret
}

func newWebhook(env config.Env, section config.Section, c *webhookConfig) (Output, error) {
	shape, errs := newShape(section, c)
	if c.BatchSize < 1 || c.BatchSize > maxBatch {
		errs = append(errs, section.Errorf("batch", "must be from 1 to %d", maxBatch))
	}
	if !slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}, c.Method) {
		errs = append(errs, section.Errorf("method", "%q is none of POST, PUT, PATCH, DELETE", c.Method))
	}
	c.Batch = c.BatchSize
	post := c.HTTP
	post.URL = blanks.ReplaceAllString(c.URL, "x")
	ways := []string{"basic", "bearer"}
	if c.TokenHeader != "" {
		post.Auth, ways = "header", []string{"header"}
	}
	p, err := newPoster(env, section, post, "https://hub.example.com/webhooks/service/standard", ways...)
	errs = append(errs, err)
	if p != nil {
		p.header = c.TokenHeader
	}
	w := &webhook{poster: p, shape: shape, method: c.Method, headers: http.Header{}, array: c.BatchSize > 1, secret: c.Secret}
	if c.TokenHeader != "" && !headerName.MatchString(c.TokenHeader) {
		errs = append(errs, section.Errorf("token_header", "is no header"))
	}
	for _, h := range c.Headers {
		if !headerName.MatchString(h.Name) || strings.ContainsFunc(h.Value, unicode.IsControl) {
			errs = append(errs, section.Errorf("headers."+h.Name, "is no header"))
		}
		w.headers.Set(h.Name, h.Value)
	}
	if w.success, err = newCodes(c.Success); err != nil || len(w.success) == 0 {
		errs = append(errs, section.Errorf("success", "must name answers like 200 or 2xx"))
	}
	if w.unknown, err = newCodes(c.Unknown); err != nil {
		errs = append(errs, section.Errorf("unknown", "%v", err))
	}
	return w, config.Join("", errs...)
}

func (w *webhook) Send(ctx context.Context, batch []event.Event) error {
	if len(batch) == 0 {
		return nil
	}
	if !w.array && len(batch) > 1 {
		return fmt.Errorf("batch: 1 takes one event at a time, not %d", len(batch))
	}
	data, err := w.find(ctx, w.poster, batch)
	if err != nil {
		return err
	}
	u, body, err := w.request(w.poster.url, batch, w.array, data)
	if err != nil {
		return event.Permanent(err)
	}
	header := w.headers.Clone()
	if body != nil {
		header.Set("Content-Type", w.contentType)
	}
	if err := w.sign(header, requestID(batch), time.Now(), body); err != nil {
		return err
	}
	a, err := w.do(ctx, w.method, u, body, header)
	switch {
	case err != nil:
		return err
	case w.success.has(a.status):
		return nil
	case w.unknown.has(a.status):
		return &UnknownError{a.failure("the receiver knows no such contact")}
	case a.status/100 == 2:
		return a.later("not the answer that success: names")
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
	a, err := w.do(ctx, http.MethodHead, w.poster.url, nil, w.headers.Clone())
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
