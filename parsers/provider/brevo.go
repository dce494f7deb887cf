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
	"error":         nothing, // of Brevo's or our account's; a server's reply may be in it
	"invalid_email": {hint: event.BadAddress, own: true},
	"invalid":       {hint: event.BadAddress, own: true},
	"blocked":       suppressed,
	"spam":          {kind: event.Complaint},
	"complaint":     {kind: event.Complaint},
	"deferred":      {kind: event.Delayed},
	"delivered":     {kind: event.Delivered},
}

// brevoReasons are what Brevo itself says where no server replied.
var brevoReasons = sayings{
	{"mx of domain", noMX}, // "undefined Unable to find MX of domain example.invalid"
	{"no mx", noMX},
	{"mx record", noMX},
	{"blacklist", suppressed}, // "blocked : due to blacklist user"
	{"unsubscribed", suppressed},
	{"your account", nothing},
	{"sending limit", nothing},
	{"credit", nothing},
}

// noMX: that a provider's resolver found none may pass.
var noMX = meaning{hint: event.DomainUnknown, soft: true, own: true}

func (b *brevo) notices(emit func(notice) error) error {
	m, known := brevoEvents[b.Event]
	if !known { // request, opened, click, unsubscribed
		return nil
	}
	n := notice{
		Event:   event.Event{Recipient: b.Email, Sender: b.Sender, MessageID: b.MessageID, Diagnostic: b.Reason},
		meaning: m, at: cmp.Or(b.At, b.Sent), carried: []json.RawMessage{b.Custom},
	}
	said, own := brevoReasons.find(b.Reason)
	switch reply := holdsReply(b.Reason); {
	case m.own:
	case own && !reply:
		n.meaning = said
	case b.Event == "error" && reply:
		n.meaning = meaning{}
	}
	return emit(n)
}
