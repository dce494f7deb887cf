// Package listmonk knows what ties a message to a subscriber and a campaign of the list manager: the Message-ID
// <campaign.subscriber@…>, the header fields X-Listmonk-Campaign and X-Listmonk-Subscriber, an unsubscribe link, and an
// envelope sender of the list's own for each subscriber (VERP). See README, "Telling listmonk which campaign".
package listmonk

import (
	"strings"

	"bouncefeed/internal/event"
)

// What Event.Evidence says of these.
const (
	EvidenceUUID = "uuid"
	EvidenceVERP = "verp"
)

// UUIDLength is how many bytes a UUID has as text.
const UUIDLength = 36

// MessageID reads "campaign.subscriber@host", a Message-ID without its angle brackets.
func MessageID(id string) (campaign, subscriber string) {
	const both = UUIDLength + 1 + UUIDLength
	if len(id) <= both || id[UUIDLength] != '.' || id[both] != '@' || !IsUUID(id[:UUIDLength]) || !IsUUID(id[UUIDLength+1:both]) {
		return "", ""
	}
	return strings.ToLower(id[:UUIDLength]), strings.ToLower(id[UUIDLength+1 : both])
}

// NoUUID marks listmonk's test messages; it is nobody's.
const NoUUID = "00000000-0000-0000-0000-000000000000"

// FirstUUID is the first UUID in s, in lower case; listmonk's dummy does not count.
func FirstUUID(s string) string {
	const n = 36
	for i := 8; i+n-8 <= len(s); i++ {
		if s[i] != '-' || !IsUUID(s[i-8:i-8+n]) {
			continue
		}
		if u := strings.ToLower(s[i-8 : i-8+n]); u != NoUUID {
			return u
		}
	}
	return ""
}

func IsUUID(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		switch i {
		case 8, 13, 18, 23:
			if s[i] != '-' {
				return false
			}
		default:
			if !('0' <= s[i] && s[i] <= '9' || 'a' <= c && c <= 'f') {
				return false
			}
		}
	}
	return len(s) == 36
}

// UUID is s in lower case and without the blanks around it, "" if it is none.
func UUID(s string) string {
	if s = strings.TrimSpace(s); !IsUUID(s) {
		return ""
	}
	return strings.ToLower(s)
}

// Identify fills in what e lacks of campaign and subscriber: as given, from header fields or what a provider hands back,
// else as e's Message-ID has them. Test mails keep their NoUUID, which the agent knows.
func Identify(e *event.Event, campaign, subscriber string) {
	campaign, subscriber = UUID(campaign), UUID(subscriber)
	if c, s := MessageID(e.MessageID); subscriber == "" && s != "" {
		campaign, subscriber = c, s
	}
	if e.CampaignUUID == "" {
		e.CampaignUUID = campaign
	}
	if e.SubscriberUUID == "" {
		e.SubscriberUUID = subscriber
	}
	if e.SubscriberUUID != "" || e.CampaignUUID != "" {
		e.Evidence = EvidenceUUID
	}
}

// CleanMessageID takes the angle brackets and comments off a Message-ID.
func CleanMessageID(v string) string {
	if _, after, found := strings.Cut(v, "<"); found {
		v, _, _ = strings.Cut(after, ">")
	}
	v, _, _ = strings.Cut(strings.TrimSpace(v), " ")
	return v
}
