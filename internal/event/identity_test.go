package event

import (
	"slices"
	"testing"
	"time"
)

func overlap(a, b Event) bool {
	known := append(b.Keys(), b.Claims()...)
	return slices.ContainsFunc(a.Keys(), func(k Key) bool { return slices.Contains(known, k) })
}

func TestTheSameFailureSharesAKey(t *testing.T) {
	log := Event{Recipient: "Jo@Alias.example", OriginalRecipient: "jo@example.org", MessageID: "m@x", QueueID: "4F1A", QueueIDIssuer: "mx1"}
	for name, e := range map[string]Event{
		"the report names the final recipient":             {Recipient: "jo@example.org", MessageID: "m@x"},
		"the report names the alias":                       {Recipient: "jo@alias.example", MessageID: "m@x"},
		"the report lacks the Message-ID":                  {Recipient: "jo@example.org", QueueID: "4F1A", QueueIDIssuer: "MX1.example.com"},
		"only the subscriber is proven":                    {Claimed: "jo@example.org", MessageID: "m@x", Proof: ProofSubscriber, SubscriberUUID: "u"},
		"a report by the same host without the Message-ID": {Claimed: "jo@example.org", QueueID: "4F1A", QueueIDIssuer: "mx1", Proof: ProofSubscriber, SubscriberUUID: "u"},
		"a filter's second queue id":                       {Recipient: "jo@example.org", QueueID: "4F1B", OtherQueueIDs: []string{"4F1A"}, QueueIDIssuer: "mx1"},
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

// What a report claims makes no key: it can't stand in the way of another's bounce.
func TestClaimsMakeNoKeys(t *testing.T) {
	log := Event{Recipient: "jo@example.org", MessageID: "m@x", QueueID: "4F1A", QueueIDIssuer: "mx1", SubscriberUUID: "jos"}
	for name, e := range map[string]Event{
		"another subscriber": {Claimed: "jo@example.org", MessageID: "m@x", QueueID: "4F1A", QueueIDIssuer: "mx1", SubscriberUUID: "jims", Proof: ProofSubscriber},
		"another recipient":  {Recipient: "jim@example.org", MessageID: "n@x", QueueID: "4F1A", QueueIDIssuer: "mx1", Proof: ProofRecipient},
		"no proof":           {Recipient: "jo@example.org", MessageID: "m@x", QueueID: "4F1A", QueueIDIssuer: "mx1", Proof: ProofNone},
	} {
		if overlap(e, log) {
			t.Errorf("%s: a key in common", name)
		}
		if e.MakeID() == log.MakeID() && e.Proof != ProofNone {
			t.Errorf("%s: the same id", name)
		}
	}
	one, other := Event{Claimed: "a@x", MessageID: "m@x", SubscriberUUID: "u", Proof: ProofSubscriber}, Event{Claimed: "b@x", MessageID: "m@x", SubscriberUUID: "u", Proof: ProofSubscriber}
	if !overlap(one, other) {
		t.Error("one message to one subscriber is two events")
	}
}

// knows says whether later is a repeat where first is stored.
func knows(later, first Event) bool {
	stored := first.Keys()
	return slices.ContainsFunc(append(later.Keys(), later.Claims()...), func(k Key) bool { return slices.Contains(stored, k) })
}

// One message with one subscriber's UUID may have gone to several recipients: the log tells of each. A report that proves
// the subscriber and nobody's address is the same as theirs.
func TestOneSubscriberSeveralRecipients(t *testing.T) {
	jo := Event{Recipient: "jo@example.org", SubscriberUUID: "u", MessageID: "m@x"}
	ann := Event{Recipient: "ann@example.org", SubscriberUUID: "u", MessageID: "m@x"}
	nameless := Event{Claimed: "jo@example.org", SubscriberUUID: "u", MessageID: "m@x", Proof: ProofSubscriber}
	joTrusted, annTrusted := jo, ann
	joTrusted.Proof, annTrusted.Proof = ProofTrusted, ProofTrusted
	for _, pair := range [][2]Event{{jo, ann}, {ann, jo}, {joTrusted, annTrusted}, {jo, annTrusted}} {
		if knows(pair[0], pair[1]) {
			t.Errorf("%s is taken for a repeat of %s", pair[0].Recipient, pair[1].Recipient)
		}
	}
	for _, named := range []Event{jo, ann, joTrusted} {
		if !knows(named, nameless) || named.Recipient == nameless.Claimed && !knows(nameless, named) {
			t.Errorf("%s and the subscriber's report are two events", named.Recipient)
		}
	}
	if again := nameless; !knows(again, nameless) || !knows(joTrusted, jo) {
		t.Error("the same is told twice")
	}
}
