package agent

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"bouncefeed/internal/classify"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
	"bouncefeed/parsers"
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
	s := newSink(sinkConfig{name: "box", classifier: classify.Default(), now: time.Now, env: config.Env{Log: slog.New(slog.DiscardHandler)}})
	s.parsers.main = mistaken{}
	late := time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -8*3600))
	d, err := s.parse([]event.Record{{Time: time.Now(), Body: []byte("fail")}, {Time: late}, {Time: time.Now()}}, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	b := &d.batch
	if len(b.Events) != 2 || len(b.Refused) != 1 || b.Refused[0].Why != refusedPanic || string(b.Refused[0].Body) != "fail" || b.Counts[queue.Figure{Word: queue.CountRead}] != 3 {
		t.Errorf("%d events, refused %+v, counts %v", len(b.Events), b.Refused, b.Counts)
	}
	for _, e := range b.Events {
		if _, err := json.Marshal(e); err != nil {
			t.Error(err)
		}
	}
}

// given emits the events that its records name by index.
type given []event.Event

func (g given) Parse(rec event.Record, emit func(event.Event)) error {
	emit(g[rec.Body[0]])
	return nil
}

// parseEvents has a sink take what a parser emitted, one event a record.
func parseEvents(t *testing.T, c sinkConfig, events ...event.Event) *queue.Batch {
	t.Helper()
	c.name, c.classifier, c.now = "in", classify.Default(), time.Now
	s := newSink(c)
	s.parsers.main = given(events)
	recs := make([]event.Record, len(events))
	for i := range recs {
		recs[i] = event.Record{Time: time.Unix(1_800_000_000, 0), Body: []byte{byte(i)}}
	}
	d, err := s.parse(recs, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	return &d.batch
}

// With `senders:` only mail of those envelope senders is reported, counted under its types and entered in the ledger.
func TestOnlyTheSendersNamedAreReported(t *testing.T) {
	events := []event.Event{
		{Recipient: "a@example.org", Sender: "bounces@news.example"},
		{Recipient: "b@example.org", Sender: "Bounces@NEWS.example"},
		{Recipient: "c@example.org", Sender: "office@example.com"},
		{Recipient: "d@example.org"},
		{Recipient: "e@example.org", Sender: "bounces@news.example.evil.example"},
		{Recipient: "f@example.org", Sender: "office@example.com", MessageID: "m@x", Type: event.Delivered, Ours: true},
		{Recipient: "g@example.org", Sender: "list@news.example", MessageID: "m@x", Type: event.Delivered, Ours: true},
	}
	b := parseEvents(t, sinkConfig{senders: []string{"*@news.example"}, ledger: ledger{key: []byte("key")}}, events...)
	if len(b.Events) != 2 || b.Events[0].Recipient != "a@example.org" || b.Events[1].Recipient != "b@example.org" {
		t.Errorf("reported: %+v", b.Events)
	}
	if b.Counts[queue.IgnoredAs("other_sender")] != 4 || b.Counts[queue.IgnoredAs("delivered")] != 1 || b.Counts[queue.Figure{Word: queue.CountRead}] != 7 {
		t.Errorf("counts: %v", b.Counts)
	}
	if len(b.Sent) != 1 || b.Sent[0] != event.Sent([]byte("key"), "m@x", "g@example.org") {
		t.Errorf("the ledger's entries: %v", b.Sent)
	}
	if b := parseEvents(t, sinkConfig{}, events...); len(b.Events) != 5 {
		t.Errorf("without senders: %d reported", len(b.Events))
	}
}

// listmonk's test mails carry the all-zero UUID: nobody is subscribed under it.
func TestTestMailsAreNotReported(t *testing.T) {
	const zero = "00000000-0000-0000-0000-000000000000"
	b := parseEvents(t, sinkConfig{},
		event.Event{Recipient: "a@example.org", SubscriberUUID: zero, CampaignUUID: zero},
		event.Event{Recipient: "b@example.org", SubscriberUUID: "7a8b9c0d-1e2f-4a3b-9c4d-5e6f7a8b9c0d", CampaignUUID: zero},
		event.Event{SubscriberUUID: zero, Type: event.Complaint})
	if len(b.Events) != 1 || b.Events[0].Recipient != "b@example.org" || b.Counts[queue.IgnoredAs("test_mail")] != 2 || b.Counts[queue.Figure{Word: queue.CountRead}] != 3 {
		t.Errorf("reported %+v, counts %v", b.Events, b.Counts)
	}
}

// failing is a store that fails as long as it is told to, and remembers what else it was given.
type failing struct {
	err     error
	batches []queue.Batch
}

func (f *failing) Commit(_ context.Context, b queue.Batch) (queue.Result, error) {
	if f.err != nil {
		return queue.Result{}, f.err
	}
	f.batches = append(f.batches, b)
	return queue.Result{Repeat: make([]bool, len(b.Events))}, nil
}

func (f *failing) Checkpoint(string) (map[string]string, error) { return map[string]string{}, nil }

// After a failed Commit the parser goes: it remembers what was not stored. The next one begins with what is.
func TestParserGoesWithAFailedCommit(t *testing.T) {
	store, loads := &failing{}, 0
	s := newSink(sinkConfig{
		name: "in", format: config.Section{Type: "postfix"}, classifier: classify.Default(), store: store, now: time.Now,
		env:    config.Env{Log: slog.New(slog.DiscardHandler)},
		memory: func(p parsers.Stateful) error { loads++; return nil },
	})
	opened := []event.Record{{Body: []byte("Nov 22 10:00:00 mx1 postfix/qmgr[1]: 4F1A01C2D0: from=<b@news.example>, size=1, nrcpt=2 (queue active)")}}
	bounced := []event.Record{{Body: []byte("Nov 22 10:00:01 mx1 postfix/smtp[1]: 4F1A01C2D0: to=<jo@example.org>, relay=mx.example.org[192.0.2.1]:25, " +
		"delay=1, delays=0/0/1/0, dsn=5.1.1, status=bounced (host mx.example.org[192.0.2.1] said: 550 5.1.1 User unknown (in reply to RCPT TO command))")}}
	store.err = errors.New("no space left on device")
	if err := s.Commit(t.Context(), opened, nil); !errors.Is(err, store.err) {
		t.Fatalf("got %v", err)
	}
	store.err = nil
	for _, recs := range [][]event.Record{opened, bounced} {
		if err := s.Commit(t.Context(), recs, map[string]string{"offset": "1"}); err != nil {
			t.Fatal(err)
		}
	}
	if loads != 2 {
		t.Errorf("the stored memory was loaded %d times, want at first and after the failure", loads)
	}
	if len(store.batches) != 2 || len(store.batches[0].State) == 0 || store.batches[0].Checkpoint["offset"] != "1" {
		t.Errorf("stored after the failure: %+v", store.batches)
	}
	if last := store.batches[1]; len(last.Events) != 1 || last.Events[0].Sender != "b@news.example" {
		t.Errorf("the bounce behind the failure: %+v", last.Events)
	}
}
