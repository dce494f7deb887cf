package main

import (
	"testing"
	"time"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/event"
)

func TestFind(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 29, 9, 0, 0, 0, time.Local)
	jo := event.Event{Type: event.Hard, Reason: event.UserUnknown, Recipient: "Jo@example.org", MessageID: "m1@news.example", Diagnostic: "550 5.1.1 unknown"}
	socket := daemon(t,
		answering(agent.Calls.Tail, agent.Line{At: at, Module: "listmonk", Outcome: "sent", Event: jo}),
		answering(agent.Calls.Held, agent.HeldEvent{Seq: 7, Time: at, Why: "no proof", Event: jo}, agent.HeldEvent{Seq: 8, Event: event.Event{Recipient: "al@example.org"}}),
		answering(agent.Calls.Dead, agent.DeadLetter{Seq: 9, Output: "hub", Time: at, Answer: "413 too large", Event: jo}),
		answering(agent.Calls.Refused, agent.RefusedRecord{Number: "postfix/3", Input: "postfix", Time: at, Why: "two_readings", Detail: "x", Body: "to=<jo@example.org>, status=bounced"}))
	r := command(t, "", "find", "jo@example.org", "--socket", socket)
	r.expect(t, 0, "2026-11-29 09:00:00  sent listmonk          hard user_unknown  Jo@example.org\n    said: 550 5.1.1 unknown\n"+
		"2026-11-29 09:00:00  held 7                 hard user_unknown  Jo@example.org\n    said: 550 5.1.1 unknown\n    why: no proof\n"+
		"2026-11-29 09:00:00  dead 9                 hard user_unknown  Jo@example.org\n    said: 550 5.1.1 unknown\n    why: 413 too large\n"+
		"2026-11-29 09:00:00  refused postfix/3\n    why: two_readings: x\n", "")
	command(t, "", "find", "--json", "<m1@news.example>", "--socket", socket).expect(t, 0, `"what":"held","where":"","number":"7","why":"no proof"`, "")
	none := daemon(t, answering(agent.Calls.Tail), answering(agent.Calls.Held), answering(agent.Calls.Dead), answering(agent.Calls.Refused))
	command(t, "", "find", "nobody@example.org", "--socket", none).expect(t, exitFailure, "", "nothing is known of nobody@example.org")
	command(t, "", "find").expect(t, exitUsage, "", "takes one argument")
}
