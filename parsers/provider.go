package parsers

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/smtp"
	"bouncefeed/internal/text"
)

// Most mail providers tell the same in other words: a request is a JSON object, or an array of them, each about one
// recipient. Their files say how an item is read and what its categories mean; the rest is here.

// A provider reads requests whose items have the shape I.
type provider[I any] struct {
	jsonBody
	kind string
	read func(item *I, tell func(notice) error) error // does not call tell where nothing is of interest
}

// registerProvider makes a provider known that signs nothing: its route asks for a password or a token.
func registerProvider[I any](kind string, read func(*I, func(notice) error) error) {
	RegisterMessage(kind, struct{}{}, func(config.Env, config.Section, *struct{}) (Parser, error) {
		return &provider[I]{kind: kind, read: read}, nil
	})
}

// A signedProvider signs its requests with a secret that the admin shares with it.
type signedProvider[I any] struct {
	provider[I]
	signature
}

type signature interface {
	Verifier
	KeyNeeded() string
}

type signedConfig struct {
	Secret config.Secret `yaml:"secret"` // two lines are two secrets
}

func registerSigned[I any](kind string, newSignature func(config.Secret) signature, read func(*I, func(notice) error) error) {
	RegisterMessage(kind, signedConfig{}, func(_ config.Env, _ config.Section, c *signedConfig) (Parser, error) {
		return &signedProvider[I]{provider[I]{kind: kind, read: read}, newSignature(c.Secret)}, nil
	})
}

// sharedSecret is what those signatures have in common that are made with a secret.
type sharedSecret struct{ secret config.Secret }

func (s sharedSecret) Keyed() bool       { return s.secret.Set() }
func (s sharedSecret) KeyNeeded() string { return "secret_file" }

// bodySignature is a header that holds HMAC-SHA256 over the body, in hexadecimal digits.
type bodySignature struct {
	sharedSecret
	header string
}

// Verify implements Verifier.
func (s bodySignature) Verify(_ context.Context, rec event.Record) error {
	mac, err := hex.DecodeString(rec.Request.Field(s.header))
	if err != nil || len(mac) == 0 {
		return event.Refuse(WhyNoSignature, "no %s", s.header)
	}
	return signedBy(s.secret, nil, sha256.New, [][]byte{mac}, rec.Body)
}

// A notice is what an item says. Text, code and status are the classifier's to judge; the provider's own category counts
// where they say nothing.
type notice struct {
	event.Event
	meaning
	id      string            // the provider's own of this very event
	at      loose             // when it happened
	carried []json.RawMessage // header fields, metadata, custom arguments: what came with the message
}

// A meaning is what a provider's category says. The zero value: a failure, and no more.
type meaning struct {
	kind event.Type   // of what is no failure
	hint event.Reason // of a failure
	soft bool         // whatever else is said: "blocked" and "spam" are never the recipient's fault
}

// meanings are a provider's categories.
type meanings map[string]meaning

// Parse implements Parser.
func (p *provider[I]) Parse(rec event.Record, emit func(event.Event)) error {
	return eachItem(rec.Body, func(raw []byte) error {
		var item I
		if err := readItem(raw, &item); err != nil {
			return err
		}
		return p.read(&item, func(n notice) error {
			e, err := n.complete(p.kind, rec.Time)
			if err == nil {
				emit(e)
			}
			return err
		})
	})
}

// complete makes the event of a notice that came at the time read.
func (n *notice) complete(provider string, read time.Time) (event.Event, error) {
	e, fields := n.Event, readCarried(n.carried)
	e.MessageID = cleanMessageID(cmp.Or(fields.get("Message-ID"), e.MessageID))
	ours(&e, fields.get)
	e.Recipient = cleanAddress(e.Recipient)
	switch {
	case e.Recipient == "" && e.SubscriberUUID == "":
		return e, event.Refuse(WhyNobody, "names no recipient")
	case e.Recipient != "" && !isAddress(e.Recipient):
		return e, event.Refuse(WhyMalformed, "the recipient is no address")
	}
	if e.Sender = cleanAddress(cmp.Or(e.Sender, fields.get("Return-Path"), fields.get("From"))); !isAddress(e.Sender) {
		e.Sender = ""
	}
	if n.id != "" {
		e.ProviderID = provider + ":" + text.Cut(n.id, mailMaxName)
	}
	e.Time = timeOf(string(n.at), read)
	if e.Type = n.kind; e.Type == "" {
		e.Hint, e.Expired = n.hint, n.soft // the classifier never takes what expired for hard
		readReply(&e)
	} else {
		e.Code, e.Status = 0, ""
	}
	tidy(&e)
	return e, nil
}

// readReply takes code and status out of a diagnostic, where the provider does not give them apart.
func readReply(e *event.Event) {
	code, at := smtp.FindReply(e.Diagnostic)
	if e.Code == 0 {
		e.Code = code
	}
	if n := smtp.StatusLength([]byte(e.Status)); n == 0 || n < len(e.Status) {
		e.Status = ""
	}
	if e.Status == "" && at >= 0 {
		e.Status = smtp.ReplyStatus(e.Diagnostic[at:])
	}
}

// reply is the SMTP reply code in a loose text, 0 if it is none: providers have codes of their own, as 605 for an address
// on their list.
func (l loose) reply() int { return smtp.Code(string(l)) }

// timeLayouts are how providers write the time, where it is no number. Without a zone they mean UTC.
var timeLayouts = []string{time.RFC3339, "2006-01-02 15:04:05.999999999Z07:00", time.DateTime, "2006-01-02T15:04:05", time.RFC1123Z, time.RFC1123}

// timeOf reads when something happened that was told of at the time read. What can't be is not believed.
func timeOf(s string, read time.Time) time.Time {
	t, ok := unixTime(s)
	for i := 0; !ok && i < len(timeLayouts); i++ {
		var err error
		t, err = time.Parse(timeLayouts[i], s)
		ok = err == nil
	}
	if !ok || t.Year() < 1990 || !read.IsZero() && t.After(read.Add(24*time.Hour)) {
		return read
	}
	return t.UTC()
}
