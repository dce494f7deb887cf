package provider

import (
	"slices"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/parsers"
	"bouncefeed/parsers/parsertest"
)

// A broken item of a batch is refused by itself, whatever is wrong with it.
func TestBatchesKeepTheirGoodItems(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"native", "standard", "sendgrid"} {
		p, good := build(t, kind), genuine(t, kind)
		alone, refused := parseBody(t, p, good)
		if len(refused) > 0 || len(alone) != 1 {
			t.Fatalf("%s: %d events, %q", kind, len(alone), refused)
		}
		for _, c := range []struct {
			what, broken string
			why          []string
			events       int
		}{
			{"text", `"x"`, []string{event.WhyMalformed}, 2},
			{"duplicate key", `{"email":"a@example.org","Email":"b@example.org"}`, []string{event.WhyTwoReadings}, 2},
			{"duplicate key, deep", `{"a":[{"b":1,"b":2}]}`, []string{event.WhyTwoReadings}, 2},
			{"too deep", `{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, []string{event.WhyTooDeep}, 2},
			{"another shape", `{"email":{},"id":[],"event":7}`, []string{event.WhyMalformed}, 2},
			{"two of them", `"x",{"a":1,"a":2}`, []string{event.WhyMalformed, event.WhyTwoReadings}, 2},
			{"no JSON", `{"email":nothing}`, []string{event.WhyMalformed}, 1}, // what follows can't be told apart
		} {
			events, refused := parseBody(t, p, batch(good, []byte(c.broken), good))
			if len(events) != c.events || !slices.Equal(refused, c.why) {
				t.Errorf("%s, %s: %d events, %q", kind, c.what, len(events), refused)
			}
		}
	}
}

func TestNativeIdentity(t *testing.T) {
	t.Parallel()
	id := func(at time.Time, body string) string {
		var ids []string
		err := native{}.Parse(event.Record{Time: at, Body: []byte(body)}, func(e event.Event) { ids = append(ids, e.MakeID()) })
		if err != nil || len(ids) != 1 {
			t.Fatalf("%s: %v %v", body, ids, err)
		}
		return ids[0]
	}
	const campaign = `,"campaign_uuid":"3f2a1b4c-5d6e-4f70-8a9b-0c1d2e3f4a5b"`
	post := func(more string) string { return `{"email":"jo@example.org","type":"soft","source":"a"` + more + `}` }
	later, nextDay := parsertest.Time.Add(time.Minute), parsertest.Time.Add(24*time.Hour)
	for what, c := range map[string]struct {
		a, b string
		at   time.Time
		same bool
	}{
		"repeated":                    {post(""), post(""), later, true},
		"otherwise spaced":            {post(`,"meta":{"a": 1}`), ` ` + post(`,"meta":{"a":1}`), later, true},
		"another day":                 {post(""), post(""), nextDay, false},
		"another day, same campaign":  {post(campaign), post(campaign), nextDay, true},
		"another day, told when":      {post(`,"created_at":"2026-11-22T07:01:02Z"`), post(`,"created_at":"2026-11-22T07:01:02Z"`), nextDay, true},
		"another time":                {post(`,"created_at":"2026-11-22T07:01:02Z"`), post(`,"created_at":"2026-11-22T07:01:03Z"`), later, false},
		"another meta":                {post(`,"meta":"a"`), post(`,"meta":"b"`), later, false},
		"another meta, same message":  {post(`,"meta":{"a":1,"message_id":"<1@news.example.com>"}`), post(`,"meta":"{\"message_id\":\"1@news.example.com\"}"`), nextDay, true},
		"another queue id":            {post(`,"meta":{"queue_id":"4Xyz"}`), post(`,"meta":{"queue_id":"4Xyy"}`), later, false},
		"another host's queue id":     {post(`,"meta":{"queue_id":"4Xyz","host":"mx1"}`), post(`,"meta":{"queue_id":"4Xyz"}`), later, false},
		"two readings of meta":        {post(`,"meta":"{\"queue_id\":\"4Xyz\",\"Queue_ID\":\"5\"}"`), post(`,"meta":{"queue_id":"4Xyz"}`), later, false},
		"another case of the address": {post(""), strings.Replace(post(""), "jo@", "Jo@", 1), later, true},
	} {
		if same := id(parsertest.Time, c.a) == id(c.at, c.b); same != c.same {
			t.Errorf("%s: same is %v", what, same)
		}
	}
}

// A script that reads the mail server's log beside us tells of the same failure.
func TestNativeKnowsTheLogsFailure(t *testing.T) {
	t.Parallel()
	logged := event.Event{Recipient: "jo@example.org", MessageID: "1@news.example.com", QueueID: "4XyzAb", QueueIDIssuer: "mx1"}
	for _, meta := range []string{`{"message_id":"<1@news.example.com>"}`, `{"queue_id":"4XyzAb"}`, `{"queue_id":"4XyzAb","host":"mx1.example.com"}`} {
		body := `{"email":"jo@example.org","type":"hard","meta":` + meta + `}`
		err := native{host: "mx1"}.Parse(event.Record{Time: parsertest.Time, Body: []byte(body)}, func(e event.Event) {
			if keys := logged.Keys(); !slices.ContainsFunc(e.Keys(), func(k event.Key) bool { return slices.Contains(keys, k) }) {
				t.Errorf("%s: another bounce than the log's: %+v", meta, e)
			}
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func FuzzNative(f *testing.F)    { parsertest.Fuzz(f, "native", parsertest.Items, checkBody) }
func FuzzStandard(f *testing.F)  { parsertest.Fuzz(f, "standard", parsertest.Items, checkBody) }
func FuzzSES(f *testing.F)       { parsertest.Fuzz(f, "ses", parsertest.Items, checkBody) }
func FuzzCopernica(f *testing.F) { parsertest.Fuzz(f, "copernica", nil, checkBody) }

// checkBody holds what every request must hold to, whatever it says: events that name somebody, and text of bounded
// length.
func checkBody(t testing.TB, kind string) parsertest.Check {
	p := build(t, kind)
	return func(t testing.TB, body []byte) { readBody(t, p, kind, body) }
}

func readBody(t testing.TB, p parsers.Parser, kind string, body []byte) []event.Event {
	events, _ := parseBody(t, p, body)
	for _, e := range events {
		if e.Type.Reported() && e.Recipient == "" && e.SubscriberUUID == "" {
			t.Errorf("names nobody: %+v", e)
		}
		if e.ID != "" && kind != "native" && kind != "standard" {
			t.Errorf("%s sets the id", kind)
		}
		if len(e.Diagnostic) > parsers.MaxDiagnostic {
			t.Errorf("diagnostic of %d bytes", len(e.Diagnostic))
		}
	}
	return events
}
