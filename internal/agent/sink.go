package agent

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"bouncefeed/internal/classify"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
	"bouncefeed/internal/text"
	"bouncefeed/parsers"
)

// Counter words of what is read and not reported. The parsers' refusals and the event types add theirs.
const (
	ignoredOther       = "other"        // a record of no interest
	ignoredSender      = "other_sender" // not an envelope sender of `senders:`
	ignoredTest        = "test_mail"    // listmonk's dummy UUID
	ignoredOutside     = "outside"      // of backfill's --since and --until
	refusedNoRecipient = "no_recipient" // a failure that names nobody
	refusedMalformed   = "malformed"
	refusedPanic       = "parser_panic"
)

// maxDiagnostic is how much is kept of what a server said, in bytes; what follows is rarely about the failure.
const maxDiagnostic = 4 << 10

// dummyUUID marks listmonk's test mails.
const dummyUUID = "00000000-0000-0000-0000-000000000000"

// store is where a sink puts what it made of records: the queue, or what backfill and explain have instead.
type store interface {
	Commit(ctx context.Context, b queue.Batch) (queue.Result, error)
	Checkpoint(input string) (map[string]string, error)
}

// sink turns the records of one input into stored events. It is the inputs.Sink of that input.
type sink struct {
	name       string
	format     config.Section
	formats    map[string]config.Section // by Record.Route, of records that name theirs; their parsers are stateless
	env        config.Env
	senders    []string
	classifier *classify.Classifier
	store      store
	load       func(parsers.Stateful) error // restores a parser's stored memory; nil: it starts empty
	ledgerKey  []byte
	trust      string                               // of inputs.Settings
	wasSent    func([8]byte) (bool, error)          // the ledger; nil: there is none
	observe    func(outcome string, e *event.Event) // tail; nil: nobody watches
	now        func() time.Time
	healthy    func()              // a Commit succeeded; nil: nobody asks
	nameless   func(e event.Event) // a failure that names nobody, beside its refusal; nil: nobody asks

	turnedAway turnedAway

	mu     sync.Mutex // held while parsing; commits of independent records run side by side
	parser parsers.Parser
	named  map[string]parsers.Parser // by Record.Route
	batch  *queue.Batch
	when   time.Time             // of the record being parsed
	found  int                   // outcomes of the record being parsed
	noted  map[event.Type]uint64 // of this batch, by the types that are only counted
	emit   func(event.Event)
}

// Checkpoint implements inputs.Sink.
func (s *sink) Checkpoint() (map[string]string, error) { return s.store.Checkpoint(s.name) }

// Commit implements inputs.Sink.
func (s *sink) Commit(ctx context.Context, recs []event.Record, checkpoint map[string]string) error {
	if s.formats != nil {
		return errors.New("requests are committed one by one, as requests")
	}
	return s.commit(ctx, recs, checkpoint)
}

func (s *sink) commit(ctx context.Context, recs []event.Record, checkpoint map[string]string) error {
	batch, err := s.parse(recs)
	if err != nil {
		return err
	}
	batch.Checkpoint = checkpoint
	return s.put(ctx, batch)
}

func (s *sink) put(ctx context.Context, batch *queue.Batch) error {
	result, err := s.store.Commit(ctx, *batch)
	if err != nil {
		s.forget()
		return err
	}
	if s.healthy != nil {
		s.healthy()
	}
	if s.observe != nil {
		s.publish(batch, result)
	}
	return nil
}

func (s *sink) publish(b *queue.Batch, r queue.Result) {
	for i := range b.Events {
		outcome := "queued"
		if r.Repeat[i] {
			outcome = "repeat"
		}
		s.observe(outcome, &b.Events[i])
	}
	for i := range b.Held {
		s.observe("held", &b.Held[i].Event)
	}
}

// forget drops the parser after a failed Commit: what it remembers was not stored.
func (s *sink) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parser = nil
}

func (s *sink) parse(recs []event.Record) (*queue.Batch, error) {
	return s.parseFates(recs, nil)
}

// parseFates parses recs and tells what becomes of each, in fates, which is as long or nil.
func (s *sink) parseFates(recs []event.Record, fates []event.Fate) (*queue.Batch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &queue.Batch{Input: s.name, Counts: map[queue.Figure]uint64{}}
	s.batch = b
	if s.emit == nil {
		s.emit, s.noted = s.accept, map[event.Type]uint64{}
	}
	read, other := 0, 0
	for i := range recs {
		s.found, s.when = 0, recs[i].Time
		p, err := s.parserOf(recs[i].Route)
		if err != nil {
			return nil, err
		}
		var before outcomes
		if fates != nil {
			before = s.outcomes()
		}
		s.refuseAll(s.parseOne(p, recs[i]), recs[i].Body)
		if fates != nil {
			fates[i] = s.fateSince(before)
		}
		if s.found == 0 {
			s.found, other = 1, other+1
		}
		read += s.found
	}
	for t, n := range s.noted {
		b.Counts[queue.IgnoredAs(string(t))] += n
	}
	clear(s.noted)
	b.Counts[queue.Figure{Word: queue.CountRead}] += uint64(read)
	if other > 0 {
		b.Counts[queue.IgnoredAs(ignoredOther)] += uint64(other)
	}
	if p, ok := s.parser.(parsers.Stateful); ok {
		b.State = p.Changes()
	}
	s.batch = nil
	return b, nil
}

// parseOne turns a parser's panic into a refusal. To run the input again would not help: the record would come again, and
// everything behind it would wait.
func (s *sink) parseOne(p parsers.Parser, rec event.Record) (err error) {
	defer func() {
		if r := recover(); r != nil {
			s.env.Log.Error("a parser's mistake: the record is kept aside, please report it", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			err = event.Refuse(refusedPanic, "the parser failed: %v", r)
		}
	}()
	return p.Parse(rec, s.emit)
}

// parserOf gives the parser of a route, made when it is first asked for.
func (s *sink) parserOf(route string) (parsers.Parser, error) {
	if route == "" {
		err := s.ready()
		return s.parser, err
	}
	if p := s.named[route]; p != nil {
		return p, nil
	}
	section, known := s.formats[route]
	if !known {
		return nil, fmt.Errorf("no parser for requests to %q", route)
	}
	p, err := parsers.Modules.Build(s.env, section)
	if err != nil {
		return nil, err
	}
	if s.named == nil {
		s.named = map[string]parsers.Parser{}
	}
	s.named[route] = p
	return p, nil
}

// ready makes the parser and restores its memory, at first and after a failed Commit. Memory that can't be read is no
// reason to stop reading: the parser starts as on a first start.
func (s *sink) ready() error {
	if s.parser != nil {
		return nil
	}
	p, err := parsers.Modules.Build(s.env, s.format)
	if err != nil {
		return err
	}
	if st, ok := p.(parsers.Stateful); ok && s.load != nil {
		if err := s.load(st); err != nil {
			s.env.Log.Error("the parser's stored memory can't be read, it starts without", "parser", s.format.Type, "error", err)
			if p, err = parsers.Modules.Build(s.env, s.format); err != nil {
				return err
			}
		}
	}
	s.parser = p
	return nil
}

func (s *sink) ignore(why string) { s.batch.Counts[queue.IgnoredAs(why)]++ }

// refuseAll refuses what a parser did: one record may hold several items, each with a mistake of its own.
func (s *sink) refuseAll(err error, body []byte) {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range several.Unwrap() {
			s.refuse(one, body)
		}
	} else if err != nil {
		s.refuse(err, body)
	}
}

// refuse counts a record that is not believed and keeps it aside.
func (s *sink) refuse(err error, body []byte) {
	s.found++
	why := refusedMalformed
	if r, ok := errors.AsType[*event.RefusedError](err); ok {
		why = r.Why
		if r.Part != nil {
			body = r.Part
		}
	}
	s.batch.Counts[queue.RefusedAs(why)]++
	s.batch.Refused = append(s.batch.Refused, queue.Refused{Time: s.now(), Why: why, Body: append([]byte(nil), body[:min(len(body), 4096)]...)})
}

// accept completes what a parser emitted and decides where it goes.
func (s *sink) accept(e event.Event) {
	if !s.wanted(e.Sender) {
		s.found++
		s.ignore(ignoredSender)
		return
	}
	if e.Type == event.Delivered || e.Type == "" {
		s.enter(&e)
	}
	if e.Type != "" && !e.Type.Reported() {
		s.found++
		s.noted[e.Type]++
		return
	}
	if e.Recipient == "" && e.SubscriberUUID == "" {
		s.refuse(event.Refuse(refusedNoRecipient, "a failure that names nobody"), []byte(e.Diagnostic))
		if s.nameless != nil {
			s.complete(&e)
			s.nameless(e)
		}
		return
	}
	s.found++
	if e.SubscriberUUID == dummyUUID {
		s.ignore(ignoredTest)
		return
	}
	if s.trust == trustProof && !s.prove(&e) {
		s.complete(&e)
		s.batch.Held = append(s.batch.Held, queue.Held{Event: e, Why: whyUnproven})
		return
	}
	s.complete(&e)
	s.batch.Events = append(s.batch.Events, e)
}

// complete adds what only the agent knows: the verdict, the id, the input.
func (s *sink) complete(e *event.Event) {
	e.Input = s.name
	if e.Time.IsZero() {
		e.Time = s.when
	}
	if e.Time.IsZero() {
		e.Time = s.now()
	}
	if e.Time = e.Time.UTC(); e.Time.Year() < 1 || e.Time.Year() > 9999 { // which JSON can't carry
		e.Time = s.now().UTC()
	}
	e.Diagnostic = text.Cut(e.Diagnostic, maxDiagnostic)
	if e.Type == "" {
		judge(s.classifier, e)
	}
	if !event.IsID(e.ID) { // another bouncefeed's event keeps its own
		e.ID = e.MakeID()
	}
}

// judge fills in e's verdict from its code, status, text and remote host.
func judge(c *classify.Classifier, e *event.Event) {
	v := c.Classify(classify.Reply{Code: e.Code, Status: e.Status, Text: e.Diagnostic, Remote: e.RemoteMTA, Expired: e.Expired, Hint: e.Hint})
	e.Type, e.Reason, e.Fault, e.Rule = v.Type, v.Reason, v.Fault, v.Rule
}

// wanted says whether mail of this envelope sender is reported.
func (s *sink) wanted(sender string) bool {
	if len(s.senders) == 0 {
		return true
	}
	for _, pattern := range s.senders {
		if text.Match(pattern, sender) {
			return true
		}
	}
	return false
}
