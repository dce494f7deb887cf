package provider

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"bouncefeed/internal/address"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/listmonk"
	"bouncefeed/parsers"
	"bouncefeed/parsers/item"
)

type nativeConfig struct{}

func init() {
	parsers.RegisterMessage("native", nativeConfig{}, func(env config.Env, _ config.Section, _ *nativeConfig) (parsers.Parser, error) {
		return native{host: env.Host}, nil
	})
}

// native takes what scripts post to listmonk's own /webhooks/bounce, an object or an array of them:
//
//	{"email":"jo@example.org","campaign_uuid":"…","source":"api","type":"hard","meta":"{\"a\":1}","created_at":"2026-11-22T07:01:02Z"}
//
// The type is believed as given. meta, an object or one in a string, is read if it is what bouncefeed itself sends to
// listmonk; otherwise it is kept as the event's diagnostic. Events in bouncefeed's own form are taken too.
//
// A message_id, or a queue_id with the host whose it is (this one by default), that stands in meta tells the bounce from
// others, and as the one that a log or a report tells of. Nothing else in such a post tells it from its repetition:
// without created_at, two alike are one bounce if they name the campaign, and otherwise if they came on the same day.
//
// listmonk answers 400 to what it does not take, and so does this.
type native struct {
	item.JSON
	host string // this machine
}

// nativePost is either form.
type nativePost struct {
	event.Event
	Email     string          `json:"email"`
	Source    string          `json:"source"`
	CreatedAt string          `json:"created_at"`
	Meta      json.RawMessage `json:"meta"`

	host string
}

// Parse implements parsers.Parser.
func (n native) Parse(rec event.Record, emit func(event.Event)) error {
	return item.Each(rec.Body, func(raw []byte) error {
		e, err := n.event(raw, rec.Time)
		if err == nil {
			emit(e)
		}
		return err
	})
}

func (n native) event(raw []byte, now time.Time) (event.Event, error) {
	p := nativePost{host: n.host}
	if err := item.Read(raw, &p); err != nil {
		return event.Event{}, err
	}
	return p.event(now)
}

// Fault implements parsers.Faultfinder.
func (n native) Fault(rec event.Record) error {
	err := item.Each(rec.Body, func(raw []byte) error {
		_, err := n.event(raw, rec.Time)
		return err
	})
	several, ok := err.(interface{ Unwrap() []error })
	if !ok {
		if err == nil {
			return nil
		}
		return errors.New(detailOf(err))
	}
	var details []string
	all := several.Unwrap()
	for _, one := range all[:min(len(all), maxFaultsTold)] {
		details = append(details, detailOf(one))
	}
	if bytes.HasPrefix(bytes.TrimLeft(rec.Body, " \t\r\n"), []byte("[")) {
		return fmt.Errorf("%d were not taken, the others of the array were: %s", len(all), strings.Join(details, "; "))
	}
	return errors.New(details[0])
}

const maxFaultsTold = 10

// detailOf is what a refusal says, the first of several.
func detailOf(err error) string {
	if refused, ok := errors.AsType[*event.RefusedError](err); ok {
		return refused.Detail
	}
	return err.Error()
}

// event makes the event of a post that came at now.
func (p *nativePost) event(now time.Time) (event.Event, error) {
	if p.Email == "" && p.Recipient != "" {
		e := p.Event
		return e, completeEvent(&e)
	}
	e := event.Event{
		Recipient: strings.TrimSpace(p.Email), SubscriberUUID: listmonk.UUID(p.SubscriberUUID), CampaignUUID: listmonk.UUID(p.CampaignUUID),
		Type: p.Type, Time: now, Rule: "as-given",
	}
	switch {
	case !e.Type.Reported():
		return e, event.Refuse(event.WhyMalformed, "type is none of hard, soft and complaint")
	case e.Recipient == "" && p.SubscriberUUID == "":
		return e, event.Refuse(parsers.WhyNobody, "neither email nor subscriber_uuid")
	case e.Recipient != "" && !address.Valid(e.Recipient):
		return e, event.Refuse(event.WhyMalformed, "email is no address")
	case p.SubscriberUUID != "" && e.SubscriberUUID == "":
		return e, event.Refuse(event.WhyMalformed, "subscriber_uuid is no UUID")
	}
	if p.CreatedAt != "" {
		var err error
		if e.Time, err = time.Parse(time.RFC3339, p.CreatedAt); err == nil {
			_, err = e.Time.MarshalText() // not with the zone +24:06, which Parse takes
		}
		if err != nil {
			return e, event.Refuse(event.WhyMalformed, "created_at is no time with its zone, as 2026-11-22T07:01:02Z")
		}
	}
	if own, ok := p.ownMeta(); ok {
		own.Recipient, own.SubscriberUUID, own.CampaignUUID, own.Type, own.Time = e.Recipient, e.SubscriberUUID, e.CampaignUUID, e.Type, e.Time
		return own, completeEvent(&own)
	}
	if len(p.Meta) > 0 && string(p.Meta) != "null" {
		e.Diagnostic = string(p.meta())
		p.identify(&e)
	}
	e.ProviderID = p.identity(e)
	parsers.Tidy(&e)
	return e, nil
}

// meta takes the JSON out of the string in which older listmonks want it.
func (p *nativePost) meta() []byte {
	var inString string
	if json.Unmarshal(p.Meta, &inString) == nil {
		return []byte(inString)
	}
	var compact bytes.Buffer
	if json.Compact(&compact, p.Meta) != nil {
		return p.Meta
	}
	return compact.Bytes()
}

// identify fills in which message e is about, as far as meta says so.
func (p *nativePost) identify(e *event.Event) {
	var about struct {
		MessageID item.Loose `json:"message_id"`
		QueueID   item.Loose `json:"queue_id"`
		Host      item.Loose `json:"host"`
	}
	meta := p.meta()
	if item.Sound(meta) != nil || json.Unmarshal(meta, &about) != nil {
		return
	}
	e.MessageID, e.QueueID = listmonk.CleanMessageID(string(about.MessageID)), string(about.QueueID)
	if e.QueueID != "" {
		e.QueueIDIssuer = cmp.Or(string(about.Host), p.host)
	}
}

// ownMeta is what another bouncefeed's listmonk output says in meta.
func (p *nativePost) ownMeta() (event.Event, bool) {
	var e event.Event
	meta := p.meta()
	err := cmp.Or(item.Sound(meta), json.Unmarshal(meta, &e))
	return e, err == nil && event.IsID(e.ID)
}

func (p *nativePost) identity(e event.Event) string {
	when := p.CreatedAt
	if when == "" && e.CampaignUUID == "" {
		when = e.Time.UTC().Format(time.DateOnly)
	}
	h := sha256.New()
	for _, part := range []string{strings.ToLower(e.Recipient), e.SubscriberUUID, e.CampaignUUID, string(e.Type), p.Source, when, string(p.meta())} {
		fmt.Fprintf(h, "%d %s ", len(part), part)
	}
	return "native:" + hex.EncodeToString(h.Sum(nil)[:16])
}
