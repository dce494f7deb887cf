package event

import (
	"slices"
	"testing"
	"time"
)

func overlap(a, b Event) bool {
	for _, k := range a.Keys() {
		if slices.Contains(b.Keys(), k) {
			return true
		}
	}
	return false
}

func TestTheSameFailureSharesAKey(t *testing.T) {
	log := Event{Recipient: "Jo@Alias.example", OriginalRecipient: "jo@example.org", MessageID: "m@x", QueueID: "4F1A", QueueIDIssuer: "mx1"}
	for name, e := range map[string]Event{
		"the report names the final recipient": {Recipient: "jo@example.org", MessageID: "m@x"},
		"the report names the alias":           {Recipient: "jo@alias.example", MessageID: "m@x"},
		"the report lacks the Message-ID":      {Recipient: "jo@example.org", QueueID: "4F1A", QueueIDIssuer: "MX1.example.com"},
		"only the subscriber is proven":        {Claimed: "jo@example.org", MessageID: "m@x"},
		"a filter's second queue id":           {Recipient: "jo@example.org", QueueID: "4F1B", OtherQueueIDs: []string{"4F1A"}, QueueIDIssuer: "mx1"},
	} {
		if !overlap(log, e) {
			t.Errorf("%s: no key in common", name)
		}
	}
	for name, e := range map[string]Event{
		"another recipient":       {Recipient: "jim@example.org", MessageID: "m@x", QueueID: "4F1A", QueueIDIssuer: "mx1"},
		"another message":         {Recipient: "jo@example.org", MessageID: "n@x"},
		"another server":          {Recipient: "jo@example.org", QueueID: "4F1A", QueueIDIssuer: "mx2"},
		"a complaint":             {Type: Complaint, Recipient: "jo@example.org", MessageID: "m@x"},
		"parts that run together": {Recipient: "jo@example.orgm", MessageID: "@x"},
	} {
		if overlap(log, e) {
			t.Errorf("%s: a key in common", name)
		}
	}
}

func TestIDIsStable(t *testing.T) {
	e := Event{Recipient: "jo@example.org", MessageID: "m@x", QueueID: "4F1A", QueueIDIssuer: "mx1", Time: time.Unix(1, 0)}
	later := e
	later.Time, later.QueueID, later.Diagnostic = time.Unix(2, 0), "4F1B", "other words"
	if e.MakeID() != later.MakeID() || !IsID(e.MakeID()) {
		t.Errorf("%s, %s", e.MakeID(), later.MakeID())
	}
	if e.MakeID() != "63dcd17b729a1c3cf8f9356e6f37e595" { // receivers remember it over our versions
		t.Errorf("the id has become %s", e.MakeID())
	}
	nameless := Event{Diagnostic: "550", Time: time.Unix(1, 0)}
	if other := (Event{Diagnostic: "551", Time: time.Unix(1, 0)}); nameless.MakeID() == other.MakeID() {
		t.Error("two failures without a name are one")
	}
}

func TestOnlyTheRecipientsFaultIsHard(t *testing.T) {
	for _, r := range Reasons() {
		typ, fault, ok := r.Outcome()
		if !ok || typ != Hard && typ != Soft || typ == Hard && fault != FaultRecipient {
			t.Errorf("%s: %s, %s", r, typ, fault)
		}
	}
}
