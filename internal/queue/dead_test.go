package queue

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"bouncefeed/internal/event"
)

// Of dead letters the newest are kept, and the counters add up.
func TestDeadLettersAreBounded(t *testing.T) {
	defer func(n uint64) { maxDead = n }(maxDead)
	maxDead = 3
	q, err := Open(filepath.Join(t.TempDir(), "queue.db"), Options{MaxSize: 64 << 20, Retain: time.Hour, Outputs: []string{"out"}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	var b Batch
	b.Input = "in"
	for i := range 7 {
		e := event.Event{Recipient: string(rune('a'+i)) + "@example.org", Type: event.Hard, QueueID: "Q", QueueIDIssuer: "mx1"}
		e.ID = e.MakeID()
		b.Events = append(b.Events, e)
	}
	if _, err := q.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	for range 7 {
		items, err := q.Next(t.Context(), "out", 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Settle("out", []Settled{{Seq: items[0].Seq, Outcome: Dead, Answer: "400"}}); err != nil {
			t.Fatal(err)
		}
	}
	letters, err := q.Dead("out")
	if err != nil || len(letters) != 3 || letters[0].Event.Recipient != "e@example.org" {
		t.Errorf("%+v %v", letters, err)
	}
	s, err := q.Stats()
	if err != nil || s.Dead["out"] != 3 || s.Counters.Output("out", CountPushedOut) != 4 {
		t.Errorf("%+v %v", s, err)
	}
}
