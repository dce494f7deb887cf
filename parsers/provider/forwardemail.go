package provider

import (
	"cmp"
	"encoding/json"

	"bouncefeed/internal/address"
	"bouncefeed/internal/event"
	"bouncefeed/parsers/item"
)

func init() {
	registerBodySigned("forwardemail", "X-Webhook-Signature", func(f *forwardEmail) item.Loose { return f.At }, (*forwardEmail).notices)
}

// forwardEmail is one request of Forward Email (https://forwardemail.net/en/faq#do-you-support-bounce-webhooks):
//
//	{"email_id":"66dc…","recipient":"jo@example.org","message":"user unknown","response":"550 5.1.1 user unknown","response_code":550,
//	 "truth_source":"example.org","headers":{"Message-ID":"<…@news.example.com>","X-Listmonk-Campaign":"…"},
//	 "bounce":{"action":"reject","message":"user unknown","category":"recipient","code":550,"status":"5.1.1"},"bounced_at":"2026-11-22T07:01:02Z"}
type forwardEmail struct {
	EmailID   string          `json:"email_id"`
	Recipient string          `json:"recipient"`
	Message   string          `json:"message"`
	Response  string          `json:"response"`
	Code      item.Loose      `json:"response_code"`
	Remote    item.Loose      `json:"truth_source"` // false if the receiving server is none that Forward Email trusts
	Headers   json.RawMessage `json:"headers"`
	Bounce    struct {
		Action   string     `json:"action"`
		Category string     `json:"category"`
		Message  string     `json:"message"`
		Code     item.Loose `json:"code"`
		Status   item.Loose `json:"status"`
	} `json:"bounce"`
	At item.Loose `json:"bounced_at"`
}

// What a category of its classification means.
var forwardEmailCategories = meanings{
	"recipient": {hint: event.UserUnknown},
	"capacity":  {hint: event.MailboxFull},
	"dns":       {hint: event.Network},
	"network":   {hint: event.Network},
	"tls":       {hint: event.TLS},
	"protocol":  {hint: event.Protocol},
	"block":     {hint: event.Blocklisted, soft: true},
	"blocklist": {hint: event.Blocklisted, soft: true},
	"blacklist": {hint: event.Blocklisted, soft: true},
	"spam":      {hint: event.Spam, soft: true},
	"virus":     {hint: event.Content, soft: true},
	"message":   {hint: event.Content, soft: true},
	"policy":    {hint: event.Policy, soft: true},
	"dmarc":     {hint: event.AuthFailed, soft: true},
	"envelope":  {hint: event.SenderRejected, soft: true},
}

func (f *forwardEmail) notices(emit func(notice) error) error {
	b := &f.Bounce
	n := notice{
		Event: event.Event{
			Recipient: f.Recipient, MessageID: f.EmailID, Code: cmp.Or(f.Code, b.Code).Reply(), Status: string(b.Status),
			Diagnostic: cmp.Or(f.Response, b.Message, f.Message),
		},
		meaning: forwardEmailCategories[b.Category],
		id:      f.EmailID + " " + f.Recipient, at: f.At, carried: []json.RawMessage{f.Headers},
	}
	if address.PlausibleDomain(string(f.Remote)) {
		n.RemoteMTA = string(f.Remote)
	}
	if b.Action == "defer" || b.Action == "slowdown" {
		n.kind = event.Delayed
	}
	return emit(n)
}
