package agent

import (
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"bouncefeed/internal/classify"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
)

// mistaken fails on a record that says so.
type mistaken struct{}

func (mistaken) Parse(rec event.Record, emit func(event.Event)) error {
	if string(rec.Body) == "fail" {
		panic("index out of range")
	}
	emit(event.Event{Recipient: "jo@example.org", Time: rec.Time, Diagnostic: "550 5.1.1 user unknown"})
	return nil
}

// A record that a parser fails on, or whose time no JSON can carry, does not keep the others back.
func TestSinkOutlivesItsParser(t *testing.T) {
	s := &sink{name: "box", parser: mistaken{}, classifier: classify.Default(), now: time.Now, env: config.Env{Log: slog.New(slog.DiscardHandler)}}
	late := time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -8*3600))
	b, err := s.parse([]event.Record{{Time: time.Now(), Body: []byte("fail")}, {Time: late}, {Time: time.Now()}})
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Events) != 2 || len(b.Refused) != 1 || b.Refused[0].Why != refusedPanic || string(b.Refused[0].Body) != "fail" || b.Counts["read"] != 3 {
		t.Errorf("%d events, refused %+v, counts %v", len(b.Events), b.Refused, b.Counts)
	}
	for _, e := range b.Events {
		if _, err := json.Marshal(e); err != nil {
			t.Error(err)
		}
	}
}
