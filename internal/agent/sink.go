package agent

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/internal/classify"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
	"bouncefeed/parsers"
)

// store is where a sink puts what it made of records: the queue, or what backfill and explain have instead.
type store interface {
	Commit(ctx context.Context, b queue.Batch) (queue.Result, error)
	Checkpoint(input string) (map[string]string, error)
}

// watcher is told of what a sink stores.
type watcher interface {
	// committed: a Commit succeeded.
	committed()
	// found tells what became of an event: "queued", "repeat" or "held".
	found(outcome string, e *event.Event)
}

// sinkConfig is what a sink is made of.
type sinkConfig struct {
	name       string // of the input
	env        config.Env
	format     config.Section            // of records without a Route
	formats    map[string]config.Section // by Record.Route, of records that name theirs; their parsers are stateless
	senders    []string                  // whose mail is reported; none: everybody's
	trust      string                    // of inputs.Settings
	ledger     ledger
	classifier *classify.Classifier
	now        func() time.Time
	store      store
	memory     func(parsers.Stateful) error // restores a parser's stored memory; nil: it starts empty
	ahead      *ahead                       // of what that memory reads later; nil: nothing
	watcher    watcher                      // nil: nobody watches
	logHosts   *logHosts                    // nil: no report waits for a log
	copies     *copyTargets                 // nil: no report is taken for a copy's
	container  inputs.Container             // of inputs.Settings
	explains   bool                         // keeps what is not reported, to be shown
	passes     *passes                      // nil: nobody counts what becomes of recipients
}

// sink turns the records of one input into stored events. It is the inputs.Sink of that input.
type sink struct {
	sinkConfig
	turnedAway  turnedAway
	saidForeign bool // once
	saidRoom    bool
	saidWrapped bool // once

	mu        sync.Mutex // held while parsing; commits of independent records run side by side
	parsing   pulse      // when the parser began with what it is at
	parsers   parserSet
	unwrapper unwrapper
	lines     lineState // of a log
}

func newSink(c sinkConfig) *sink {
	return &sink{sinkConfig: c, unwrapper: unwrapper{kind: c.container}, parsers: parserSet{env: c.env, format: c.format, formats: c.formats, memory: c.memory}}
}

// Checkpoint implements inputs.Sink.
func (s *sink) Checkpoint() (map[string]string, error) {
	s.dropLines()
	return s.store.Checkpoint(s.name)
}

// Commit implements inputs.Sink.
func (s *sink) Commit(ctx context.Context, recs []event.Record, checkpoint map[string]string) error {
	if s.formats != nil {
		return errors.New("requests are committed one by one, as requests")
	}
	return s.commit(ctx, recs, checkpoint)
}

func (s *sink) commit(ctx context.Context, recs []event.Record, checkpoint map[string]string) error {
	d, err := s.judge(ctx, recs, nil, checkpoint[gaps])
	if err != nil {
		return err
	}
	d.batch.Checkpoint = checkpoint
	return s.putAndHint(ctx, d)
}

// putAndHint stores d, and says what the admin may want to change.
func (s *sink) putAndHint(ctx context.Context, d *draft) error {
	if err := s.put(ctx, &d.batch); err != nil {
		return err
	}
	if d.foreign && len(s.senders) > 0 && !s.saidForeign && s.watcher != nil {
		s.env.Log.Warn(foreignHint)
		s.saidForeign = true
	}
	if d.forgotten && !s.saidRoom && s.watcher != nil {
		s.env.Log.Warn(forgottenHint)
		s.saidRoom = true
	}
	return nil
}

// gaps is the key of a checkpoint under which an input counts the times that records were missing.
const gaps = "gaps"

// CommitFates implements inputs.FateSink.
func (s *sink) CommitFates(ctx context.Context, recs []event.Record, checkpoint func([]event.Fate) map[string]string) error {
	fates := make([]event.Fate, len(recs))
	d, err := s.judge(ctx, recs, fates, "")
	if err != nil {
		return err
	}
	d.batch.Checkpoint = checkpoint(fates)
	return s.put(ctx, &d.batch)
}

func (s *sink) put(ctx context.Context, b *queue.Batch) error {
	result, err := s.store.Commit(ctx, *b)
	if err != nil {
		s.forget()
		return err
	}
	if s.watcher != nil {
		s.watcher.committed()
		s.publish(b, result)
	}
	return nil
}

func (s *sink) publish(b *queue.Batch, r queue.Result) {
	for i := range b.Events {
		outcome := "queued"
		switch {
		case r.Repeat[i]:
			outcome = "repeat"
		case i < len(r.Held) && r.Held[i]:
			outcome = "held"
		}
		s.watcher.found(outcome, &b.Events[i])
	}
	for i := range b.Held {
		s.watcher.found("held", &b.Held[i].Event)
	}
}

// forget drops the parser after a failed Commit: what it remembers was not stored.
func (s *sink) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parsers.forget()
	s.lines.open = nil
}

// judge is parse, once more where reports came before the log that proves them.
func (s *sink) judge(ctx context.Context, recs []event.Record, fates []event.Fate, missed string) (*draft, error) {
	d, err := s.parse(recs, fates, missed)
	if err != nil || !s.awaitProof(ctx, d.unproven) {
		return d, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.parse(recs, fates, missed)
}

// parse makes a batch of recs and tells what becomes of each in fates, which is as long or nil. missed counts the times
// that records were missing.
func (s *sink) parse(recs []event.Record, fates []event.Fate, missed string) (*draft, error) {
	defer s.atWork()()
	if err := s.parsers.countMissed(missed, s.store, s.name); err != nil {
		return nil, err
	}
	d := newDraft(&s.sinkConfig)
	emit := d.accept
	for i := range recs {
		p, err := s.parsers.of(recs[i].Route)
		if err != nil {
			return nil, err
		}
		rec := recs[i]
		fate := s.parseGuarded(d, p, &rec, emit)
		if fates != nil {
			fates[i] = fate
		}
	}
	s.addMemory(d)
	d.finish()
	return d, nil
}

// atWork has the sink's parser to itself until end is called.
func (s *sink) atWork() (end func()) {
	s.mu.Lock()
	s.parsing.beat()
	return func() {
		s.parsing.Store(0)
		s.mu.Unlock()
	}
}

// addMemory adds what the parser remembers of d, and whose log it is.
func (s *sink) addMemory(d *draft) {
	if readsLog(s.format.Type) {
		s.logHosts.add(d.logHost)
	}
	d.batch.State = s.parsers.changes()
	d.batch.Valid = s.stillValid()
}

// parseRecord has rec parsed, and taken out of what it is wrapped in.
func (s *sink) parseRecord(d *draft, p parsers.Parser, rec *event.Record, emit func(event.Event)) event.Fate {
	d.begin(rec.Time)
	why := s.unwrapper.unwrap(rec)
	d.record.time = rec.Time
	if s.formats == nil && parsers.IsMessage(s.format.Type) {
		d.record.message = rec.Body
	}
	if why == "" {
		d.refuseAll(p.Parse(*rec, emit), rec.Body)
		if d.record.outcomes == 0 && s.hidden(rec) {
			why = ignoredWrapped
		}
	}
	if why != "" {
		d.ignore(why)
	}
	return d.end()
}

// parseGuarded turns a parser's panic into a refusal. To run the input again would not help: the record would come again, and
// everything behind it would wait.
func (s *sink) parseGuarded(d *draft, p parsers.Parser, rec *event.Record, emit func(event.Event)) (fate event.Fate) {
	defer func() {
		if r := recover(); r != nil {
			fate = s.refusePanic(d, rec, r)
		}
	}()
	return s.parseRecord(d, p, rec, emit)
}

// refusePanic keeps aside the record at which a parser panicked with r.
func (s *sink) refusePanic(d *draft, rec *event.Record, r any) event.Fate {
	s.env.Log.Error("a parser's mistake: the record is kept aside, please report it", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
	d.refuse(event.Refuse(refusedPanic, "the parser failed: %v", r), rec.Body)
	return d.end()
}

// flush stores what the format's parser keeps until later records decide, at the end of a finished source.
func (s *sink) flush(ctx context.Context) error {
	d := s.flushed()
	if d == nil {
		return nil
	}
	return s.put(ctx, &d.batch)
}

// flushed makes a batch of it; nil: there is none.
func (s *sink) flushed() *draft {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.parsers.main.(parsers.Flusher)
	if !ok {
		return nil
	}
	d := newDraft(&s.sinkConfig)
	d.begin(s.now())
	f.Flush(d.accept)
	if d.record.outcomes == 0 {
		return nil
	}
	d.end()
	d.finish()
	d.batch.State = s.parsers.changes()
	return d
}
