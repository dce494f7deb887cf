package provider

import (
	"context"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/listmonk"
	"bouncefeed/internal/stdwebhook"
	"bouncefeed/parsers"
	"bouncefeed/parsers/item"
)

// standardConfig is the section of what another bouncefeed sends.
type standardConfig struct {
	Secret config.Secret `yaml:"secret"` // "whsec_" and the key in base64; two lines are two keys
}

func init() {
	parsers.RegisterMessage("standard", standardConfig{}, func(_ config.Env, _ config.Section, c *standardConfig) (parsers.Parser, error) {
		return &standard{standardSignature: standardSignature{sharedSecret{c.Secret}}}, nil
	})
}

// standard takes events in their public form, one or an array of them, from another bouncefeed's `webhook` output. They
// keep their id, so that a fleet of mail servers may feed one that alone knows the list manager, and the same bounce
// told by two of them, or twice, is still one.
type standard struct {
	item.JSON
	standardSignature
}

// Parse implements parsers.Parser.
func (*standard) Parse(rec event.Record, emit func(event.Event)) error {
	return item.Each(rec.Body, func(raw []byte) error {
		var e event.Event
		if err := item.Read(raw, &e); err != nil {
			return err
		}
		if err := completeEvent(&e); err != nil {
			return err
		}
		emit(e)
		return nil
	})
}

// completeEvent completes an event that another bouncefeed made, or refuses what is none.
func completeEvent(e *event.Event) error {
	e.SubscriberUUID, e.CampaignUUID = listmonk.UUID(e.SubscriberUUID), listmonk.UUID(e.CampaignUUID)
	switch {
	case !event.IsID(e.ID):
		return event.Refuse(event.WhyMalformed, "id is not of an event: 32 hexadecimal digits")
	case !e.Type.Reported():
		return event.Refuse(event.WhyMalformed, "type is none of hard, soft and complaint")
	case e.Time.IsZero():
		return event.Refuse(event.WhyMalformed, "an event without its time")
	case e.Recipient == "" && e.SubscriberUUID == "":
		return event.Refuse(parsers.WhyNobody, "an event that names nobody")
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
	// Whose queue id this is does not come along: nobody else's may pass for it.
	e.QueueIDIssuer = e.ID
	parsers.Tidy(e)
	return nil
}

// standardSignature verifies Standard Webhooks, also under Svix's names.
type standardSignature struct{ sharedSecret }

// Verify implements parsers.Verifier.
func (s standardSignature) Verify(_ context.Context, rec event.Record) error {
	prefix := "Webhook-"
	if rec.Request.Field(prefix+"Signature") == "" {
		prefix = "Svix-"
	}
	id, timestamp := rec.Request.Field(prefix+"Id"), rec.Request.Field(prefix+"Timestamp")
	macs := stdwebhook.MACs(rec.Request.Field(prefix + "Signature"))
	if len(macs) == 0 || id == "" {
		return event.Refuse(parsers.WhyNoSignature, "no webhook-id and webhook-signature")
	}
	err := signedBy(s.secret, macs, func(line string) ([]byte, error) {
		key, err := stdwebhook.Key(line)
		return stdwebhook.MAC(key, id, timestamp, rec.Body), err
	})
	if err != nil {
		return err
	}
	return freshAt(timestamp, rec)
}
