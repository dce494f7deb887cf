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
//	 "bounce":{"type":"Permanent","subType":"General","message":"The recipient's email provider sent a hard bounce message …",
//	 "diagnosticCode":["smtp; 550 5.1.1 user unknown"]}}}
//
// diagnosticCode is the receiving server's reply; message is Resend's advice, which speaks of reputation and suppression lists.
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
			Type       string          `json:"type"`
			SubType    string          `json:"subType"`
			Message    string          `json:"message"`
			Diagnostic json.RawMessage `json:"diagnosticCode"` // a list; in time a string, perhaps
		} `json:"bounce"`
		Failed struct {
			Reason string `json:"reason"`
		} `json:"failed"`
		Suppressed struct {
			Message string `json:"message"`
		} `json:"suppressed"`
	} `json:"data"`
}

func (r *resend) notices(emit func(notice) error) error {
	d := &r.Data
	n := notice{
		Event: event.Event{Sender: d.From, MessageID: cmp.Or(d.MessageID, d.EmailID)},
		at:    r.At, carried: []json.RawMessage{d.Headers, d.Tags},
	}
	switch r.Type {
	case "email.bounced":
		n.meaning = sesBounce(d.Bounce.Type, d.Bounce.SubType) // Resend sends by SES
		n.Diagnostic, n.OwnWords = sesReply(cmp.Or(firstText(d.Bounce.Diagnostic), d.Bounce.Message))
	case "email.failed": // our account's quota, domain or key; the address may be anything
		n.meaning, n.Diagnostic = nothing, d.Failed.Reason
	case "email.suppressed":
		n.meaning, n.Diagnostic = suppressed, d.Suppressed.Message
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

// firstText is the string in raw, or the first of its list.
func firstText(raw json.RawMessage) string {
	var list []string
	if json.Unmarshal(raw, &list) == nil && len(list) > 0 {
		return list[0]
	}
	var one string
	_ = json.Unmarshal(raw, &one) // neither: there is none
	return one
}
