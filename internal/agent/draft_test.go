package agent

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"bouncefeed/internal/classify"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
)

const bounceOfJo = `From: MAILER-DAEMON@mx.example.org
Subject: Undelivered Mail Returned to Sender
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.org

Final-Recipient: rfc822; jo@example.org
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 user unknown

--b--
`

// By its fate a mailbox deletes a message: nothing may seem understood that was not, or that an admin is to look at.
func TestFates(t *testing.T) {
	ordinary := "From: jo@example.org\nSubject: Lunch\n\nAt noon?\n"
	vacation := "From: jo@example.org\nSubject: Out of office\nAuto-Submitted: auto-replied\n\nI am away until Monday.\n"
	for trust, want := range map[string][]event.Fate{
		"any":   {event.Understood, event.Unreported, event.Understood, event.Kept, event.Kept, event.Understood},
		"proof": {event.Kept, event.Unreported, event.Understood, event.Kept, event.Kept, event.Kept},
	} {
		s := newSink(sinkConfig{
			name: "box", format: config.Section{Type: "mail"}, classifier: classify.Default(), now: time.Now, trust: trust,
			ledger: ledger{[]byte("k"), func([8]byte) (bool, error) { return false, nil }}, env: config.Env{Log: slog.New(slog.DiscardHandler)},
		})
		nobody := "From: MAILER-DAEMON@mx.example.org\nSubject: Undelivered Mail Returned to Sender\n\nYour message could not be delivered.\n"
		var recs []event.Record
		for _, body := range []string{bounceOfJo, ordinary, vacation, "no message at all", nobody, bounceOfJo} {
			recs = append(recs, event.Record{Time: time.Now(), Body: []byte(body)})
		}
		fates := make([]event.Fate, len(recs))
		if _, err := s.parse(recs, fates, ""); err != nil || !slices.Equal(fates, want) {
			t.Errorf("trust: %s: %v, want %v (%v)", trust, fates, want, err)
		}
	}
}

// A recipient with several targets fails for good only where all of them did.
func TestAllTargetsHard(t *testing.T) {
	gone := event.Reply{Code: 550, Status: "5.1.1", Text: "550 5.1.1 user unknown"}
	full := event.Reply{Code: 452, Status: "4.2.2", Text: "452 4.2.2 mailbox full", NeverHard: true}
	for _, c := range []struct {
		others []event.Reply
		want   event.Type
	}{{nil, event.Hard}, {[]event.Reply{gone}, event.Hard}, {[]event.Reply{gone, full}, event.Soft}} {
		e := event.Event{Recipient: "staff@example.org", Code: gone.Code, Status: gone.Status, Diagnostic: gone.Text, Others: c.others}
		b := acceptAll("", "postfix", e)
		if got := b.Events[0]; got.Type != c.want || got.Others != nil || c.want == event.Soft && got.Reason != event.MailboxFull {
			t.Errorf("%d others: %s, %s", len(c.others), got.Type, got.Reason)
		}
	}
}
