// Package event holds the words every other package speaks: the raw Record an input read, the Event a parser found in
// it, and the types, reasons and faults of a bounce. It imports the standard library and
// internal/address only.
package event

import "time"

// Type is what an event says of the delivery. Hard, Soft and Complaint may reach an output; the others are counted only.
type Type string

// The three types that are reported (RFC 3464 "failed", RFC 5965), and the words under which the rest is counted.
const (
	Hard      Type = "hard"
	Soft      Type = "soft"
	Complaint Type = "complaint"

	Delivered         Type = "delivered"           // status=sent, "=>": also enters the ledger
	Delayed           Type = "delayed"             // a deferral or a delay notice
	Autoreply         Type = "autoreply"           // vacation, out of office (RFC 3834)
	Challenge         Type = "challenge"           // challenge-response
	MDN               Type = "mdn"                 // read receipt (RFC 8098)
	AuthFailureReport Type = "auth_failure_report" // RFC 6591
	NotSpamReport     Type = "not_spam_report"     // RFC 5965 not-spam
	Ordinary          Type = "ordinary"            // any other mail
	CopyFailed        Type = "copy_failed"         // of a recipient who has the message: a copy's failure, or one of several targets'
	Forgotten         Type = "forgotten"           // of a message that a log's parser had no room to remember
	Foreign           Type = "foreign"             // a failure of a message that a client handed in which is not ours
)

// Reported says whether events of type t may reach an output.
func (t Type) Reported() bool { return t == Hard || t == Soft || t == Complaint }

// Event is one recipient's outcome. Its JSON form is the public schema; fields tagged "-" serve between parser, agent
// and queue and never leave the process.
//
// A parser fills in what the source says and leaves ID, Input, Type, Reason, Fault and Rule of a failure to the agent,
// which asks internal/classify. It sets Type itself only for what is not a failed delivery (Complaint, Delivered, …).
type Event struct {
	ID                string    `json:"id"`
	Time              time.Time `json:"time"` // when it happened, UTC
	Input             string    `json:"input,omitempty"`
	Type              Type      `json:"type"`
	Reason            Reason    `json:"reason,omitempty"`
	Fault             Fault     `json:"fault,omitempty"`
	Recipient         string    `json:"recipient,omitempty"`          // the address the sender knows, as written by the source
	OriginalRecipient string    `json:"original_recipient,omitempty"` // the other one, where an alias or redirect made two
	SubscriberUUID    string    `json:"subscriber_uuid,omitempty"`
	CampaignUUID      string    `json:"campaign_uuid,omitempty"`
	MessageID         string    `json:"message_id,omitempty"` // of the original message, without angle brackets
	QueueID           string    `json:"queue_id,omitempty"`
	Sender            string    `json:"sender,omitempty"`     // envelope sender (RFC 5321 reverse-path)
	RemoteMTA         string    `json:"remote_mta,omitempty"` // host name or address that answered
	Code              int       `json:"code,omitempty"`       // SMTP reply code, 0 unknown
	Status            string    `json:"status,omitempty"`     // enhanced status code (RFC 3463)
	Diagnostic        string    `json:"diagnostic,omitempty"` // the reply or the MTA's own words
	Rule              string    `json:"rule,omitempty"`       // the classification rule that decided

	// QueueIDIssuer gave QueueID and OtherQueueIDs, which are unique among its own only: the reporting MTA by its host name
	// (syslog's, or Reporting-MTA), of which the first label counts; a provider by its name; or, where the source does not
	// say, a word that nobody else has. With a queue id and the recipient it is an identity key.
	QueueIDIssuer string `json:"-"`
	// OtherQueueIDs are further queue ids under which the same failure may be told again.
	OtherQueueIDs []string `json:"-"`
	// ProviderID is a provider's own event id, prefixed by the provider's name ("ses:…"): an identity key.
	ProviderID string `json:"-"`
	// NeverHard: whatever the diagnostic says, the type is soft. The message was given up after deferrals, or blocked in
	// the provider's own words.
	NeverHard bool `json:"-"`
	// Others is what was said of further targets that the recipient was turned into: all failed, and the event is hard only
	// if all did for good. The agent uses it up.
	Others []Reply `json:"-"`
	// Hint is what a provider's own category suggests; used when code, status and text tell nothing.
	Hint Reason `json:"-"`
	// OwnWords: Code, Status and Diagnostic are a provider's own, about its lists or our account. They are shown, and an
	// admin's rules may match them, but they are no server's reply: the built-in rules judge Hint alone.
	OwnWords bool `json:"-"`
	// Claimed is the address that an unproven report names, where only the subscriber is proven: identity alone uses it.
	Claimed string `json:"-"`
	// Proof says what of all this is proven; the agent sets it.
	Proof Proof `json:"-"`
	// Ours: a log saw this message come in from a client of ours. Only such are entered in the ledger, where several
	// recipients of one Message-ID prove nothing of each other.
	Ours bool `json:"-"`
	// Sole: and it has, as far as the log tells, no other recipient.
	Sole bool `json:"-"`
	// Evidence names what in the source itself proves that the message was ours ("uuid", "verp"); see trust: proof.
	Evidence string `json:"-"`
	// Content stands for the whole message that told it, where that names no other: it has the same whenever it is read.
	Content string `json:"-"`
	// Transit is how it went there; who counts wants it.
	Transit Transit `json:"-"`
	// NeedsProof: a stranger told it, whoever vouches for the record it stands in. As if its input said trust: proof.
	NeedsProof bool `json:"-"`
}

// Reply is what was said of one delivery, as in Event.
type Reply struct {
	Code                 int
	Status, Text, Remote string
	NeverHard            bool
}
