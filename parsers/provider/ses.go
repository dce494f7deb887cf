package provider

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"bouncefeed/internal/address"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/smtp"
	"bouncefeed/parsers"
	"bouncefeed/parsers/item"
)

type sesConfig struct {
	// Topics are the ARNs of the SNS topics that may post here; their subscriptions are confirmed by themselves. Without
	// them anybody with an AWS account could sign a bounce.
	Topics []string `yaml:"topics"`
}

func init() { parsers.RegisterMessage("ses", sesConfig{}, buildSES) }

// ses reads Amazon SES's notifications and events, which Amazon SNS brings: a JSON envelope, signed, whose Message is
// JSON again, in a string.
// https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html and event-publishing-retrieving-sns-contents.html
type ses struct {
	topics map[string]bool
	sns    *snsVerifier
}

func buildSES(_ config.Env, section config.Section, c *sesConfig) (parsers.Parser, error) {
	s := &ses{topics: map[string]bool{}, sns: newSNSVerifier()}
	var errs []error
	for i, arn := range c.Topics {
		if _, ok := snsHost(arn); !ok {
			errs = append(errs, section.Errorf(fmt.Sprintf("topics[%d]", i), "%q is no topic: arn:aws:sns:REGION:ACCOUNT:NAME", arn))
		}
		s.topics[arn] = true
	}
	return s, config.Join("", errs...)
}

// ContentTypes implements parsers.Web: SNS says text/plain of its JSON.
func (*ses) ContentTypes() []string { return []string{"text/plain", "application/json"} }

// Keyed implements parsers.Verifier.
func (s *ses) Keyed() bool       { return len(s.topics) > 0 }
func (s *ses) KeyNeeded() string { return "topics" }

// Verify implements parsers.Verifier.
func (s *ses) Verify(ctx context.Context, rec event.Record) error {
	m, err := readSNS(rec.Body)
	if err != nil {
		return err
	}
	if !s.topics[m.TopicArn] {
		return event.Refuse(parsers.WhyWrongAccount, "an SNS topic that is not among the configured ones")
	}
	if err := s.sns.verify(ctx, m); err != nil {
		return err
	}
	return m.fresh(rec)
}

// Handshake implements parsers.Handshaker: it confirms the subscription of a topic, which Verify has found to be configured.
func (s *ses) Handshake(ctx context.Context, rec event.Record) (answer string, err error) {
	m, err := readSNS(rec.Body)
	if err != nil || m.Type != snsSubscription {
		return "", err
	}
	return "", s.sns.confirm(ctx, m)
}

// Parse implements parsers.Parser.
func (s *ses) Parse(rec event.Record, emit func(event.Event)) error {
	m, err := readSNS(rec.Body)
	if err != nil {
		return err
	}
	message := strings.TrimSpace(m.Message)
	if m.Type != snsNotification || !strings.HasPrefix(message, "{") { // the latter: SES tells once that it found the topic
		return nil
	}
	return Notification(event.Record{Time: rec.Time, Body: []byte(message)}, emit)
}

var sesNotification = provider[sesItem]{kind: "ses", read: (*sesItem).notices}

// Notification reads what SES tells, without SNS's envelope: {"notificationType":"Bounce","mail":{…},"bounce":{…}}. It is a
// parser's Parse. Nobody vouches for what stands there: SNS's signature is on the envelope.
func Notification(rec event.Record, emit func(event.Event)) error {
	return sesNotification.Parse(rec, emit)
}

type sesItem struct {
	NotificationType string `json:"notificationType"` // of an identity's notifications
	EventType        string `json:"eventType"`        // of a configuration set's events
	Mail             struct {
		MessageID     string                     `json:"messageId"` // SES's own
		Source        string                     `json:"source"`
		Destination   []string                   `json:"destination"`
		Headers       json.RawMessage            `json:"headers"`
		CommonHeaders struct{ MessageID string } `json:"commonHeaders"`
		Tags          json.RawMessage            `json:"tags"`
	} `json:"mail"`
	Bounce struct {
		Type       string         `json:"bounceType"`
		SubType    string         `json:"bounceSubType"`
		Recipients []sesRecipient `json:"bouncedRecipients"`
		At         string         `json:"timestamp"`
		ID         string         `json:"feedbackId"`
		RemoteMTA  string         `json:"remoteMtaIp"`
	} `json:"bounce"`
	Complaint struct {
		Recipients []sesRecipient `json:"complainedRecipients"`
		Type       string         `json:"complaintFeedbackType"`
		SubType    string         `json:"complaintSubType"`
		At         string         `json:"timestamp"`
		ID         string         `json:"feedbackId"`
	} `json:"complaint"`
	Delivery struct {
		Recipients []string `json:"recipients"`
		At         string   `json:"timestamp"`
	} `json:"delivery"`
	DeliveryDelay struct {
		Recipients []sesRecipient `json:"delayedRecipients"`
		At         string         `json:"timestamp"`
	} `json:"deliveryDelay"`
}

type sesRecipient struct {
	Address    string `json:"emailAddress"`
	Action     string `json:"action"`
	Status     string `json:"status"`
	Diagnostic string `json:"diagnosticCode"`
}

func (s *sesItem) notices(emit func(notice) error) error {
	switch cmp.Or(s.EventType, s.NotificationType) {
	case "Bounce":
		return s.eachRecipient(s.Bounce.Recipients, s.Bounce.At, s.Bounce.ID, sesBounce(s.Bounce.Type, s.Bounce.SubType), emit)
	case "Complaint":
		what := meaning{kind: event.Complaint}
		switch {
		case s.Complaint.SubType == "OnAccountSuppressionList": // of an earlier message: this one was not sent
			what = suppressed
		case s.Complaint.Type == "not-spam":
			what.kind = event.NotSpamReport
		}
		return s.eachRecipient(s.Complaint.Recipients, s.Complaint.At, s.Complaint.ID, what, emit)
	case "DeliveryDelay":
		return s.eachRecipient(s.DeliveryDelay.Recipients, s.DeliveryDelay.At, "", meaning{kind: event.Delayed}, emit)
	case "Delivery":
		var recipients []sesRecipient
		for _, address := range s.Delivery.Recipients {
			recipients = append(recipients, sesRecipient{Address: address})
		}
		return s.eachRecipient(recipients, s.Delivery.At, "", meaning{kind: event.Delivered}, emit)
	}
	return nil
}

// eachRecipient makes a notice for every recipient. One that is not to be believed does not take the others with it.
func (s *sesItem) eachRecipient(recipients []sesRecipient, at, id string, what meaning, emit func(notice) error) error {
	var refused error
	if len(recipients) == 0 {
		return event.Refuse(parsers.WhyNobody, "names no recipient")
	}
	for i := range recipients {
		if err := emit(s.notice(&recipients[i], at, id, what)); err != nil && refused == nil {
			refused = err
		}
	}
	return refused
}

func (s *sesItem) notice(r *sesRecipient, at, id string, what meaning) notice {
	n := notice{meaning: what, at: item.Loose(at), carried: []json.RawMessage{s.Mail.Headers, s.Mail.Tags}}
	n.Recipient, n.Status = r.Address, r.Status
	n.Diagnostic, n.OwnWords = sesReply(r.Diagnostic)
	if n.OwnWords && n.kind == "" && strings.HasPrefix(strings.ToLower(n.Diagnostic), "amazon ses ") { // it did not try
		n.meaning = suppressed
	}
	n.Sender, n.RemoteMTA = s.Mail.Source, s.Bounce.RemoteMTA
	n.MessageID = cmp.Or(s.Mail.CommonHeaders.MessageID, s.Mail.MessageID)
	if len(s.Mail.Destination) > 1 { // whose UUID the header tells is not known
		n.carried = nil
	}
	if strings.EqualFold(r.Action, "delayed") {
		n.kind = event.Delayed
	}
	if id != "" { // one id for all recipients
		n.id = id + ":" + address.Key(address.Of(r.Address))
	}
	n.QueueID, n.QueueIDIssuer = s.Mail.MessageID, "amazonses"
	return n
}

// sesReply takes "smtp; " (RFC 3464 §2.3.6) off a diagnosticCode and says whether what is left is SES's own words, no server's:
//
//	smtp; 550 5.1.1 user unknown
//	Amazon SES did not send the message to this address because it is on the suppression list for your account.
func sesReply(diagnostic string) (words string, own bool) {
	words = strings.TrimSpace(diagnostic)
	typ, text, typed := strings.Cut(words, ";")
	if typed = typed && strings.EqualFold(strings.TrimSpace(typ), "smtp"); typed {
		words = strings.TrimSpace(text)
	}
	if strings.Contains(strings.ToLower(words), "amazon ses ") {
		return words, true
	}
	return words, words != "" && !typed && smtp.Code(words) == 0
}

// sesBounce is what a bounceType and bounceSubType suggest.
// https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html#bounce-types
func sesBounce(typ, subType string) meaning {
	switch typ + "/" + subType {
	case "Permanent/General", "Permanent/NoEmail":
		return meaning{hint: event.UserUnknown}
	case "Permanent/Suppressed", "Permanent/OnAccountSuppressionList", "Permanent/UnsubscribedRecipient":
		return suppressed
	case "Transient/MailboxFull":
		return meaning{hint: event.MailboxFull}
	case "Transient/MessageTooLarge":
		return meaning{hint: event.MessageTooBig}
	case "Transient/ContentRejected", "Transient/AttachmentRejected":
		return meaning{hint: event.Content, soft: true}
	case "Transient/CustomTimeoutExceeded":
		return meaning{hint: event.Expired, soft: true}
	}
	return meaning{}
}
