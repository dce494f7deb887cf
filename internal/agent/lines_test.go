package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/classify"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
	"bouncefeed/parsers"
)

func newLineSink(s store) *sink {
	return newSink(sinkConfig{
		name: "in", format: config.Section{Type: "postfix"}, classifier: classify.Default(), store: s, now: time.Now,
		env: config.Env{Log: slog.New(slog.DiscardHandler)},
	})
}

// blockingStore hands on each batch when it is let.
type blockingStore struct {
	failing
	let chan error
}

func (b *blockingStore) Commit(ctx context.Context, batch queue.Batch) (queue.Result, error) {
	if err := <-b.let; err != nil {
		return queue.Result{}, err
	}
	return b.failing.Commit(ctx, batch)
}

func opens(id string) string {
	return fmt.Sprintf("Nov 22 10:00:00 mx1 postfix/qmgr[1]: %s: from=<b@news.example>, size=1, nrcpt=2 (queue active)\n", id)
}

func bounces(id string) string {
	return fmt.Sprintf("Nov 22 10:00:01 mx1 postfix/smtp[1]: %s: to=<jo@example.org>, relay=mx.example.org[192.0.2.1]:25, "+
		"delay=1, delays=0/0/1/0, dsn=5.1.1, status=bounced (host mx.example.org[192.0.2.1] said: 550 5.1.1 User unknown (in reply to RCPT TO command))\n", id)
}

func (s *sink) mustRead(t *testing.T, lines string) (due bool) {
	t.Helper()
	due, err := s.Read([]byte(lines), time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return due
}

func TestLinesAreParsedWhileOthersAreStored(t *testing.T) {
	store := &blockingStore{let: make(chan error)}
	s := newLineSink(store)
	if s.mustRead(t, opens("4F1A01C2D0")) {
		t.Error("a batch without events is due")
	}
	var told []string
	at := func(offset string) (map[string]string, func()) {
		return map[string]string{"offset": offset}, func() { told = append(told, offset) }
	}
	checkpoint, stored := at("1")
	if err := s.Store(t.Context(), checkpoint, stored); err != nil {
		t.Fatal(err)
	}
	if !s.mustRead(t, bounces("4F1A01C2D0")+opens("4F1A01C2D1")) {
		t.Error("an event is not due")
	}
	if len(store.batches) != 0 {
		t.Fatal("stored what was not let")
	}
	store.let <- nil
	checkpoint, stored = at("2")
	if err := s.Store(t.Context(), checkpoint, stored); err != nil {
		t.Fatal(err)
	}
	store.let <- nil
	if err := s.Settle(); err != nil {
		t.Fatal(err)
	}
	if len(store.batches) != 2 || len(store.batches[1].Events) != 1 || !slices.Equal(told, []string{"1", "2"}) {
		t.Errorf("stored %+v, told of %q", store.batches, told)
	}
	if n := store.batches[1].Counts[queue.Figure{Word: queue.CountRead}]; n != 2 {
		t.Errorf("counted %d lines of 2", n)
	}
}

// What was parsed behind a batch that could not be stored goes with it, and so does the parser, until the input begins again.
func TestLinesBehindAFailedStoreAreForgotten(t *testing.T) {
	store := &blockingStore{let: make(chan error, 1)}
	s := newLineSink(store)
	loads := 0
	s.parsers.memory = func(parsers.Stateful) error { loads++; return nil }
	full := errors.New("no space left on device")
	store.let <- full
	s.mustRead(t, opens("4F1A01C2D0"))
	if err := s.Store(t.Context(), map[string]string{"offset": "1"}, func() { t.Error("told of what is not stored") }); err != nil {
		t.Fatal(err)
	}
	<-s.lines.underWay
	if _, err := s.Read([]byte(bounces("4F1A01C2D0")), time.Now(), 0); !errors.Is(err, full) {
		t.Errorf("Read: %v", err)
	}
	if err := s.Store(t.Context(), map[string]string{"offset": "2"}, nil); !errors.Is(err, full) {
		t.Errorf("Store: %v", err)
	}
	if err := s.Settle(); !errors.Is(err, full) {
		t.Errorf("Settle: %v", err)
	}
	if _, err := s.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	s.mustRead(t, opens("4F1A01C2D0")+bounces("4F1A01C2D0"))
	if _, err := s.Checkpoint(); err != nil { // Run ended before it was stored
		t.Fatal(err)
	}
	s.mustRead(t, opens("4F1A01C2D0")+bounces("4F1A01C2D0"))
	store.let <- nil
	if err := errors.Join(s.Store(t.Context(), nil, nil), s.Settle()); err != nil {
		t.Fatal(err)
	}
	if loads != 3 {
		t.Errorf("the stored memory was loaded %d times, want at first and after each ending", loads)
	}
	if len(store.batches) != 1 || len(store.batches[0].Events) != 1 || store.batches[0].Counts[queue.Figure{Word: queue.CountRead}] != 2 {
		t.Errorf("stored %+v", store.batches)
	}
}

// panicky panics at some lines.
type panicky struct{ parsers.Parser }

func (p panicky) Parse(rec event.Record, emit func(event.Event)) error {
	if bytes.Contains(rec.Body, []byte("panic")) {
		panic("a mistake")
	}
	return p.Parser.Parse(rec, emit)
}

func TestOnlyTheLineThatPanickedIsRefused(t *testing.T) {
	store := &failing{}
	s := newLineSink(store)
	if err := s.parsers.ready(); err != nil {
		t.Fatal(err)
	}
	s.parsers.main = panicky{s.parsers.main}
	s.mustRead(t, "panic 1\n"+opens("4F1A01C2D0")+"panic 2\n"+bounces("4F1A01C2D0")+"\n\x00\x00\nthe rest\npanic 3")
	if err := errors.Join(s.Store(t.Context(), nil, nil), s.Settle()); err != nil {
		t.Fatal(err)
	}
	b := store.batches[0]
	var refused []string
	for _, r := range b.Refused {
		refused = append(refused, string(r.Body))
	}
	if got := strings.Join(refused, ", "); got != "panic 1, panic 2, panic 3" || len(b.Events) != 1 {
		t.Errorf("refused %q, events %+v", got, b.Events)
	}
	want := map[queue.Figure]uint64{{Word: queue.CountRead}: 6, queue.RefusedAs(refusedPanic): 3, queue.IgnoredAs(ignoredOther): 2}
	if !maps.Equal(b.Counts, want) {
		t.Errorf("counts %v, want %v", b.Counts, want)
	}
}

// A parser that reads what it has stored finds there what is still on its way.
func TestWhatIsOnItsWayCountsAsStored(t *testing.T) {
	a := &ahead{Stored: fixed{"gone": []byte("1"), "kept": []byte("2"), "new": []byte("old")}}
	a.setState(map[string][]byte{"gone": nil, "new": []byte("3")})
	all := maps.Collect(a.All())
	if len(all) != 2 || string(all["kept"]) != "2" || string(all["new"]) != "3" {
		t.Errorf("all: %q", all)
	}
	if a.Value("gone") != nil || string(a.Value("kept")) != "2" || string(a.Value("new")) != "3" {
		t.Errorf("values: %q, %q, %q", a.Value("gone"), a.Value("kept"), a.Value("new"))
	}
}

type fixed map[string][]byte

func (f fixed) Value(key string) []byte        { return f[key] }
func (f fixed) All() iter.Seq2[string, []byte] { return maps.All(f) }

// Lines that are skimmed count as the same ones parsed as records, and enter the same in the ledger.
func TestSkimmedLinesCountAsRecords(t *testing.T) {
	var log strings.Builder
	for i := range 20 {
		id, sender := fmt.Sprintf("4F1A01C2D%X", i), "b@news.example"
		if i%4 == 3 {
			sender = "office@example.com"
		}
		fmt.Fprintf(&log, "Nov 22 10:00:00 mx1 postfix/smtpd[1]: connect from mail.example.org[192.0.2.7]\n")
		fmt.Fprintf(&log, "Nov 22 10:00:00 mx1 postfix/smtpd[1]: %s: client=localhost[127.0.0.1]\n", id)
		fmt.Fprintf(&log, "Nov 22 10:00:00 mx1 postfix/cleanup[1]: %s: message-id=<%d@news.example>\n", id, i)
		fmt.Fprintf(&log, "Nov 22 10:00:00 mx1 postfix/qmgr[1]: %s: from=<%s>, size=1, nrcpt=1 (queue active)\n", id, sender)
		for _, status := range []string{"dsn=4.2.2, status=deferred (mailbox full)", "dsn=2.0.0, status=sent (250 OK)"} {
			fmt.Fprintf(&log, "Nov 22 10:00:00 mx1 postfix/smtp[1]: %s: to=<jo%d@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=0.1, delays=0/0/0.1/0, %s\n", id, i, status)
		}
		fmt.Fprintf(&log, "Nov 22 10:00:01 mx1 postfix/qmgr[1]: %s: removed\n", id)
	}
	sinkOf := func(s store) *sink {
		l := newLineSink(s)
		l.senders, l.ledger = []string{"*@news.example"}, ledger{key: []byte("key")}
		return l
	}
	read, committed := &failing{}, &failing{}
	s := sinkOf(read)
	s.mustRead(t, log.String())
	if err := errors.Join(s.Store(t.Context(), nil, nil), s.Settle()); err != nil {
		t.Fatal(err)
	}
	var recs []event.Record
	for line := range strings.Lines(log.String()) {
		recs = append(recs, event.Record{Time: time.Now(), Body: []byte(strings.TrimSuffix(line, "\n"))})
	}
	if err := sinkOf(committed).Commit(t.Context(), recs, nil); err != nil {
		t.Fatal(err)
	}
	got, want := read.batches[0], committed.batches[0]
	if !maps.Equal(got.Counts, want.Counts) || !slices.Equal(got.Sent, want.Sent) {
		t.Errorf("read: %v and %d entries\nparsed: %v and %d", got.Counts, len(got.Sent), want.Counts, len(want.Sent))
	}
	if want.Counts[queue.IgnoredAs("delivered")] != 15 || want.Counts[queue.IgnoredAs("delayed")] != 15 || want.Counts[queue.IgnoredAs(ignoredSender)] != 10 || len(want.Sent) != 30 {
		t.Errorf("parsed: %v and %d entries", want.Counts, len(want.Sent))
	}
}
