package listmonk

import (
	"bouncefeed/internal/event"
	"bouncefeed/internal/text"
	"errors"
	"strings"
)

// A VERP is the shape of the envelope senders that name the subscriber, split at the word UUID; "*" stands for any
// text, also none.
type VERP struct{ before, after string }

// DefaultVERP is listmonk's "b+{{ .Subscriber.UUID }}@news.example.com" and its like.
const DefaultVERP = "*+UUID@*"

// NewVERP reads a pattern such as "*+UUID@*". The empty pattern matches nothing.
func NewVERP(pattern string) (VERP, error) {
	if pattern == "" {
		return VERP{}, nil
	}
	before, after, ok := strings.Cut(pattern, "UUID")
	if !ok || strings.Contains(after, "UUID") {
		return VERP{}, errors.New(`the word UUID must stand once where the subscriber's UUID stands, as in "` + DefaultVERP + `"`)
	}
	if after == "" {
		after = "*"
	}
	return VERP{before, after}, nil
}

// Subscriber finds the UUID in an envelope sender; "" if the address has another shape.
func (v VERP) Subscriber(sender string) string {
	if v.after == "" {
		return ""
	}
	for i := 0; i+UUIDLength <= len(sender); i++ {
		uuid := sender[i : i+UUIDLength]
		if IsUUID(uuid) && text.Match(v.before, sender[:i]) && text.Match(v.after, sender[i+UUIDLength:]) {
			return strings.ToLower(uuid)
		}
	}
	return ""
}

// Complete finds the subscriber in e's envelope sender, where nothing else names it.
func (v VERP) Complete(e *event.Event) { v.CompleteFrom(e, e.Sender) }

// CompleteFrom is Complete for an envelope sender that another field told.
func (v VERP) CompleteFrom(e *event.Event, sender string) {
	if e.SubscriberUUID != "" {
		return
	}
	if e.SubscriberUUID = v.Subscriber(sender); e.SubscriberUUID != "" {
		e.Evidence = EvidenceVERP
	}
}
