package event

import (
	"bouncefeed/internal/address"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

// Key is a hash under which the same failure might be told again.
type Key [16]byte

// Proof says which of an event's facts are proven. What a report says besides is anybody's word.
type Proof uint8

// The kinds of proof, the strongest first.
const (
	ProofSource     Proof = iota // the source is believed in everything
	ProofRecipient               // a report: we sent that message to that recipient
	ProofSubscriber              // a report: its author has seen a message to that subscriber
	ProofNone                    // a report that is held
	ProofTrusted                 // a report that is believed in everything
)

// Keys are e's identity keys, strongest first: recipient with the original Message-ID, recipient with MTA host and
// queue id, the provider's own event id; of a nameless event subscriber with the Message-ID. An event is a repeat if one
// of its keys was seen before. Where an alias made two addresses, both count: a DSN may name the one and the log the other.
//
// Only what is proven makes a key, so that nobody can have another's bounce taken for a repeat. See Claims.
func (e *Event) Keys() []Key {
	var keys []Key
	switch e.Proof {
	case ProofSource, ProofTrusted:
		keys = e.told(e.recipients())
		if e.Recipient == "" {
			keys = e.addSubscriber(keys)
		}
		if len(keys) == 0 {
			keys = append(keys, key("t", strings.Join(e.recipients(), "\x00"), e.telling(), e.Diagnostic))
		}
	case ProofRecipient:
		for _, r := range e.recipients() {
			keys = append(keys, key("m", r, e.MessageID))
		}
	case ProofSubscriber:
		if keys = e.addSubscriber(keys); len(keys) == 0 {
			keys = append(keys, key("s", e.SubscriberUUID, "", e.CampaignUUID, e.telling()))
		}
	}
	return e.ofType(keys)
}

// Claims are further keys by which a report knows an event that is there already. They may be made up, and stand for
// nothing: what is told later is no repeat for their sake.
func (e *Event) Claims() []Key {
	switch e.Proof {
	case ProofSource:
		return e.ofType(e.addSubscriber(nil))
	case ProofTrusted:
		return append(e.ofType(e.addSubscriber(nil)), e.CopyKeys()...)
	}
	recipients := e.recipients()
	keys := e.addSubscriber(e.told(recipients))
	if len(keys) == 0 {
		keys = append(keys, key("t", strings.Join(recipients, "\x00"), e.telling(), e.Diagnostic))
	}
	return append(e.ofType(keys), e.CopyKeys()...)
}

// CopyKeys are those of a failure that was only a copy's, or one of several targets': with the host whose log showed that
// the recipient has the message. Reports of that host are judged by them.
func (e *Event) CopyKeys() []Key {
	host := shortHost(e.QueueIDIssuer)
	if host == "" {
		return nil
	}
	var keys []Key
	for _, r := range e.recipients() {
		if e.MessageID != "" {
			keys = append(keys, key("copy", r, host, e.MessageID))
		}
		for _, id := range append([]string{e.QueueID}, e.OtherQueueIDs...) {
			if id != "" {
				keys = append(keys, key("copy-q", r, host, id))
			}
		}
	}
	if e.SubscriberUUID != "" && e.MessageID != "" {
		keys = append(keys, key("copy-s", e.SubscriberUUID, host, e.MessageID))
	}
	return keys
}

// told makes the keys of what a source tells of a failure.
func (e *Event) told(recipients []string) (keys []Key) {
	if e.MessageID != "" {
		for _, r := range recipients {
			keys = append(keys, key("m", r, e.MessageID))
		}
	}
	for _, id := range append([]string{e.QueueID}, e.OtherQueueIDs...) {
		if id == "" {
			continue
		}
		for _, r := range recipients {
			keys = append(keys, key("q", r, shortHost(e.QueueIDIssuer), id))
		}
	}
	if e.ProviderID != "" {
		keys = append(keys, key("p", e.ProviderID))
	}
	return keys
}

// telling is what tells e from another one of the same recipient that names no message either: what was written, or else
// when it happened.
func (e *Event) telling() string {
	if e.Content != "" {
		return e.Content
	}
	return e.Time.UTC().Format(time.RFC3339)
}

// addSubscriber adds the key of one message to one subscriber, of whom no more is known: he fails once, however many
// recipients a report names. Failures that name a recipient know a nameless one by it; of themselves each is one of its own,
// for the message may have gone to several.
func (e *Event) addSubscriber(keys []Key) []Key {
	if e.SubscriberUUID == "" || e.MessageID == "" {
		return keys
	}
	return append(keys, key("s", e.SubscriberUUID, e.MessageID))
}

// ofType keeps complaints apart: one about a message is another event than its bounce.
func (e *Event) ofType(keys []Key) []Key {
	if e.Type == Complaint {
		for i := range keys {
			keys[i] = key("complaint", string(keys[i][:]))
		}
	}
	return keys
}

// MakeID is the event's public id: its strongest key, so that the same bounce read twice, or after a reinstall, has
// the same id.
func (e *Event) MakeID() string {
	keys := append(e.Keys(), e.Claims()...)
	return hex.EncodeToString(keys[0][:])
}

// IsID says whether s has the form of an event's id: 32 hexadecimal digits in lower case.
func IsID(s string) bool {
	return len(s) == 2*len(Key{}) && strings.Trim(s, "0123456789abcdef") == ""
}

// SentID is how many bytes of a ledger's entry depend on the Message-ID alone.
const SentID = 5

// Sent is the ledger's entry for a message that went to one recipient: keyed hashes of the Message-ID, in SentID bytes,
// and of both in the others, so that an id that several recipients were sent shows. secret is the installation's own.
func Sent(secret []byte, messageID, recipient string) (entry [8]byte) {
	id, both := key("sent-id", string(secret), messageID), key("sent", string(secret), address.Key(recipient), messageID)
	copy(entry[copy(entry[:SentID], id[:]):], both[:])
	return entry
}

func (e *Event) recipients() []string {
	first := address.Key(e.Recipient)
	if first == "" {
		first = address.Key(e.Claimed)
	}
	if first == "" {
		first = e.SubscriberUUID
	}
	if second := address.Key(e.OriginalRecipient); second != "" && second != first {
		return []string{first, second}
	}
	return []string{first}
}

// key hashes its parts with their lengths in between, so that no two lists of parts give the same bytes.
func key(parts ...string) Key {
	var room [512]byte // on the stack: one delivery in the log is one hash
	b := room[:0]
	for _, p := range parts {
		b = append(b, byte(len(p)>>24), byte(len(p)>>16), byte(len(p)>>8), byte(len(p)))
		b = append(b, p...)
	}
	sum := sha256.Sum256(b)
	return Key(sum[:16])
}

// shortHost keeps the first label: syslog writes "mx1" where the Reporting-MTA says "mx1.example.org".
func shortHost(h string) string {
	h, _, _ = strings.Cut(strings.ToLower(h), ".")
	return h
}

// Complete takes over from a report of the same failure who the subscriber is, if that is certain, and says whether
// there was anything to take. Certain is that the report's author knows a message that went to e's recipient alone.
func (e *Event) Complete(report *Event) bool {
	if !e.Sole || e.SubscriberUUID != "" || report.SubscriberUUID == "" || report.Evidence == "" || e.MessageID == "" || report.MessageID != e.MessageID {
		return false
	}
	e.SubscriberUUID, e.Evidence = report.SubscriberUUID, report.Evidence
	if e.CampaignUUID == "" {
		e.CampaignUUID = report.CampaignUUID
	}
	return true
}
