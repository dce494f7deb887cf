package maillog

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/mail"
	"strings"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/listmonk"
	"bouncefeed/internal/text"
	"bouncefeed/parsers"
	"bouncefeed/parsers/item"
)

func init() { parsers.Register("kumomta", defaultRecords, buildKumomta) }

// kumomta reads KumoMTA's log records (https://docs.kumomta.com/reference/log_record/), one JSON object a line, in a log
// or as the body of a log hook's request. Header fields and meta values are in it if configure_local_logs asks for them.
//
//	{"type":"Bounce","id":"1d98076abbbc11ed940250ebf67f93bd","sender":"bounce@example.org","recipient":"jo@example.net",
//	 "response":{"code":550,"enhanced_code":{"class":5,"subject":1,"detail":1},"content":"user unknown"},
//	 "peer_address":{"name":"mx.example.net","addr":"192.0.2.1"},"timestamp":1795330862,"bounce_classification":"InvalidRecipient",…}
//
// A hook may post several in one array.
type kumomta struct {
	item.JSON
	config recordConfig
	verp   listmonk.VERP
	host   string

	origins recent // messages that strangers handed in
	putOff  recent // recipients that were put off, and are not done with
}

func buildKumomta(env config.Env, section config.Section, c *recordConfig) (parsers.Parser, error) {
	v, err := c.check(section)
	if err != nil {
		return nil, err
	}
	p := &kumomta{config: *c, verp: v, host: env.Host}
	p.origins, p.putOff = newRecent(kumoForeignKey, kumoForeignAge), newRecent(putOffKey, putOffAge)
	return p, nil
}

// Parse implements Parser.
func (p *kumomta) Parse(rec event.Record, emit func(event.Event)) error {
	if rec.Request != nil {
		return item.Each(rec.Body, func(raw []byte) error { return p.record(raw, rec.Time, emit) })
	}
	return p.record(trimLineEnd(rec.Body), rec.Time, emit)
}

func (p *kumomta) record(body []byte, read time.Time, emit func(event.Event)) error {
	if len(body) == 0 || body[0] != '{' {
		return nil
	}
	if isReception(body) { // half of all records
		return p.readReception(body)
	}
	var r kumoRecord
	if err := json.Unmarshal(body, &r); err != nil {
		return event.Refuse(event.WhyMalformed, "not a log record: %T", err)
	}
	isForeign := p.origins.has(r.ID)
	switch r.Type {
	case "Reception":
		return p.readReception(body)
	case "Bounce", "Delivery", "Expiration", "AdminBounce":
		p.origins.drop(r.ID)
	}
	isMail := r.Type == "OOB" || r.Type == "Feedback"
	return r.tell(p.verp, !isMail && (isForeign || p.config.isForeign(r.client())), func(e event.Event) {
		e.NeedsProof = isMail && p.config.Trust == "proof"
		if e.QueueIDIssuer = p.host; e.Time.IsZero() {
			e.Time = read
		}
		if !isMail {
			before := p.putOff.wasBefore(&e, r.ID)
			e.Transit.Before = before || r.Attempts > 0
		}
		emit(e)
	})
}

// A kumoRecord is one log record.
type kumoRecord struct {
	Type      string      `json:"type"`
	ID        string      `json:"id"`
	Sender    string      `json:"sender"`
	Recipient kumoStrings `json:"recipient"`
	Response  struct {
		Code     int `json:"code"`
		Enhanced *struct {
			Class   int `json:"class"`
			Subject int `json:"subject"`
			Detail  int `json:"detail"`
		} `json:"enhanced_code"`
		Content string `json:"content"`
	} `json:"response"`
	Peer           *peer                  `json:"peer_address"`
	Timestamp      kumoTime               `json:"timestamp"`
	Created        kumoTime               `json:"created"`
	Attempts       int                    `json:"num_attempts"` // before this one; 0 also after a restart
	Classification any                    `json:"bounce_classification"`
	Headers        map[string]kumoStrings `json:"headers"`
	Meta           map[string]kumoStrings `json:"meta"`
	Feedback       *kumoFeedback          `json:"feedback_report"`
}

// A kumoFeedback is an ARF report (RFC 5965).
type kumoFeedback struct {
	Type             string   `json:"feedback_type"`
	OriginalMailFrom string   `json:"original_mail_from"`
	OriginalRcptTo   []string `json:"original_rcpt_to"`
	OriginalMessage  string   `json:"original_message"`
}

// kumoStrings is a text, or a list of them; what else stands there is taken for none.
type kumoStrings []string

// UnmarshalJSON implements json.Unmarshaler.
func (s *kumoStrings) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*s = kumoStrings{one}
		return nil
	}
	var many []string
	if json.Unmarshal(b, &many) == nil {
		*s = many
	}
	return nil
}

// kumoTime is in Unix seconds, with a fraction in newer versions, or as RFC 3339 writes it.
type kumoTime struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (t *kumoTime) UnmarshalJSON(b []byte) error {
	var seconds float64
	if json.Unmarshal(b, &seconds) == nil && seconds > 0 && seconds < 1<<36 {
		whole, part := math.Modf(seconds)
		t.Time = time.Unix(int64(whole), int64(part*1e6)*1e3).UTC()
		return nil
	}
	var when time.Time
	if json.Unmarshal(b, &when) == nil && isStorable(when) {
		t.Time = when.UTC()
	}
	return nil
}

const kumoMaxRecipients = 100 // of one record

// tell emits what the record says of each recipient. Time and Host are the caller's to complete. The error is a refusal.
func (r *kumoRecord) tell(v listmonk.VERP, isForeign bool, emit func(event.Event)) error {
	e := event.Event{Time: r.Timestamp.Time, Sender: r.Sender, QueueID: text.Cut(r.ID, len(queueKey{}.id)*2)}
	if r.Peer != nil {
		e.Transit.Relay = text.Cut(strings.TrimSuffix(r.Peer.Name, "."), 255)
	}
	e.Transit.Foreign = isForeign
	if r.Created.Before(e.Time) && !r.Created.IsZero() {
		e.Transit.Delay = e.Time.Sub(r.Created.Time)
	}
	recipients := []string(r.Recipient)
	switch r.Type {
	case "Delivery":
		e.Type = event.Delivered
	case "TransientFailure", "Delayed":
		e.Type = event.Delayed
		r.explain(&e)
	case "Feedback":
		if r.Feedback == nil {
			return event.Refuse(event.WhyMalformed, "a feedback record without its report")
		}
		e.Type, e.Sender, recipients = feedbackType(r.Feedback.Type), r.Feedback.OriginalMailFrom, r.Feedback.OriginalRcptTo
	case "Bounce", "OOB", "Expiration", "AdminBounce":
		r.explain(&e)
	default: // Reception, Rejection and what concerns the server only
		return nil
	}
	if r.Sender == "" && r.Type != "OOB" && r.Type != "Feedback" {
		return nil // a notice of the null sender
	}
	if !isForeign {
		r.identify(&e, v)
		e.Ours = r.Type != "OOB" && r.Type != "Feedback"
		e.Sole = e.Ours && len(recipients) == 1
	}
	if len(recipients) == 0 {
		recipients = []string{""}
	}
	for _, to := range recipients[:min(len(recipients), kumoMaxRecipients)] {
		if e.Recipient = strings.Trim(to, "<>"); checkAddress([]byte(e.Recipient)) != nil {
			return event.Refuse(event.WhyMalformed, "a recipient that is no address")
		}
		emit(e)
	}
	return nil
}

// client is the address of the client that handed the message in, where `configure_local_logs` has its meta value
// received_from in the records: "192.0.2.7:4711". One that logged in is nobody's to judge.
func (r *kumoRecord) client() string {
	if len(r.Meta["authn_id"]) > 0 || len(r.Meta["received_from"]) == 0 {
		return ""
	}
	from := r.Meta["received_from"][0]
	if host, _, err := net.SplitHostPort(from); err == nil {
		return host
	}
	return from
}

// explain takes over what was said of a failure. An administrator's bounce says nothing of the recipient.
func (r *kumoRecord) explain(e *event.Event) {
	var o outcome
	o.setReply([]byte(r.Response.Content))
	e.Status, e.Diagnostic = o.status, o.diagnostic
	if c := r.Response.Enhanced; c != nil {
		e.Status = fmt.Sprintf("%d.%d.%d", c.Class, c.Subject, c.Detail)
	}
	if r.Response.Code >= 400 && r.Response.Code < 600 {
		e.Code = r.Response.Code
	}
	e.RemoteMTA = e.Transit.Relay
	if name, ok := r.Classification.(string); ok {
		e.Hint = kumoClassifications[name]
	}
	switch r.Type { // these two have KumoMTA's own code 551
	case "Expiration":
		e.NeverHard, e.Code, e.Status = true, 0, "4.4.7"
	case "AdminBounce":
		e.NeverHard, e.Code, e.Status, e.Hint = true, 0, "", ""
	}
}

// kumoClassifications are those of KumoMTA's own bounce_classifier rules.
var kumoClassifications = map[string]event.Reason{
	"InvalidRecipient":     event.UserUnknown,
	"BadDomain":            event.DomainUnknown,
	"DNSFailure":           event.Network,
	"InactiveMailbox":      event.MailboxDisabled,
	"QuotaIssues":          event.MailboxFull,
	"SpamBlock":            event.Spam,
	"SpamContent":          event.Spam,
	"VirusRelated":         event.Content,
	"ContentRelated":       event.Content,
	"ProhibitedAttachment": event.Content,
	"PolicyRelated":        event.Policy,
	"RelayDenied":          event.RelayDenied,
	"InvalidSender":        event.SenderRejected,
	"AuthenticationFailed": event.AuthFailed,
	"ProtocolErrors":       event.Protocol,
	"RoutingErrors":        event.RoutingLoop,
	"NoAnswerFromHost":     event.Network,
	"BadConnection":        event.Network,
	"BadConfiguration":     event.RemoteSystem,
	"MessageExpired":       event.Expired,
}

// identify finds the message and the subscriber in what was logged of its header, in its meta values, or in the header
// that a feedback report returns.
func (r *kumoRecord) identify(e *event.Event, v listmonk.VERP) {
	var returned mail.Header
	if r.Feedback != nil {
		if m, err := mail.ReadMessage(strings.NewReader(r.Feedback.OriginalMessage)); err == nil {
			returned = m.Header
		}
	}
	get := func(name string) string {
		if s := returned.Get(name); s != "" {
			return s
		}
		for _, values := range []map[string]kumoStrings{r.Headers, r.Meta} {
			for field, value := range values {
				if strings.EqualFold(field, name) && len(value) > 0 {
					return value[0]
				}
			}
		}
		return ""
	}
	e.MessageID = loggedMessageID(strings.TrimSpace(get("Message-ID")))
	listmonk.Identify(e, get("X-Listmonk-Campaign"), get("X-Listmonk-Subscriber"))
	v.Complete(e)
}
