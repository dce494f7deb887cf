package queue

import (
	"testing"
	"time"

	"bouncefeed/internal/event"
)

// What lacks proof must not stand in the way of what has it, however it is told first.
func TestHeldGivesWayToItsProof(t *testing.T) {
	q := openNew(t, Options{})
	forged := bounce(1)
	told := func(e event.Event) {
		commit(t, q, Batch{Counts: read(1), Held: []Held{{Event: e, Why: "no proof"}}})
	}
	told(forged)
	told(forged)
	if held, err := q.Held(); err != nil || len(held) != 1 {
		t.Fatalf("%d held, %v", len(held), err)
	}
	r := commit(t, q, Batch{Counts: read(1), Events: []event.Event{forged}})
	if r.Repeat[0] {
		t.Error("the proven event is taken for a repeat of the held one")
	}
	told(forged) // now it is a repeat of a real event
	if held, err := q.Held(); err != nil || len(held) != 0 {
		t.Fatalf("%d held, %v", len(held), err)
	}
	dropped := bounce(2)
	told(dropped)
	if n, err := q.DropHeld(nil); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	told(dropped) // dropped by an admin: not held again
	if held, err := q.Held(); err != nil || len(held) != 0 {
		t.Fatalf("%d held, %v", len(held), err)
	}
	if r := commit(t, q, Batch{Counts: read(1), Events: []event.Event{dropped}}); r.Repeat[0] {
		t.Error("what was dropped for want of proof is lost when the proof comes")
	}
	checkAccounts(t, q, "out")
}

func TestHeldIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("ten thousand held events take seconds")
	}
	t.Parallel()
	q := openNew(t, Options{})
	b := Batch{Counts: read(0)}
	for i := range maxHeld + 300 {
		b.Held = append(b.Held, Held{Event: bounce(i), Why: "no proof"})
		b.Counts[Figure{Word: CountRead}]++
	}
	commit(t, q, b)
	held, err := q.Held()
	if err != nil || len(held) != maxHeld {
		t.Fatalf("%d held, %v", len(held), err)
	}
	if first := bounce(300); held[0].Event.Recipient != first.Recipient {
		t.Errorf("the oldest left is %s", held[0].Event.Recipient)
	}
	checkAccounts(t, q, "out")
}

func TestForget(t *testing.T) {
	q := openNew(t, Options{})
	commit(t, q, Batch{Input: "old", Checkpoint: map[string]string{"at": "1"}, State: map[string][]byte{"k": []byte("v")}})
	if err := q.Forget("old"); err != nil {
		t.Fatal(err)
	}
	if cp, err := q.Checkpoint("old"); err != nil || len(cp) != 0 {
		t.Errorf("checkpoint %v, %v", cp, err)
	}
	for k := range q.State("old") {
		t.Errorf("state %q", k)
	}
	if err := q.Forget("never"); err != nil {
		t.Error(err)
	}
}

const (
	testSubscriber  = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
	otherSubscriber = "3f2504e0-4f89-41d3-9a0c-0305e82c3302"
)

// reportOf is a report of a failure that proves a subscriber and claims the rest.
func reportOf(e event.Event, subscriber string) event.Event {
	e.Claimed, e.Recipient, e.SubscriberUUID, e.Evidence, e.Proof = e.Recipient, "", subscriber, "uuid", event.ProofSubscriber
	return e
}

func keepNone(*event.Event) string { return "" }

// Whichever is read first, report or log: one event, with the address that the log knows and the subscriber that the
// report proves.
func TestReportWaitsForTheLog(t *testing.T) {
	for _, sole := range []bool{true, false} {
		q := openNew(t, Options{})
		log := bounce(1)
		log.Sole = sole
		report := reportOf(log, testSubscriber)
		due := q.o.Now().Add(time.Second)
		commit(t, q, Batch{Counts: read(2), Held: []Held{{Event: report, Why: "waits", Until: due}, {Event: report, Why: "waits", Until: due}}})
		if r := commit(t, q, Batch{Counts: read(1), Events: []event.Event{log}}); r.Repeat[0] {
			t.Fatal("the log's word is a repeat")
		}
		commit(t, q, Batch{Counts: read(1), Held: []Held{{Event: report, Why: "waits", Until: due}}})
		if n, err := q.ReleaseWaiting(due.Add(time.Hour), keepNone); n != 0 || err != nil {
			t.Error(n, err)
		}
		items, err := q.Next(t.Context(), "out", 10)
		if err != nil || len(items) != 1 || items[0].Event.Recipient != log.Recipient || (items[0].Event.SubscriberUUID == testSubscriber) != sole {
			t.Errorf("%+v, %v", items, err)
		}
		checkAccounts(t, q, "out")
	}
}

func TestWaitingIsReleased(t *testing.T) {
	q := openNew(t, Options{})
	due := q.o.Now().Add(time.Second)
	reports := []event.Event{reportOf(bounce(1), testSubscriber), reportOf(bounce(1), otherSubscriber), reportOf(bounce(2), testSubscriber)}
	for _, e := range reports {
		commit(t, q, Batch{Counts: read(1), Held: []Held{{Event: e, Why: "waits", Until: due}}})
	}
	if n, err := q.ReleaseWaiting(due.Add(-1), keepNone); n != 3 || err != nil {
		t.Error(n, err)
	}
	keepLast := func(e *event.Event) string {
		if e.MessageID == reports[2].MessageID {
			return "not in the log"
		}
		return ""
	}
	if n, err := q.ReleaseWaiting(due, keepLast); n != 0 || err != nil {
		t.Error(n, err)
	}
	if held, err := q.Held(); err != nil || len(held) != 1 || held[0].Why != "not in the log" {
		t.Errorf("held %+v, %v", held, err)
	}
	if items, err := q.Next(t.Context(), "out", 10); err != nil || len(items) != 2 {
		t.Errorf("%+v, %v", items, err)
	}
	// What they claimed of another's message stands in nobody's way.
	if r := commit(t, q, Batch{Counts: read(1), Events: []event.Event{bounce(1)}}); r.Repeat[0] {
		t.Error("the log's word is a repeat")
	}
	checkAccounts(t, q, "out")
}

// A copy's failure is nobody's, whether the report of it comes before the log's word or after.
func TestReportsOfCopies(t *testing.T) {
	for _, first := range []bool{true, false} {
		q := openNew(t, Options{})
		failed := bounce(1)
		failed.QueueIDIssuer = "mx1"
		report, due := reportOf(failed, testSubscriber), q.o.Now().Add(time.Second)
		held := Batch{Counts: read(1), Held: []Held{{Event: report, Why: "waits", Until: due}}}
		copied := failed
		copied.Type = event.CopyFailed
		settled := Batch{Counts: map[Figure]uint64{{Word: CountRead}: 1, IgnoredAs("copy_failed"): 1}, Copies: []event.Event{copied}}
		for _, b := range map[bool][]Batch{true: {held, settled, settled}, false: {settled, held, held}}[first] {
			commit(t, q, b)
		}
		if n, err := q.ReleaseWaiting(due, keepNone); n != 0 || err != nil {
			t.Error(n, err)
		}
		if all, err := q.Held(); err != nil || len(all) != 0 {
			t.Errorf("held %+v, %v", all, err)
		}
		report.QueueIDIssuer = "mx.example.net" // another host's report is another failure
		if r := commit(t, q, Batch{Counts: read(2), Events: []event.Event{report, failed}}); r.Repeat[0] || r.Repeat[1] {
			t.Errorf("repeats %v", r.Repeat)
		}
		checkAccounts(t, q, "out")
	}
}
