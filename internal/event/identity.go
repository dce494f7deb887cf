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

// Keys are e's identity keys, strongest first: recipient with the original Message-ID, recipient with MTA host and
// queue id, the provider's own event id. An event is a repeat if one of its keys was seen before. Where an alias made
// two addresses, both count: a DSN may name the one and the log the other.
func (e *Event) Keys() []Key {
	var keys []Key
	recipients := e.recipients()
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
	if len(keys) == 0 {
		keys = append(keys, key("t", strings.Join(recipients, "\x00"), e.Time.UTC().Format(time.RFC3339), e.Diagnostic))
	}
	if e.Type == Complaint { // a complaint about a message is another event than its bounce
		for i := range keys {
			keys[i] = key("complaint", string(keys[i][:]))
		}
	}
	return keys
}

// MakeID is the event's public id: its strongest key, so that the same bounce read twice, or after a reinstall, has
// the same id.
func (e *Event) MakeID() string {
	keys := e.Keys()
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
