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
	jo := event.Event{ID: "a", Time: at, Input: "postfix", Type: event.Hard, Reason: event.UserUnknown, Recipient: "Jo@example.org", MessageID: "m1@news.example", Diagnostic: "550 5.1.1 unknown"}
	socket := daemon(t,
		answering(agent.Calls.Events, agent.Past{Seq: 5, Event: jo, Fates: []agent.Fate{
			{Output: "listmonk", Outcome: "sent", At: at}, {Output: "hub", Outcome: "dead", At: at, Answer: "413 too large"}, {Output: "hub", Outcome: agent.Pending, Again: 6}}}),
		answering(agent.Calls.Tail, agent.Line{At: at, Module: "postfix", Outcome: "queued", Event: jo}, agent.Line{At: at, Module: "listmonk", Outcome: "sent", Event: jo}, agent.Line{At: at, Module: "pop", Outcome: "repeat", Event: jo}),
		answering(agent.Calls.Held, agent.HeldEvent{Seq: 7, Time: at, Why: "no proof", Event: jo}, agent.HeldEvent{Seq: 8, Event: event.Event{Recipient: "al@example.org"}}),
		answering(agent.Calls.Dead, agent.DeadLetter{Seq: 9, Output: "hub", Time: at, Answer: "413 too large", Event: jo}),
		answering(agent.Calls.Refused, agent.RefusedRecord{Number: "postfix/3", Input: "postfix", Time: at, Why: "two_readings", Detail: "x", Body: "to=<jo@example.org>, status=bounced"}))
	r := command(t, "", "find", "jo@example.org", "--socket", socket)
	r.expect(t, 0, "2026-11-29 09:00:00  event 5                hard user_unknown  Jo@example.org\n    said: 550 5.1.1 unknown\n"+
		"    listmonk: sent 2026-11-29 09:00:00\n    hub: dead 2026-11-29 09:00:00: 413 too large\n    hub: pending, queued once more as 6\n"+
		"2026-11-29 09:00:00  held 7                 hard user_unknown  Jo@example.org\n    why: no proof\n"+
		"2026-11-29 09:00:00  dead 9                 hard user_unknown  Jo@example.org\n    why: 413 too large\n"+
		"2026-11-29 09:00:00  refused postfix/3\n    why: two_readings: x\n"+
		"2026-11-29 09:00:00  repeat pop             hard user_unknown  Jo@example.org\n", "")
	command(t, "", "find", "--json", "<m1@news.example>", "--socket", socket).expect(t, 0, `"what":"held","where":"postfix","number":"7","why":"no proof"`, "")
	none := daemon(t, answering(agent.Calls.Events), answering(agent.Calls.Tail), answering(agent.Calls.Held), answering(agent.Calls.Dead), answering(agent.Calls.Refused))
	command(t, "", "find", "nobody@example.org", "--socket", none).expect(t, exitFailure, "", "nothing is known of nobody@example.org")
	command(t, "", "find").expect(t, exitUsage, "", "takes one argument")
}
