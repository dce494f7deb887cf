package provider

import (
	"cmp"
	"context"
	"encoding/json"
	"strings"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/parsers"
	"bouncefeed/parsers/item"
)

func init() {
	parsers.RegisterMessage("azure", struct{}{}, func(config.Env, config.Section, *struct{}) (parsers.Parser, error) {
		return &azure{provider[azureItem]{kind: "azure", read: (*azureItem).notices}}, nil
	})
}

// azure reads the events of Azure Communication Services in the Event Grid schema
// (https://learn.microsoft.com/azure/event-grid/communication-services-email-events):
//
//	[{"id":"00000000-…","eventType":"Microsoft.Communication.EmailDeliveryReportReceived","eventTime":"2026-11-22T07:01:03Z",
//	 "data":{"sender":"news@example.com","recipient":"jo@example.org","messageId":"950850f5-…","internetMessageId":"<…@news.example.com>",
//	 "status":"Bounced","deliveryStatusDetails":{"statusMessage":"550 5.1.10 RESOLVER.ADR.RecipientNotFound","recipientMailServerHostName":"mx.example.org"},
//	 "deliveryAttemptTimeStamp":"2026-11-22T07:01:02.2855749+00:00"}}]
//
// Nothing is signed: the route asks for a secret in the query or in a header of the subscription's delivery properties.
// Before it sends any event, Event Grid wants back a code that it posts.
type azure struct{ provider[azureItem] }

type azureItem struct {
	ID        string `json:"id"`
	Type      string `json:"eventType"`
	CloudType string `json:"type"` // in the CloudEvents schema
	Data      struct {
		Code        string     `json:"validationCode"`
		Sender      string     `json:"sender"`
		Recipient   string     `json:"recipient"`
		MessageID   string     `json:"messageId"`
		InternetID  string     `json:"internetMessageId"`
		Status      string     `json:"status"`
		AttemptedAt item.Loose `json:"deliveryAttemptTimeStamp"`
		Details     struct {
			Message string `json:"statusMessage"`
			Host    string `json:"recipientMailServerHostName"`
		} `json:"deliveryStatusDetails"`
	} `json:"data"`
}

// An address is suppressed if it bounced before or the sender wants so.
var azureStatuses = meanings{
	"bounced":      {hint: event.UserUnknown},
	"failed":       {},
	"suppressed":   suppressed,
	"filteredspam": {hint: event.Spam, soft: true, own: true},
	"quarantined":  {hint: event.Spam, soft: true, own: true},
	"delivered":    {kind: event.Delivered},
	"expanded":     {kind: event.Delivered},
}

// azureFailures are what Azure says of our resource, not of the recipient.
var azureFailures = sayings{{"quota", nothing}, {"resource", nothing}, {"subscription", nothing}}

func (a *azureItem) notices(emit func(notice) error) error {
	if cmp.Or(a.Type, a.CloudType) != "Microsoft.Communication.EmailDeliveryReportReceived" {
		return nil
	}
	d := &a.Data
	m := azureStatuses[strings.ToLower(d.Status)]
	if said, own := azureFailures.find(d.Details.Message); own && m == (meaning{}) && !holdsReply(d.Details.Message) {
		m = said
	}
	return emit(notice{
		Event: event.Event{
			Recipient: d.Recipient, Sender: d.Sender, MessageID: cmp.Or(d.InternetID, d.MessageID),
			RemoteMTA: d.Details.Host, Diagnostic: d.Details.Message,
		},
		meaning: m, id: a.ID, at: d.AttemptedAt,
	})
}

// Parse implements parsers.Parser.
func (a *azure) Parse(rec event.Record, emit func(event.Event)) error {
	if !isValidation(rec) {
		return a.provider.Parse(rec, emit)
	}
	_, err := validationCode(rec.Body)
	return err
}

// Handshake implements parsers.Handshaker. What holds no code is Parse's to refuse.
func (a *azure) Handshake(_ context.Context, rec event.Record) (answer string, err error) {
	if !isValidation(rec) {
		return "", nil
	}
	code, _ := validationCode(rec.Body)
	if code == "" {
		return "", nil
	}
	text, err := json.Marshal(map[string]string{"validationResponse": code})
	return string(text), err
}

func isValidation(rec event.Record) bool {
	return rec.Request.Field("Aeg-Event-Type") == "SubscriptionValidation"
}

// validationCode is what Event Grid wants back.
func validationCode(body []byte) (code string, err error) {
	err = item.Each(body, func(raw []byte) error {
		var asked azureItem
		if err := item.Read(raw, &asked); err != nil {
			return err
		}
		if asked.Data.Code == "" {
			return event.Refuse(event.WhyMalformed, "no validation code")
		}
		code = asked.Data.Code
		return nil
	})
	return code, err
}
