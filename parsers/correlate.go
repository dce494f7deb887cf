package parsers

import (
	"bouncefeed/internal/text"
	"errors"
	"strings"
)

// What ties a message to a subscriber and a campaign of the list manager: the Message-ID <campaign.subscriber@…>, the
// header fields X-Listmonk-Campaign and X-Listmonk-Subscriber where the MTA logs them, and an envelope sender of the
// list's own for each subscriber (VERP).

// What Event.Evidence says of these.
const (
	evidenceUUID = "uuid"
	evidenceVERP = "verp"
)

const uuidLength = 36

// messageIDUUIDs reads "campaign.subscriber@host", a Message-ID without its angle brackets.
func messageIDUUIDs(id string) (campaign, subscriber string) {
	const both = uuidLength + 1 + uuidLength
	if len(id) <= both || id[uuidLength] != '.' || id[both] != '@' || !isUUID(id[:uuidLength]) || !isUUID(id[uuidLength+1:both]) {
		return "", ""
	}
	return strings.ToLower(id[:uuidLength]), strings.ToLower(id[uuidLength+1 : both])
}

// A verp is the shape of the envelope senders that name the subscriber, split at the word UUID; "*" stands for any
// text, also none.
type verp struct{ before, after string }

const defaultVERP = "*+UUID@*"

// newVERP reads a pattern such as "*+UUID@*". The empty pattern matches nothing.
func newVERP(pattern string) (verp, error) {
	if pattern == "" {
		return verp{}, nil
	}
	before, after, ok := strings.Cut(pattern, "UUID")
	if !ok || strings.Contains(after, "UUID") {
		return verp{}, errors.New(`the word UUID must stand once where the subscriber's UUID stands, as in "` + defaultVERP + `"`)
	}
	if after == "" {
		after = "*"
	}
	return verp{before, after}, nil
}

// subscriber finds the UUID in an envelope sender; "" if the address has another shape.
func (v verp) subscriber(sender string) string {
	if v.after == "" {
		return ""
	}
	for i := 0; i+uuidLength <= len(sender); i++ {
		uuid := sender[i : i+uuidLength]
		if isUUID(uuid) && text.Match(v.before, sender[:i]) && text.Match(v.after, sender[i+uuidLength:]) {
			return strings.ToLower(uuid)
		}
	}
	return ""
}
