package queue

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"bouncefeed/internal/event"
)

// A batch that does not fit on the disk is stored in parts; outputs take what there is; nothing is lost or doubled.
func TestBatchThatDoesNotFit(t *testing.T) {
	path := filepath.Join(smallDisk(t, "256k"), "queue.db")
	q := openAt(t, path, Options{Outputs: []string{"out"}})
	got := map[string]int{}
	take := func() {
		for _, i := range settleAll(t, q, "out", Sent) {
			got[i.Event.MessageID]++
		}
	}
	const all, most = 1550, 1550
	refused, tries := 0, 0
	for done := 0; done < all; tries++ {
		b := Batch{Input: "in", Events: bounces(done, min(done+most, all)), Counts: read(uint64(min(most, all-done))),
			State: map[string][]byte{"at": fmt.Append(nil, done)}, Checkpoint: map[string]string{"offset": fmt.Sprint(done)}}
		r, err := q.Commit(context.Background(), b)
		switch {
		case IsFull(err):
			refused++
		case err != nil:
			t.Fatal(err)
		case len(r.Repeat) != len(b.Events):
			t.Fatalf("%d results for %d events", len(r.Repeat), len(b.Events))
		default:
			done += len(b.Events)
		}
		take()
		checkAccounts(t, q, "out")
		if tries > 20 {
			t.Fatalf("%d of %d are stored", len(got), all)
		}
	}
	for _, e := range bounces(0, all) {
		if n := got[e.MessageID]; n != 1 {
			t.Errorf("%s was sent %d times", e.MessageID, n)
		}
	}
	t.Logf("%d tries, %d of them refused", tries, refused)
	q.Close()
	if aside := damaged(path); len(aside) > 0 {
		t.Errorf("moved aside: %q", aside)
	}
}

// What is split off is only what is known again.
func TestSplitBatch(t *testing.T) {
	b := Batch{Input: "in", Events: bounces(0, 5), Counts: read(6), Checkpoint: map[string]string{"offset": "1"}}
	part, rest, ok := b.split()
	if !ok || len(part.Events) != 2 || len(rest.Events) != 3 || part.Checkpoint != nil || rest.Checkpoint == nil ||
		part.Counts[Figure{Word: CountRead}] != 2 || rest.Counts[Figure{Word: CountRead}] != 4 || b.Counts[Figure{Word: CountRead}] != 6 {
		t.Errorf("%+v, %+v, %v", part, rest, ok)
	}
	b.Events = slices.Clone(b.Events)
	for i := range b.Events {
		b.Events[i].Proof = event.ProofNone
	}
	if len(b.Events[0].Keys()) > 0 {
		t.Fatal("they have keys")
	}
	if _, _, ok := b.split(); ok {
		t.Error("what is not known again was split off")
	}
	if _, _, ok := (Batch{Events: bounces(0, 1)}).split(); ok {
		t.Error("one event is no two parts")
	}
}
