package provider

import (
	"cmp"
	"encoding/json"
	"strings"

	"bouncefeed/internal/event"
	"bouncefeed/parsers/item"
)

func init() { registerProvider("postmark", (*postmark).notices) }

// postmark is one request of Postmark (https://postmarkapp.com/developer/webhooks/bounce-webhook):
//
//	{"RecordType":"Bounce","ID":42,"Type":"HardBounce","TypeCode":1,"MessageID":"00000000-…","Metadata":{"campaign_uuid":"…"},
//	 "Description":"The server was unable to deliver your message (ex: unknown user, mailbox not found).",
//	 "Details":"smtp;550 5.1.1 <jo@example.org>: user unknown","Email":"jo@example.org","BouncedAt":"2026-11-22T07:01:02Z"}
type postmark struct {
	RecordType, Type, MessageID, From string
	ID                                item.Loose
	Email, Recipient                  string
	BouncedAt, DeliveredAt, ChangedAt item.Loose
	SuppressSending                   bool
	SuppressionReason                 string
	Details                           string
	Metadata                          json.RawMessage
}

// What a Type means: https://postmarkapp.com/developer/api/bounce-api#bounce-types.
var postmarkTypes = meanings{
	"hardbounce":              {hint: event.UserUnknown},
	"bademailaddress":         {hint: event.BadAddress},
	"softbounce":              {},
	"transient":               {hint: event.Network},
	"dnserror":                {hint: event.Network},
	"spamnotification":        {hint: event.Spam, soft: true},
	"blocked":                 {hint: event.Blocklisted, soft: true},
	"dmarcpolicy":             {hint: event.AuthFailed, soft: true},
	"virusnotification":       {hint: event.Content, soft: true},
	"spamcomplaint":           {kind: event.Complaint},
	"autoresponder":           {kind: event.Autoreply},
	"addresschange":           {kind: event.Autoreply},
	"challengeverification":   {kind: event.Challenge},
	"subscribe":               {kind: event.Ordinary},
	"unsubscribe":             {kind: event.Ordinary},
	"openrelaytest":           {kind: event.Ordinary},
	"manuallydeactivated":     {kind: event.Ordinary},
	"unconfirmed":             {kind: event.Ordinary},
	"smtpapierror":            {kind: event.Ordinary}, // unless it is about an inactive recipient
	"inbounderror":            {kind: event.Ordinary},
	"templaterenderingfailed": {kind: event.Ordinary},
}

// What a SuppressionReason means; a ManualSuppression is an unsubscription, or the admin's.
var postmarkSuppressions = meanings{
	"HardBounce":    {hint: event.UserUnknown},
	"SpamComplaint": {kind: event.Complaint},
}

// postmarkDetails are what Postmark itself says of a message that it did not take.
var postmarkDetails = sayings{
	{"inactive", suppressed}, // "You tried to send to recipient(s) that have been marked as inactive."
	{"suppress", suppressed},
}

func (p *postmark) notices(emit func(notice) error) error {
	n := notice{
		Event: event.Event{
			Recipient: cmp.Or(p.Email, p.Recipient), Sender: p.From, MessageID: p.MessageID,
			Diagnostic: p.Details, // Description explains the Type in general: "mailbox full, account disabled, …"
		},
		id: string(p.ID), at: cmp.Or(p.BouncedAt, p.DeliveredAt, p.ChangedAt), carried: []json.RawMessage{p.Metadata},
	}
	switch p.RecordType {
	case "Bounce":
		n.meaning = postmarkTypes[strings.ToLower(p.Type)]
		if said, own := postmarkDetails.find(p.Details); own && n.kind == event.Ordinary {
			n.meaning = said
		}
	case "SpamComplaint":
		n.kind = event.Complaint
	case "SubscriptionChange": // tells again what a Bounce or SpamComplaint told, or tells it alone if only this hook is on
		var known bool
		n.meaning, known = postmarkSuppressions[p.SuppressionReason]
		if !known || !p.SuppressSending || p.MessageID == "" { // of which message, tells a repeat from another
			return nil
		}
	case "Delivery":
		n.kind = event.Delivered
	default: // Open, Click
		return nil
	}
	return emit(n)
}
