package mail

import (
	"encoding/json"
	"strings"

	"bouncefeed/internal/event"
	"bouncefeed/parsers/provider"
)

// unwrapped undoes what an MTA did to a line longer than RFC 5321 allows; sendmail marks the place with "!".
var unwrapped = strings.NewReplacer("!\n ", "", "\n", "")

// snsEvents reads what Amazon SES tells by mail where an SNS topic has a mailbox subscribed to it: the notification as
// JSON, with a line about unsubscribing behind it. nil: m is no such mail.
//
// Nobody signed it, and who writes the JSON chooses both the recipient and the UUIDs: those prove nothing here. What the
// agent sent to that recipient does.
func (m *message) snsEvents() []event.Event {
	if !m.header.has("X-Amz-Sns-Message-Id") || len(m.texts) == 0 {
		return nil
	}
	var raw json.RawMessage
	if json.NewDecoder(strings.NewReader(unwrapped.Replace(m.texts[0].text()))).Decode(&raw) != nil {
		return nil
	}
	var events []event.Event
	err := provider.Notification(event.Record{Time: m.read, Body: raw}, func(e event.Event) {
		e.SubscriberUUID, e.CampaignUUID, e.Evidence = "", "", ""
		events = append(events, unledgered(e))
	})
	if err != nil {
		return nil
	}
	return events
}
