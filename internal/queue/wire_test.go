package queue

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"bouncefeed/internal/event"
)

// Whatever a batch holds arrives, the fields that are in no public JSON too.
func TestBatchAsJSON(t *testing.T) {
	t.Parallel()
	var e event.Event
	fill(t, reflect.ValueOf(&e).Elem())
	b := Batch{
		Input: "backfill", Events: []event.Event{e, {ID: "x"}}, Copies: []event.Event{e}, Held: []Held{{Event: e, Why: "no proof", Until: time.Unix(7, 0).UTC()}},
		Refused: []Refused{{Time: time.Unix(1, 0).UTC(), Why: "malformed", Body: []byte("\xff\x00")}},
		State:   map[string][]byte{"kept": []byte("\xff"), "empty": {}, "forgotten": nil}, Checkpoint: map[string]string{"offset": "1"},
		Sent: [][8]byte{{1, 2}, {255}}, Counts: map[Figure]uint64{{Word: CountRead}: 3, IgnoredAs("other"): 1<<64 - 1},
		Mails: []Mail{{Domain: "example.org", Relay: "mx.example.org", Hour: 500_000, N: 3}}, Log: true,
	}
	for i := range reflect.TypeFor[Batch]().NumField() {
		if name := reflect.TypeFor[Batch]().Field(i).Name; reflect.ValueOf(b).Field(i).IsZero() && name != "Counted" && name != "Valid" { // of this process's own
			t.Errorf("%s: teach this test", reflect.TypeFor[Batch]().Field(i).Name)
		}
	}
	for _, want := range []Batch{b, {}} {
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var got Batch
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
	for _, text := range []string{`{"sent":"AAA="}`, `{"counts":{"":1}}`, `{"counts":{"ignored/":1}}`, `{"events":[1]}`, `[]`} {
		if err := json.Unmarshal([]byte(text), &b); err == nil {
			t.Errorf("%s was read", text)
		}
	}
}
