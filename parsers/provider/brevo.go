package provider

import (
	"cmp"
	"encoding/json"

	"bouncefeed/internal/event"
	"bouncefeed/parsers/item"
)

func init() { registerProvider("brevo", (*brevo).notices) }

// brevo is one event of Brevo, alone or in a batch (https://developers.brevo.com/docs/transactional-webhooks):
//
//	{"event":"hard_bounce","email":"jo@example.org","ts_event":1795330862,"message-id":"<2026…@news.example.com>",
//	 "reason":"550 5.1.1 user unknown","X-Mailin-custom":"X-Listmonk-Campaign:…|X-Listmonk-Subscriber:…","tags":["news"]}
type brevo struct {
	Event     string          `json:"event"`
	Email     string          `json:"email"`
	Sender    string          `json:"sender_email"`
	Reason    string          `json:"reason"`
	At        item.Loose      `json:"ts_event"`
	Sent      item.Loose      `json:"ts"`
	MessageID string          `json:"message-id"`
	Custom    json.RawMessage `json:"X-Mailin-custom"`
}

// "blocked" is an address on Brevo's own list of bounces, complaints and unsubscriptions, or a whole domain.
var brevoEvents = meanings{
	"hard_bounce":   {hint: event.UserUnknown},
	"soft_bounce":   {},
	"error":         {},
	"invalid_email": {hint: event.BadAddress},
	"invalid":       {hint: event.BadAddress},
	"blocked":       {hint: event.RecipientFiltered, soft: true},
	"spam":          {kind: event.Complaint},
	"complaint":     {kind: event.Complaint},
	"deferred":      {kind: event.Delayed},
	"delivered":     {kind: event.Delivered},
}

func (b *brevo) notices(emit func(notice) error) error {
	m, known := brevoEvents[b.Event]
	if !known { // request, opened, click, unsubscribed
		return nil
	}
	n := notice{
		Event:   event.Event{Recipient: b.Email, Sender: b.Sender, MessageID: b.MessageID, Diagnostic: b.Reason},
		meaning: m, at: cmp.Or(b.At, b.Sent), carried: []json.RawMessage{b.Custom},
	}
	if b.Event == "blocked" { // Brevo's own words, "due to blacklist user", and no server's
		n.Diagnostic = ""
	}
	return emit(n)
}
