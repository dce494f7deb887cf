package provider

import (
	"cmp"
	"encoding/json"
	"strings"

	"bouncefeed/internal/event"
	"bouncefeed/parsers/item"
)

func init() { registerProvider("mailjet", (*mailjet).notices) }

// mailjet is one event of Mailjet, alone or grouped (https://dev.mailjet.com/email/guides/webhooks/):
//
//	{"event":"bounce","time":1795330862,"MessageID":19421777835146490,"email":"jo@example.org","CustomID":"","Payload":"{\"X-Listmonk-Campaign\":\"…\"}",
//	 "blocked":false,"hard_bounce":true,"error_related_to":"recipient","error":"user unknown","comment":"550 5.1.1 user unknown"}
type mailjet struct {
	Event     string          `json:"event"`
	Email     string          `json:"email"`
	At        item.Loose      `json:"time"`
	MessageID item.Loose      `json:"MessageID"`
	CustomID  json.RawMessage `json:"CustomID"`
	Payload   json.RawMessage `json:"Payload"`
	Hard      item.Loose      `json:"hard_bounce"`
	About     string          `json:"error_related_to"`
	Error     string          `json:"error"`
	Comment   string          `json:"comment"`
}

// What an error means: https://dev.mailjet.com/email/guides/webhooks/#possible-values-for-errors.
var mailjetErrors = meanings{
	"user unknown":               {hint: event.UserUnknown},
	"mailbox inactive":           {hint: event.MailboxDisabled},
	"quota exceeded":             {hint: event.MailboxFull},
	"invalid domain":             {hint: event.DomainUnknown},
	"no mail host":               {hint: event.DomainUnknown},
	"relay/access denied":        {hint: event.RelayDenied},
	"greylisted":                 {kind: event.Delayed}, // "delivery will be re-attempted"
	"typofix":                    {hint: event.BadAddress, soft: true},
	"blacklisted":                suppressed, // on the account's exclusion list
	"spam reporter":              suppressed,
	"preblocked":                 suppressed,
	"duplicate in campaign":      nothing,
	"sender blocked":             {hint: event.Blocklisted, soft: true},
	"content blocked":            {hint: event.Content, soft: true},
	"policy issue":               {hint: event.Policy, soft: true},
	"system issue":               {hint: event.RemoteSystem},
	"protocol issue":             {hint: event.Protocol},
	"connection issue":           {hint: event.Network},
	"bad or empty template":      nothing,
	"error in template language": nothing,
}

func (m *mailjet) notices(emit func(notice) error) error {
	n := notice{
		Event: event.Event{Recipient: m.Email, MessageID: string(m.MessageID), Diagnostic: m.Comment},
		at:    m.At, carried: []json.RawMessage{m.Payload, m.CustomID},
	}
	switch m.Event {
	case "bounce", "blocked":
		known := false
		if n.meaning, known = mailjetErrors[strings.ToLower(m.Error)]; !known {
			n.Diagnostic, n.OwnWords = cmp.Or(m.Comment, m.Error), m.Comment == ""
			if m.Hard == "true" {
				n.hint = event.UserUnknown
			}
		}
		// Mailjet's own list of addresses that bounced often is "blocked", too, and says "hard_bounce" beside it.
		n.soft = n.soft || m.Event == "blocked" || m.About == "spam"
	case "spam":
		n.kind = event.Complaint
	case "sent":
		n.kind = event.Delivered
	default: // open, click, unsub
		return nil
	}
	return emit(n)
}
