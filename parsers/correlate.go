package parsers

import (
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
		if isUUID(uuid) && matchStars(v.before, sender[:i]) && matchStars(v.after, sender[i+uuidLength:]) {
			return strings.ToLower(uuid)
		}
	}
	return ""
}

// matchStars compares without regard to ASCII case; "*" matches any text.
func matchStars(pattern, s string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if len(s) < len(head) || !strings.EqualFold(s[:len(head)], head) {
		return false
	}
	s = s[len(head):]
	if !star {
		return s == ""
	}
	for {
		part, next, more := strings.Cut(rest, "*")
		if !more {
			return len(s) >= len(part) && strings.EqualFold(s[len(s)-len(part):], part)
		}
		at := strings.Index(lowerASCII(s), lowerASCII(part))
		if at < 0 {
			return false
		}
		s, rest = s[at+len(part):], next
	}
}

// lowerASCII leaves the length as it is. strings.ToLower does not: a byte that is no UTF-8 becomes three.
func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c - 'A' + 'a'
		}
	}
	return string(b)
}
