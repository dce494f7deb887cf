package outputs

import (
	"testing"

	"bouncefeed/internal/event"
)

func TestWants(t *testing.T) {
	t.Parallel()
	all := func(s Settings) Settings {
		s.Send = DefaultSend
		return s
	}
	gone := event.Event{Type: event.Hard, Fault: event.FaultRecipient, Reason: event.UserUnknown, Input: "mx1", Recipient: "Jo@Example.org"}
	full := event.Event{Type: event.Soft, Fault: event.FaultRecipient, Reason: event.MailboxFull, Input: "mx2", Recipient: "jo@other.example"}
	blocked := event.Event{Type: event.Soft, Fault: event.FaultSender, Reason: event.Blocklisted, Input: "mx1", Recipient: "jo@example.org"}
	complaint := event.Event{Type: event.Complaint, Input: "mx2", SubscriberUUID: "u"}
	for name, c := range map[string]struct {
		s                              Settings
		gone, full, blocked, complains bool
	}{
		"by default":         {all(Settings{}), true, true, false, true},
		"some reasons":       {all(Settings{Reasons: []string{"user_unknown", "moved"}}), true, false, false, true},
		"one input":          {all(Settings{Inputs: []string{"mx1"}}), true, false, false, false},
		"some recipients":    {all(Settings{Recipients: []string{"*@example.net", "*@example.org"}}), true, false, false, false},
		"a reason is no way": {all(Settings{Reasons: []string{"blocklisted"}}), false, false, false, true},
		"all together":       {all(Settings{Reasons: []string{"mailbox_full"}, Inputs: []string{"mx2"}, Recipients: []string{"*@other.example"}}), false, true, false, false},
	} {
		for _, one := range []struct {
			e    event.Event
			want bool
		}{{gone, c.gone}, {full, c.full}, {blocked, c.blocked}, {complaint, c.complains}} {
			if c.s.Wants(&one.e) != one.want {
				t.Errorf("%s: %s %s: %v", name, one.e.Type, one.e.Reason, !one.want)
			}
		}
	}
}
