package provider

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"bouncefeed/internal/address"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/parsers"
	"bouncefeed/parsers/item"
)

// postalConfig is the section of a Postal installation.
type postalConfig struct {
	// PublicKey is the installation's own: in PEM, or what `postal default-dkim-record` prints. Two are two installations,
	// or a new key beside the old one.
	PublicKey []string `yaml:"public_key"`
	// SHA1 takes signatures with SHA-1 too, which is all that Postal before version 3 sends.
	SHA1 bool `yaml:"sha1"`
}

func init() {
	parsers.RegisterMessage("postal", postalConfig{}, func(env config.Env, section config.Section, c *postalConfig) (parsers.Parser, error) {
		s := postalSignature{sha1: c.SHA1}
		for _, text := range c.PublicKey {
			key, err := rsaPublicKey(text)
			if err != nil {
				return nil, section.Errorf("public_key", "%v", err)
			}
			s.keys = append(s.keys, key)
		}
		return &signedProvider[postal]{provider[postal]{kind: "postal", read: (*postal).notices}, datedBody{s, writtenAt(postalWritten), env.Retain}}, nil
	})
}

// postal is one request of Postal (https://docs.postalserver.io/developer/webhooks):
//
//	{"event":"MessageDeliveryFailed","timestamp":1795330862.12,"uuid":"0ff5…","payload":{"status":"HardFail",
//	 "details":"Permanent SMTP delivery error when sending to mx.example.org (192.0.2.1)","output":"550 5.1.1 user unknown","timestamp":1795330862.1,
//	 "message":{"id":12,"token":"Wd1…","message_id":"5817…@news.example.com","to":"jo@example.org","from":"news@example.com"}}}
//
// MessageBounced tells of a report that came by mail, without saying what it says.
type postal struct {
	Event   string     `json:"event"`
	UUID    string     `json:"uuid"`
	At      item.Loose `json:"timestamp"`
	Payload struct {
		Details  string        `json:"details"`
		Output   string        `json:"output"`
		At       item.Loose    `json:"timestamp"`
		Message  postalMessage `json:"message"`
		Original postalMessage `json:"original_message"`
	} `json:"payload"`
}

func postalWritten(p *postal) item.Loose { return p.At }

type postalMessage struct {
	Direction string `json:"direction"` // incoming: somebody's mail to a route of ours
	MessageID string `json:"message_id"`
	To        string `json:"to"`
	From      string `json:"from"`
}

var postalEvents = meanings{
	"MessageDeliveryFailed": {},
	"MessageBounced":        {},
	"MessageDelayed":        {kind: event.Delayed},
	"MessageSent":           {kind: event.Delivered},
}

// postalDetails are what Postal itself says of a failure; a server's reply is the output.
var postalDetails = sayings{
	{"number of delivery attempts", meaning{hint: event.Expired, soft: true}}, // "… The destination address has been added to the suppression list"
	{"suppression list", suppressed},
	{"no smtp servers", meaning{hint: event.Network, soft: true}},
	{"spam", meaning{hint: event.Spam, soft: true}},
}

func (p *postal) notices(emit func(notice) error) error {
	m, known := postalEvents[p.Event]
	if !known { // MessageHeld, MessageLoaded, MessageLinkClicked, DomainDNSError
		return nil
	}
	about := p.Payload.Message
	if p.Event == "MessageBounced" {
		about = p.Payload.Original
	}
	if said, own := postalDetails.find(p.Payload.Details); own && m.kind == "" && (p.Payload.Output == "" || said.hint == event.Expired) {
		m = said
	}
	if about.Direction == "incoming" {
		m = nothing
	}
	return emit(notice{
		Event: event.Event{
			Recipient: about.To, Sender: about.From, MessageID: about.MessageID, RemoteMTA: sendingTo(p.Payload.Details),
			Diagnostic: cmp.Or(p.Payload.Output, p.Payload.Details), OwnWords: p.Payload.Output == "" && !holdsReply(p.Payload.Details),
		},
		meaning: m, id: p.UUID, at: cmp.Or(p.Payload.At, p.At),
	})
}

// sendingTo finds the host in "… when sending to 192.0.2.1:25 (mx.example.org)" and "… when sending to mx.example.org (192.0.2.1)".
func sendingTo(details string) string {
	_, after, _ := strings.Cut(details, "sending to ")
	for word := range strings.FieldsSeq(after) {
		if word = strings.Trim(word, "().:"); address.PlausibleDomain(word) {
			return word
		}
	}
	return ""
}

// postalSignature is RSA (PKCS #1 v1.5) over the body: with SHA-256 in X-Postal-Signature-256, with SHA-1 in X-Postal-Signature,
// which is all that Postal before version 3 sends. The key is the installation's: whoever has an account there can have a
// body signed with it, so that a login of the route says which organisation's this is.
type postalSignature struct {
	keys []*rsa.PublicKey
	sha1 bool
}

func (s postalSignature) Keyed() bool       { return len(s.keys) > 0 }
func (s postalSignature) KeyNeeded() string { return "public_key" }

// Verify implements parsers.Verifier.
func (s postalSignature) Verify(_ context.Context, rec event.Record) error {
	sum256, sum1 := sha256.Sum256(rec.Body), sha1.Sum(rec.Body)
	header, hash, sum := "X-Postal-Signature-256", crypto.SHA256, sum256[:]
	if rec.Request.Field(header) == "" && s.sha1 {
		header, hash, sum = "X-Postal-Signature", crypto.SHA1, sum1[:]
	}
	signature, err := base64.StdEncoding.DecodeString(rec.Request.Field(header))
	if err != nil || len(signature) == 0 {
		if !s.sha1 && rec.Request.Field("X-Postal-Signature") != "" {
			return event.Refuse(parsers.WhyNoSignature, "no %s: Postal before version 3 signs with SHA-1 only, which sha1: true allows", header)
		}
		return event.Refuse(parsers.WhyNoSignature, "no %s", header)
	}
	for _, key := range s.keys {
		if rsa.VerifyPKCS1v15(key, hash, sum, signature) == nil {
			return nil
		}
	}
	return event.Refuse(parsers.WhyBadSignature, "the signature is made with another key, or the body was changed")
}
