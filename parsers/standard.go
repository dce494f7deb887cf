package parsers

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/parsers/item"
)

// standardConfig is the section of what another bouncefeed sends.
type standardConfig struct {
	Secret config.Secret `yaml:"secret"` // "whsec_" and the key in base64; two lines are two keys
}

func init() {
	RegisterMessage("standard", standardConfig{}, func(_ config.Env, _ config.Section, c *standardConfig) (Parser, error) {
		return &standard{standardSignature: standardSignature{c.Secret}}, nil
	})
}

// standard takes events in their public form, one or an array of them, from another bouncefeed's `webhook` output. They
// keep their id, so that a fleet of mail servers may feed one that alone knows the list manager, and the same bounce
// told by two of them, or twice, is still one.
type standard struct {
	item.JSON
	standardSignature
}

// Parse implements Parser.
func (*standard) Parse(rec event.Record, emit func(event.Event)) error {
	return item.Each(rec.Body, func(raw []byte) error {
		var e event.Event
		if err := item.Read(raw, &e); err != nil {
			return err
		}
		if err := keepOwn(&e); err != nil {
			return err
		}
		emit(e)
		return nil
	})
}

// keepOwn completes an event that another bouncefeed made, or refuses what is none.
func keepOwn(e *event.Event) error {
	e.SubscriberUUID, e.CampaignUUID = asUUID(e.SubscriberUUID), asUUID(e.CampaignUUID)
	switch {
	case !event.IsID(e.ID):
		return event.Refuse(WhyMalformed, "id is not of an event: 32 hexadecimal digits")
	case !e.Type.Reported():
		return event.Refuse(WhyMalformed, "type is none of hard, soft and complaint")
	case e.Time.IsZero():
		return event.Refuse(WhyMalformed, "an event without its time")
	case e.Recipient == "" && e.SubscriberUUID == "":
		return event.Refuse(WhyNobody, "an event that names nobody")
	}
	if _, fault, known := e.Reason.Outcome(); !known {
		e.Reason, e.Fault = "", event.FaultUnknown
	} else {
		e.Fault = fault
	}
	if e.Code < 200 || e.Code > 599 {
		e.Code = 0
	}
	e.ProviderID = "bouncefeed:" + e.ID
	// The name of the host whose queue id this is does not come along, and queue ids without it are not unique.
	e.Host = e.ID
	tidy(e)
	return nil
}

// standardSignature verifies Standard Webhooks (https://www.standardwebhooks.com), also under Svix's names:
//
//	webhook-id: 9f2c…
//	webhook-timestamp: 1795330862
//	webhook-signature: v1,K5oZ… v1,…     base64 of HMAC-SHA256 over "ID.TIMESTAMP.BODY", one for each key
type standardSignature struct{ secret config.Secret }

func (s standardSignature) Keyed() bool       { return s.secret.Set() }
func (s standardSignature) KeyNeeded() string { return "secret_file" }

// Verify implements Verifier.
func (s standardSignature) Verify(_ context.Context, rec event.Record) error {
	prefix := "Webhook-"
	if rec.Request.Field(prefix+"Signature") == "" {
		prefix = "Svix-"
	}
	id, timestamp := rec.Request.Field(prefix+"Id"), rec.Request.Field(prefix+"Timestamp")
	var macs [][]byte
	for _, signature := range strings.Fields(rec.Request.Field(prefix + "Signature")) {
		if mac, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(signature, "v1,")); err == nil {
			macs = append(macs, mac)
		}
	}
	if len(macs) == 0 || id == "" {
		return event.Refuse(WhyNoSignature, "no webhook-id and webhook-signature")
	}
	if err := signedBy(s.secret, standardKey, sha256.New, macs, []byte(id+"."+timestamp+"."), rec.Body); err != nil {
		return err
	}
	return freshAt(timestamp, rec)
}

func standardKey(line string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(line, "whsec_"))
	if err != nil || len(key) < 16 {
		return nil, errors.New(`secret: not "whsec_" and base64 of 24 bytes or more`)
	}
	return key, nil
}
