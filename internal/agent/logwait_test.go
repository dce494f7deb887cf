package agent

import (
	"testing"
	"time"

	"bouncefeed/internal/classify"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
)

func TestReportsOfLogHostsWait(t *testing.T) {
	const uuid = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
	hosts := newLogHosts()
	hosts.add("mx1.example.com")
	report := event.Event{QueueIDIssuer: "MX1.elsewhere.example", Recipient: "jo@example.org", SubscriberUUID: uuid, Evidence: "uuid"}
	remote, complaint, unproven := report, report, report
	remote.QueueIDIssuer = "mx.example.org"
	complaint.Type = event.Complaint
	unproven.SubscriberUUID = ""
	for _, c := range []struct {
		what          string
		in            event.Event
		trust, format string
		waits, held   int
	}{
		{"a report by a host whose log is read", report, "proof", "mail", 1, 0},
		{"the same, believed", report, "any", "mail", 1, 0},
		{"another host's", remote, "proof", "mail", 0, 0},
		{"a complaint", complaint, "proof", "mail", 0, 0},
		{"without proof", unproven, "proof", "mail", 0, 1},
		{"the log itself", report, "", "postfix", 0, 0},
	} {
		d := newDraft(&sinkConfig{name: "in", format: config.Section{Type: c.format}, classifier: classify.Default(), trust: c.trust, now: time.Now, logHosts: hosts})
		d.accept(c.in)
		waits, held := 0, 0
		for _, h := range d.batch.Held {
			if h.Until.IsZero() {
				held++
			} else {
				waits++
			}
		}
		if waits != c.waits || held != c.held || len(d.batch.Events) != 1-waits-held {
			t.Errorf("%s: %d wait, %d held, %d reported", c.what, waits, held, len(d.batch.Events))
		}
	}
}
