package outputs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/mail"
	"strings"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/listmonk"
)

// listmonkConfig is a section `type: listmonk`.
type listmonkConfig struct {
	Settings
	HTTP
	// Source is what listmonk shows as the bounce's source; default bouncefeed/HOST.
	Source string `yaml:"source"`
	// SubscriberUUID sends the subscriber's UUID, where the mail carried it, beside the address: it finds a subscriber
	// whose mail was forwarded. false: the address alone decides, for a mail server that serves several listmonks.
	SubscriberUUID bool `yaml:"subscriber_uuid"`
	// Verify reads back what listmonk has stored: auto (where the API user may), on or off.
	Verify string `yaml:"verify"`
	// Where nothing is read back: what was posted lately is kept for `bouncefeed resend`, and after a break posted again
	// (resend) or not (trust).
	Keep       config.Duration `yaml:"keep"`
	AfterBreak string          `yaml:"after_break"`
}

func init() {
	register("listmonk", listmonkConfig{
		Settings:       Settings{Send: DefaultSend, MaxRate: 100, Batch: 1},
		HTTP:           HTTP{Auth: "basic", Timeout: config.Duration(30 * time.Second)},
		SubscriberUUID: true,
		Verify:         verifyAuto,
		Keep:           config.Duration(time.Hour),
		AfterBreak:     "trust",
	}, newListmonk)
}

// listmonkReceiver posts one event a request to listmonk's native bounce webhook (https://listmonk.app/docs/bounces/):
//
//	{"email":"jo@example.org","source":"bouncefeed/mx1","type":"hard","created_at":"2026-11-22T07:01:02Z","meta":{…}}
//
// A 200 means queued in listmonk's memory, not stored; a subscriber it does not know is a 200, too. It has no
// idempotency: what is posted twice counts twice. What became of it is read back, see Stored.
type listmonkReceiver struct {
	*poster
	source string
	uuids  bool
	verify string
	keep   time.Duration
	resend bool
	place  readingPlace
}

func newListmonk(env config.Env, section config.Section, c *listmonkConfig) (Output, error) {
	const example = "https://lists.example.com" + listmonkRoute
	p, err := newPoster(env, section, c.HTTP, example, "basic", "token")
	if err != nil {
		return nil, err
	}
	if strings.Trim(p.url.Path, "/") == "" {
		return nil, section.Errorf("url", "lacks the path: write it like %s", example)
	}
	if c.Source == "" {
		c.Source = "bouncefeed/" + env.Host
	}
	if c.Verify != verifyAuto && c.Verify != verifyOn && c.Verify != verifyOff {
		return nil, section.Errorf("verify", "%q is none of auto, on, off", c.Verify)
	}
	if c.AfterBreak != "trust" && c.AfterBreak != "resend" {
		return nil, section.Errorf("after_break", "%q is none of trust, resend", c.AfterBreak)
	}
	if c.Keep < 0 {
		return nil, section.Errorf("keep", "must not be negative")
	}
	return &listmonkReceiver{keep: c.Keep.Std(), resend: c.AfterBreak == "resend", poster: p, source: clean(c.Source, metaLimit), uuids: c.SubscriberUUID, verify: c.Verify}, nil
}

const listmonkRoute = "/webhooks/bounce"

func (l *listmonkReceiver) Send(ctx context.Context, batch []event.Event) error {
	if len(batch) == 0 {
		return nil
	}
	if len(batch) > 1 { // which of them it took could not be told
		return fmt.Errorf("listmonk takes one event at a time, not %d", len(batch))
	}
	body, err := encode(l.bounce(&batch[0]))
	if err != nil {
		return err
	}
	a, err := l.post(ctx, body)
	if err != nil {
		return err
	}
	return l.understand(a)
}

// understand believes listmonk's own words only: any web server in its place may say 200, or 400, and every bounce be lost.
func (l *listmonkReceiver) understand(a *answer) error {
	switch {
	case a.taken && a.status == http.StatusOK:
		return nil
	case a.status/100 == 2:
		what := "not listmonk's answer: url leads to the wrong place"
		if a.page {
			what = "a web page instead of listmonk's answer: url leads to the wrong place"
		}
		return &UncertainError{a.failure(what)}
	case a.status == http.StatusBadRequest && a.own && !a.plainToTLS:
		return event.Permanent(a.failure(l.remedy(a)))
	case a.status == http.StatusInternalServerError, a.status == http.StatusBadGateway, a.status == http.StatusGatewayTimeout:
		return &UncertainError{a.later(l.remedy(a))} // it may have taken it before
	}
	return a.later(l.remedy(a))
}

func (l *listmonkReceiver) post(ctx context.Context, body []byte) (*answer, error) {
	a, err := l.do(ctx, http.MethodPost, l.url, body, jsonHeader())
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: listmonk restarts, or bounce processing is off in Settings → Bounces (listmonk before 6.2 answers so)", err)
	}
	return a, err
}

// Unfit is a bounce that listmonk can never store: it names nobody whom listmonk could find.
func (l *listmonkReceiver) Unfit(e *event.Event) bool {
	b := l.bounce(e)
	return b.SubscriberUUID == "" && !takesAddress(b.Email)
}

// remedy is what listmonk means by an answer, where that is more than any receiver would.
func (l *listmonkReceiver) remedy(a *answer) string {
	switch a.status {
	case http.StatusBadRequest:
		switch {
		case a.plainToTLS:
		case a.own:
			return "listmonk refuses the event"
		default:
			return "not listmonk's words: something in front of it refuses the event"
		}
	case http.StatusUnauthorized:
		if a.own {
			return "the API user's name or token is wrong (listmonk before 4.0 says so)"
		}
		return "something in front of listmonk wants a login of its own (listmonk itself says 403)"
	case http.StatusForbidden:
		if !l.Password.Set() {
			return "listmonk wants a login: set username and password_file"
		}
		return "the API user lacks webhooks:post_bounce, is disabled, or its name or token is wrong"
	case http.StatusNotFound:
		return "bounce webhooks are off in Settings → Bounces, or the path in url is wrong"
	case http.StatusMethodNotAllowed, http.StatusGone:
		return "the path in url is wrong: listmonk's is " + listmonkRoute
	case http.StatusServiceUnavailable:
		if a.own {
			return "bounce processing is switched off in Settings → Bounces"
		}
	}
	return ""
}

// bounce is the body of a POST. U+0000, a lone surrogate or a malformed UUID in it would get a 200 and be lost.
type bounce struct {
	Email          string     `json:"email,omitempty"`
	SubscriberUUID string     `json:"subscriber_uuid,omitempty"`
	CampaignUUID   string     `json:"campaign_uuid,omitempty"`
	Source         string     `json:"source"`
	Type           event.Type `json:"type"`
	CreatedAt      string     `json:"created_at,omitempty"`
	Meta           bounceMeta `json:"meta"`
}

// bounceMeta is what listmonk shows beside the bounce. Its keys are those of the public schema.
type bounceMeta struct {
	ID         string       `json:"id"`
	Input      string       `json:"input,omitempty"`
	Reason     event.Reason `json:"reason,omitempty"`
	Fault      event.Fault  `json:"fault,omitempty"`
	Code       int          `json:"code,omitempty"`
	Status     string       `json:"status,omitempty"`
	Diagnostic string       `json:"diagnostic,omitempty"`
	RemoteMTA  string       `json:"remote_mta,omitempty"`
	MessageID  string       `json:"message_id,omitempty"`
	QueueID    string       `json:"queue_id,omitempty"`
	Rule       string       `json:"rule,omitempty"`
}

const (
	metaLimit       = 256  // characters of any value but the diagnostic
	diagnosticLimit = 1000 // characters
)

func (l *listmonkReceiver) bounce(e *event.Event) bounce {
	b := bounce{
		Email:        strings.ToLower(strings.TrimSuffix(strings.TrimSpace(e.Recipient), ".")),
		CampaignUUID: uuid(e.CampaignUUID),
		Source:       l.source,
		Type:         e.Type,
		Meta: bounceMeta{
			ID: e.ID, Reason: e.Reason, Fault: e.Fault, Code: e.Code,
			Input:      clean(e.Input, metaLimit),
			Status:     clean(e.Status, metaLimit),
			Diagnostic: clean(e.Diagnostic, diagnosticLimit),
			RemoteMTA:  clean(e.RemoteMTA, metaLimit),
			MessageID:  clean(e.MessageID, metaLimit),
			QueueID:    clean(e.QueueID, metaLimit),
			Rule:       clean(e.Rule, metaLimit),
		},
	}
	if !e.Time.IsZero() {
		b.CreatedAt = e.Time.UTC().Format(time.RFC3339Nano)
	}
	if l.uuids || b.Email == "" {
		b.SubscriberUUID = uuid(e.SubscriberUUID)
	}
	// The UUID decides anyway; an address that listmonk does not take beside it would spoil it with a 400.
	if b.SubscriberUUID != "" && !takesAddress(b.Email) {
		b.Email = ""
	}
	return b
}

// takesAddress applies listmonk's own test (SanitizeEmail): Go's parser must give back what it was given.
func takesAddress(email string) bool {
	a, err := mail.ParseAddress(email)
	return err == nil && a.Address == email
}

// uuid gives s in lower case if it is one. listmonk's mark of a test mail is nobody's.
func uuid(s string) string {
	if s = listmonk.UUID(s); s == listmonk.NoUUID {
		return ""
	}
	return s
}

func jsonHeader() http.Header { return http.Header{"Content-Type": {"application/json"}} }

// encode is v as JSON on one line without the line end, "<" and ">" as themselves.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode as JSON: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
