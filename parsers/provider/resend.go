package provider

import (
	"cmp"
	"encoding/json"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/parsers"
	"bouncefeed/parsers/item"
)

func init() {
	registerSigned("resend", func(s config.Secret) parsers.Verifier { return standardSignature{sharedSecret{s}} }, (*resend).notices)
}

// resend is one request of Resend, signed as Standard Webhooks under Svix's names (https://resend.com/docs/webhooks/emails/bounced):
//
//	{"type":"email.bounced","created_at":"2026-11-22T07:01:02.126Z","data":{"email_id":"56761188-…","from":"News <news@example.com>",
//	 "to":["jo@example.org"],"headers":[{"name":"X-Listmonk-Campaign","value":"…"}],
//	 "bounce":{"type":"Permanent","subType":"General","message":"550 5.1.1 user unknown"}}}
type resend struct {
	Type string     `json:"type"`
	At   item.Loose `json:"created_at"`
	Data struct {
		EmailID   string          `json:"email_id"`
		MessageID string          `json:"message_id"`
		From      string          `json:"from"`
		To        []string        `json:"to"`
		Headers   json.RawMessage `json:"headers"`
		Tags      json.RawMessage `json:"tags"`
		Bounce    struct {
			Type    string `json:"type"`
			SubType string `json:"subType"`
			Message string `json:"message"`
		} `json:"bounce"`
		Failed struct {
			Reason string `json:"reason"`
		} `json:"failed"`
	} `json:"data"`
}

func (r *resend) notices(emit func(notice) error) error {
	d := &r.Data
	n := notice{
		Event: event.Event{Sender: d.From, MessageID: cmp.Or(d.MessageID, d.EmailID), Diagnostic: cmp.Or(d.Bounce.Message, d.Failed.Reason)},
		at:    r.At, carried: []json.RawMessage{d.Headers, d.Tags},
	}
	switch r.Type {
	case "email.bounced":
		n.meaning = sesBounce(d.Bounce.Type, d.Bounce.SubType) // Resend sends by SES
	case "email.failed":
	case "email.suppressed":
		n.meaning = meaning{hint: event.RecipientFiltered, soft: true}
	case "email.complained":
		n.kind = event.Complaint
	case "email.delivery_delayed":
		n.kind = event.Delayed
	case "email.delivered":
		n.kind = event.Delivered
	default:
		return nil
	}
	if len(d.To) > 1 && (n.kind == "" || n.kind == event.Complaint) {
		return event.Refuse(event.WhyTwoReadings, "%d recipients, and which of them is meant is not said", len(d.To))
	}
	for _, n.Recipient = range d.To {
		n.id = cmp.Or(d.EmailID, d.MessageID) + " " + n.Recipient
		if err := emit(n); err != nil {
			return err
		}
	}
	return nil
}
