package queue

import (
	"testing"

	"bouncefeed/internal/event"
)

// What lacks proof must not stand in the way of what has it, however it is told first.
func TestHeldGivesWayToItsProof(t *testing.T) {
	q := openNew(t, Options{})
	forged := bounce(1)
	told := func(e event.Event) {
		commit(t, q, Batch{Counts: read(1), Held: []Held{{e, "no proof"}}})
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
		b.Held = append(b.Held, Held{bounce(i), "no proof"})
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
