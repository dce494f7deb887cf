package provider

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"regexp"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/parsers"
	"bouncefeed/parsers/item"
)

func init() {
	registerSigned("mailgun", func(s config.Secret) parsers.Verifier { return mailgunSignature{sharedSecret{s}} }, (*mailgun).notices)
}

// mailgun is one request of Mailgun (https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhook-payloads):
//
//	{"signature":{"timestamp":"1795330862","token":"a8ce…","signature":"d227…"},
//	 "event-data":{"event":"failed","severity":"permanent","reason":"bounce","id":"G9Bn5sl1TC6nu79C8C0bwg","timestamp":1795330861.5,
//	  "recipient":"jo@example.org","delivery-status":{"code":550,"enhanced-code":"5.1.1","message":"5.1.1 user unknown","description":"",
//	  "mx-host":"mx.example.org"},"message":{"headers":{"message-id":"2026…@news.example.com"}},"user-variables":{"campaign_uuid":"…"}}}
type mailgun struct {
	Signature mailgunToken `json:"signature"`
	Data      struct {
		Event     string     `json:"event"`
		Severity  string     `json:"severity"`
		Reason    string     `json:"reason"`
		ID        string     `json:"id"`
		Timestamp item.Loose `json:"timestamp"`
		Recipient string     `json:"recipient"`
		Envelope  struct {
			Sender string `json:"sender"`
		} `json:"envelope"`
		Status struct {
			Code        item.Loose `json:"code"`
			Enhanced    item.Loose `json:"enhanced-code"`
			Message     string     `json:"message"`
			Description string     `json:"description"`
			Host        string     `json:"mx-host"`
		} `json:"delivery-status"`
		Message struct {
			Headers json.RawMessage `json:"headers"`
		} `json:"message"`
		Variables json.RawMessage `json:"user-variables"`
	} `json:"event-data"`
}

type mailgunToken struct {
	Timestamp item.Loose `json:"timestamp"`
	Token     string     `json:"token"`
	Signature string     `json:"signature"`
}

// What the reason of a permanent failure means. Mailgun itself doesn't try an address on its suppression lists.
var mailgunReasons = meanings{
	"bounce":               {hint: event.UserUnknown},
	"suppress-bounce":      suppressed,
	"suppress-complaint":   suppressed,
	"suppress-unsubscribe": suppressed,
	"espblock":             {hint: event.Blocklisted, soft: true},
	"greylisted":           {hint: event.Greylisted, soft: true},
	"old":                  {hint: event.Expired, soft: true},
}

func (m *mailgun) notices(emit func(notice) error) error {
	d := &m.Data
	n := notice{
		Event: event.Event{
			Recipient: d.Recipient, Sender: d.Envelope.Sender, RemoteMTA: d.Status.Host,
			Code: d.Status.Code.Reply(), Status: string(d.Status.Enhanced), Diagnostic: cmp.Or(d.Status.Message, d.Status.Description),
		},
		// The signature covers the token only: it, not the event, must be new.
		id: cmp.Or(m.Signature.Token, d.ID),
		at: d.Timestamp, carried: []json.RawMessage{d.Message.Headers, d.Variables},
	}
	switch d.Event {
	case "failed":
		n.meaning = mailgunReasons[d.Reason]
		switch code := string(d.Status.Code); {
		case code == "605" || code == "606" || code == "607": // "Not delivering to previously bounced address"
			n.meaning = suppressed
		case len(code) == 3 && code[0] == '6': // Mailgun's own, as 602 "Too old"
			n.OwnWords = true
		}
		if d.Severity == "temporary" {
			n.kind = event.Delayed
		}
	case "complained":
		n.kind = event.Complaint
	case "delivered":
		n.kind = event.Delivered
	default:
		return nil
	}
	return emit(n)
}

// mailgunTimestamp is the time in seconds, all ten digits of it. It is signed together with the token behind it and
// nothing in between: a digit, or "e3", of the token must not become the time's, since the rest would be a new token.
var mailgunTimestamp = regexp.MustCompile(`^[0-9]{10}$`)

// mailgunSignature stands in the body and covers a token that is used only once.
type mailgunSignature struct{ sharedSecret }

// Verify implements parsers.Verifier.
func (s mailgunSignature) Verify(_ context.Context, rec event.Record) error {
	var m struct {
		Signature mailgunToken `json:"signature"`
	}
	if err := item.Sound(rec.Body); err != nil {
		return err
	}
	if err := item.Read(rec.Body, &m); err != nil {
		return err
	}
	mac, err := hex.DecodeString(m.Signature.Signature)
	if err != nil || len(mac) == 0 || m.Signature.Token == "" {
		return event.Refuse(parsers.WhyNoSignature, "no signature in the body")
	}
	if !mailgunTimestamp.MatchString(string(m.Signature.Timestamp)) {
		return event.Refuse(parsers.WhyBadSignature, "a timestamp that is not ten digits")
	}
	if err := signedBy(s.secret, [][]byte{mac}, hmacSHA256([]byte(m.Signature.Timestamp), []byte(m.Signature.Token))); err != nil {
		return err
	}
	return freshAt(string(m.Signature.Timestamp), rec)
}
