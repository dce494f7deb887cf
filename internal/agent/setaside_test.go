package agent

import (
	"fmt"
	"strings"
	"testing"

	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
)

// deadQueue has three dead letters of "out", which are all that were ever queued.
func deadQueue(t *testing.T) (*queue.Queue, []queue.DeadLetter) {
	t.Helper()
	q := openTestQueue(t, t.TempDir())
	fill(t, q, 3, event.Event{Recipient: "@never.example", Type: event.Hard, Reason: event.UserUnknown, Fault: event.FaultRecipient})
	_, stop := startDelivery(t, q, &answering{})
	eventually(t, "they are dead", func() bool { return pending(t, q) == 0 })
	stop()
	letters, err := q.Dead("")
	if err != nil || len(letters) != 3 {
		t.Fatalf("%+v %v", letters, err)
	}
	return q, letters
}

func TestDeadOfAllOutputs(t *testing.T) {
	q, letters := deadQueue(t)
	for name, c := range map[string]struct {
		s     Selection
		wrong string
	}{
		"a number that is not there": {Selection{Numbers: []uint64{letters[0].Seq, 99}}, "there is no dead letter 99: nothing is done"},
		"another output":             {Selection{Output: "x", All: true}, `there is no output "x"`},
	} {
		for verb, f := range map[string]func(string, []uint64) (int, error){"retry": q.RetryDead, "drop": q.DropDead} {
			if n, err := deadBy(q, c.s, f); n != 0 || err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%s, %s: %d, %v", name, verb, n, err)
			}
		}
	}
	if n, err := deadBy(q, Selection{Numbers: []uint64{letters[1].Seq}}, q.RetryDead); n != 1 || err != nil || pending(t, q) != 1 {
		t.Errorf("retry: %d, %v", n, err)
	}
	if n, err := deadBy(q, Selection{All: true}, q.DropDead); n != 2 || err != nil {
		t.Errorf("drop: %d, %v", n, err)
	}
	if n, err := deadBy(q, Selection{All: true, Output: "out"}, q.DropDead); n != 0 || err != nil {
		t.Errorf("drop none: %d, %v", n, err)
	}
	if n, err := heldBy(q, Selection{Numbers: []uint64{7}}, q.DropHeld); n != 0 || err == nil || !strings.Contains(err.Error(), "no held event 7") {
		t.Errorf("held: %d, %v", n, err)
	}
}

func TestDeadEdited(t *testing.T) {
	q, letters := deadQueue(t)
	edit := func(number uint64, set ...string) error {
		e := Edit{number, map[string]string{}}
		for _, one := range set {
			key, value, _ := strings.Cut(one, "=")
			e.Set[key] = value
		}
		_, err := editDead(q, e)
		return err
	}
	for set, want := range map[string]string{
		"recipient=jo": "recipient: ", "recipient=": "recipient: ", "type=gone": "none of hard", "subscriber_uuid=x": "no UUID", "id=x": "can't be changed",
	} {
		if err := edit(letters[0].Seq, set); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", set, err)
		}
	}
	if err := edit(99, "type=soft"); err == nil || !strings.Contains(err.Error(), "no dead letter 99") {
		t.Error(err)
	}
	if err := edit(letters[1].Seq, "recipient=jo@ok.example", "type=soft"); err != nil {
		t.Fatal(err)
	}
	if n, err := deadBy(q, Selection{All: true}, q.RetryDead); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	out := &answering{}
	_, stop := startDelivery(t, q, out)
	eventually(t, "they are sent again", func() bool { return pending(t, q) == 0 })
	stop()
	if fmt.Sprint(out.taken) != "[jo@ok.example]" {
		t.Errorf("taken: %v", out.taken)
	}
	left, err := q.Dead("")
	if err != nil || len(left) != 2 || left[0].Event.ID != letters[0].Event.ID {
		t.Errorf("%+v %v", left, err)
	}
}
