package main

import (
	"testing"
	"time"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/control"
)

func TestQueueAcknowledge(t *testing.T) {
	at := time.Date(2026, 11, 22, 7, 1, 2, 0, time.UTC)
	some := answering(agent.Calls.Acknowledge, agent.Damage{Time: at, Cause: "a page", Aside: "/q.db.damaged-1"})
	command(t, "", "queue", "acknowledge", "--socket", daemon(t, some)).expect(t, 0, "a page; kept as /q.db.damaged-1\n", "")
	command(t, "", "queue", "acknowledge", "--json", "--socket", daemon(t, some)).expect(t, 0, `"aside":"/q.db.damaged-1"`, "")
	command(t, "", "queue", "acknowledge", "--socket", daemon(t, answering[control.None, agent.Damage](agent.Calls.Acknowledge))).expect(t, 0, "", "there is no damage")
}
