package provider

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/parsers"
	"bouncefeed/parsers/item"
)

type sendgridConfig struct {
	// PublicKey is what Settings → Mail Settings → Event Webhook shows as Verification Key; several while one replaces
	// another.
	PublicKey []string `yaml:"public_key"`
}

func init() { parsers.RegisterMessage("sendgrid", sendgridConfig{}, buildSendgrid) }

// sendgrid reads Twilio SendGrid's Event Webhook: an array of events, signed with ECDSA over timestamp and body.
// https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event
type sendgrid struct {
	provider[sendgridItem]
	keys []*ecdsa.PublicKey
}

func buildSendgrid(_ config.Env, section config.Section, c *sendgridConfig) (parsers.Parser, error) {
	s := &sendgrid{provider: provider[sendgridItem]{kind: "sendgrid", read: (*sendgridItem).notices}}
	for _, text := range c.PublicKey {
		key, err := ecdsaKey(text)
		if err != nil {
			return nil, section.Errorf("public_key", "%v", err)
		}
		s.keys = append(s.keys, key)
	}
	return s, nil
}

func ecdsaKey(text string) (*ecdsa.PublicKey, error) {
	der, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err == nil {
		var key any
		if key, err = x509.ParsePKIXPublicKey(der); err == nil {
			if ec, ok := key.(*ecdsa.PublicKey); ok {
				return ec, nil
			}
		}
	}
	return nil, errors.New("not the verification key that SendGrid shows, which begins with MFkw")
}

// Keyed implements parsers.Verifier.
func (s *sendgrid) Keyed() bool       { return len(s.keys) > 0 }
func (s *sendgrid) KeyNeeded() string { return "public_key" }

// Verify implements parsers.Verifier.
func (s *sendgrid) Verify(_ context.Context, rec event.Record) error {
	const prefix = "X-Twilio-Email-Event-Webhook-"
	timestamp := rec.Request.Field(prefix + "Timestamp")
	signature, err := base64.StdEncoding.DecodeString(rec.Request.Field(prefix + "Signature"))
	if err != nil || len(signature) == 0 {
		return event.Refuse(parsers.WhyNoSignature, "no %sSignature", prefix)
	}
	h := sha256.New()
	h.Write([]byte(timestamp))
	h.Write(rec.Body)
	sum := h.Sum(nil)
	for _, key := range s.keys {
		if ecdsa.VerifyASN1(key, sum, signature) {
			return freshAt(timestamp, rec)
		}
	}
	return event.Refuse(parsers.WhyBadSignature, "the signature is made with another key, or the body was changed")
}

type sendgridItem struct {
	Email          string     `json:"email"`
	Event          string     `json:"event"`
	Type           string     `json:"type"`
	Classification string     `json:"bounce_classification"`
	Reason         string     `json:"reason"`
	Response       string     `json:"response"`
	Status         string     `json:"status"`
	Timestamp      item.Loose `json:"timestamp"`
	SMTPID         string     `json:"smtp-id"`
	ID             string     `json:"sg_event_id"`

	all json.RawMessage // custom arguments stand beside SendGrid's own
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *sendgridItem) UnmarshalJSON(b []byte) error {
	type plain sendgridItem
	err := json.Unmarshal(b, (*plain)(s))
	s.all = b
	return err
}

func (s *sendgridItem) notices(emit func(notice) error) error {
	n := notice{id: s.ID, at: s.Timestamp, carried: []json.RawMessage{s.all}}
	n.Recipient, n.MessageID, n.Status, n.Diagnostic = s.Email, s.SMTPID, s.Status, s.Reason
	switch s.Event {
	case "bounce":
		n.meaning = sendgridClasses[strings.ToLower(s.Classification)]
		if said, own := sendgridBounces.find(s.Reason); own {
			n.meaning = said
		}
		n.soft = n.soft || strings.EqualFold(s.Type, "blocked") // SendGrid itself goes on writing to this address
	case "dropped":
		n.meaning, _ = sendgridDrops.find(s.Reason)
		n.OwnWords = true
	case "spamreport":
		n.kind = event.Complaint
	case "deferred":
		n.kind, n.Diagnostic = event.Delayed, s.Response
	case "delivered":
		n.kind, n.Diagnostic = event.Delivered, s.Response
	default:
		return nil
	}
	return emit(n)
}

// sendgridClasses are the values of bounce_classification.
var sendgridClasses = meanings{
	"invalid address":              {hint: event.UserUnknown},
	"mailbox unavailable":          {hint: event.MailboxFull},
	"technical":                    {hint: event.RemoteSystem},
	"technical failure":            {hint: event.RemoteSystem},
	"content":                      {hint: event.Content, soft: true},
	"reputation":                   {hint: event.Blocklisted, soft: true},
	"frequency or volume too high": {hint: event.RateLimited, soft: true},
	"frequency/volume":             {hint: event.RateLimited, soft: true},
}

// sendgridBounces are the reasons of bounces in which no server answered.
var sendgridBounces = sayings{
	{"unable to get mx info", meaning{hint: event.Network, soft: true, own: true}}, // "… failed to get IPs from PTR record: lookup <nil>"
	{"error dialing remote address", meaning{hint: event.Network, soft: true, own: true}},
	{"unable to parse server reason", meaning{own: true, soft: true}},
}

// sendgridDrops are the reasons why SendGrid did not even try: mostly what it learned of the address before.
var sendgridDrops = sayings{
	{"unsubscribe", suppressed},
	{"spam report", suppressed},
	{"bounced address", suppressed},
	{"quota", nothing},
	{"smtpapi", nothing},
	{"invalid", meaning{hint: event.BadAddress}},
	{"spam content", meaning{hint: event.Spam, soft: true}},
}
