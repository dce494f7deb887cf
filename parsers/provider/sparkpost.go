package provider

import (
	"cmp"
	"encoding/json"

	"bouncefeed/internal/event"
	"bouncefeed/parsers/item"
)

func init() { registerProvider("sparkpost", (*sparkPost).notices) }

// sparkPost is one event of SparkPost's batch (https://developers.sparkpost.com/api/webhooks/):
//
//	{"msys":{"message_event":{"type":"bounce","bounce_class":"10","error_code":"550","raw_reason":"550 5.1.1 user unknown",
//	 "rcpt_to":"jo@example.org","event_id":"92356927693813856","message_id":"000443ee14578172be22","msg_from":"b@news.example.com",
//	 "timestamp":"1795330862","rcpt_meta":{"X-Listmonk-Campaign":"…"}}}}
//
// out_of_band is a bounce that came later, by mail.
type sparkPost struct {
	Msys struct {
		Event struct {
			Type      string          `json:"type"`
			Class     item.Loose      `json:"bounce_class"`
			Code      item.Loose      `json:"error_code"`
			RawReason string          `json:"raw_reason"`
			Reason    string          `json:"reason"`
			Recipient string          `json:"rcpt_to"`
			Sender    string          `json:"msg_from"`
			From      string          `json:"friendly_from"`
			EventID   item.Loose      `json:"event_id"`
			MessageID item.Loose      `json:"message_id"`
			At        item.Loose      `json:"timestamp"`
			Meta      json.RawMessage `json:"rcpt_meta"`
		} `json:"message_event"`
	} `json:"msys"`
}

// What a bounce_class means: https://support.sparkpost.com/docs/deliverability/bounce-classification-codes.
var sparkPostClasses = meanings{
	"10":  {hint: event.UserUnknown},
	"21":  {hint: event.Network},
	"22":  {hint: event.MailboxFull},
	"23":  {hint: event.MessageTooBig},
	"24":  {hint: event.Expired},
	"25":  suppressed, // "admin failure"
	"26":  suppressed,
	"30":  {hint: event.UserUnknown},
	"50":  {hint: event.Blocklisted, soft: true},
	"51":  {hint: event.Spam, soft: true},
	"52":  {hint: event.Spam, soft: true},
	"53":  {hint: event.Content, soft: true},
	"54":  {hint: event.RelayDenied},
	"60":  {kind: event.Autoreply},
	"70":  {soft: true},
	"80":  {kind: event.Ordinary},
	"90":  {kind: event.Ordinary},
	"100": {kind: event.Challenge},
}

func (s *sparkPost) notices(emit func(notice) error) error {
	v := &s.Msys.Event
	n := notice{
		Event: event.Event{
			Recipient: v.Recipient, Sender: cmp.Or(v.Sender, v.From), MessageID: string(v.MessageID),
			Code: v.Code.Reply(), Diagnostic: cmp.Or(v.RawReason, v.Reason),
		},
		id: string(v.EventID), at: v.At, carried: []json.RawMessage{v.Meta},
	}
	switch v.Type {
	case "bounce", "out_of_band":
		n.meaning = sparkPostClasses[string(v.Class)]
	case "policy_rejection": // SparkPost itself refused it, in words and with a code of its own
		if n.meaning, n.OwnWords = sparkPostClasses[string(v.Class)], true; n.meaning == (meaning{}) {
			n.meaning = meaning{hint: event.Policy, soft: true}
		}
	case "spam_complaint":
		n.kind = event.Complaint
	case "delay":
		n.kind = event.Delayed
	case "delivery":
		n.kind = event.Delivered
	default: // injection; the events of other kinds than message_event
		return nil
	}
	return emit(n)
}
