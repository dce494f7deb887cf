package provider

import (
	"encoding/json"

	"bouncefeed/internal/event"
	"bouncefeed/parsers/item"
)

func init() {
	registerBodySigned("mailersend", "Signature", func(m *mailerSend) item.Loose { return m.At }, (*mailerSend).notices)
}

// mailerSend is one request of MailerSend (https://developers.mailersend.com/api/v1/webhooks.html):
//
//	{"type":"activity.hard_bounced","created_at":"2026-11-22T07:01:02.298647Z","data":{"object":"activity","id":"62f114f8165fe0d8db0288e3",
//	 "email":{"from":"news@example.com","message":{"id":"62fb66bef54a112e920b5493"},"recipient":{"email":"jo@example.org"},
//	 "headers":[{"name":"X-Listmonk-Campaign","value":"…"}]},"morph":{"object":"recipient_bounce","reason":"550 5.1.1 user unknown"}}}
type mailerSend struct {
	Type string     `json:"type"`
	At   item.Loose `json:"created_at"`
	Data struct {
		ID    string `json:"id"`
		Email struct {
			From    string          `json:"from"`
			Headers json.RawMessage `json:"headers"`
			Message struct {
				ID string `json:"id"`
			} `json:"message"`
			Recipient struct {
				Email string `json:"email"`
			} `json:"recipient"`
		} `json:"email"`
		Morph json.RawMessage `json:"morph"` // an object, null or an empty array
	} `json:"data"`
}

var mailerSendTypes = meanings{
	"activity.hard_bounced":   {hint: event.UserUnknown},
	"activity.soft_bounced":   {},
	"activity.spam_complaint": {kind: event.Complaint},
	"activity.deferred":       {kind: event.Delayed},
	"activity.delivered":      {kind: event.Delivered},
}

func (m *mailerSend) notices(emit func(notice) error) error {
	meant, known := mailerSendTypes[m.Type]
	if !known {
		return nil
	}
	d := &m.Data
	return emit(notice{
		Event: event.Event{
			Recipient: d.Email.Recipient.Email, Sender: d.Email.From, MessageID: d.Email.Message.ID,
			Diagnostic: readCarried([]json.RawMessage{d.Morph}).get("reason"),
		},
		meaning: meant, id: d.ID, at: m.At, carried: []json.RawMessage{d.Email.Headers},
	})
}
