package agent

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"runtime/debug"
	"strconv"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/internal/event"
	"bouncefeed/parsers"
)

// A log's lines are parsed block by block, as they are read, into one batch, and that is stored while the next is made.
// The parser runs ahead of what is on disk: when a batch is not stored, the parser goes, and all that came after.

// lineState is what a sink has read of a log and not stored.
type lineState struct {
	open     *draft        // what was read since the last Store; nil: nothing
	underWay chan struct{} // closed when the batch before that is stored, or not; nil: none is
	failed   error         // why one was not, until Checkpoint is asked for where to begin again
}

// Read implements inputs.LineSink.
func (s *sink) Read(lines []byte, at time.Time, missed uint64) (due bool, err error) {
	defer s.atWork()()
	d, err := s.draftOfLines(strconv.FormatUint(missed, 10))
	if err != nil {
		return false, err
	}
	for len(lines) > 0 {
		lines = s.parseLines(d, lines, at)
	}
	b := &d.batch
	return len(b.Events)+len(b.Held)+len(b.Copies)+len(b.Refused) > 0, nil
}

// draftOfLines is the open one.
func (s *sink) draftOfLines(missed string) (*draft, error) {
	if s.lines.failed != nil {
		return nil, s.lines.failed
	}
	if err := s.parsers.ready(); err != nil {
		return nil, err
	}
	if err := s.parsers.countMissed(missed, s.store, s.name); err != nil {
		return nil, err
	}
	if s.lines.open == nil {
		s.lines.open = newDraft(&s.sinkConfig)
	}
	return s.lines.open, nil
}

// parseLines parses lines to their end, or up to one at which the parser panics, and gives the rest. What the parser is sure
// of at a glance it skims.
func (s *sink) parseLines(d *draft, lines []byte, at time.Time) (rest []byte) {
	var rec event.Record
	p, emit := s.parsers.main, d.accept
	skimmer, _ := p.(parsers.Skimmer)
	if s.unwrapper.kind != "" {
		skimmer = nil
	}
	skimmed := parsers.Skimmed{Pass: d.pass}
	defer func() {
		if r := recover(); r != nil {
			if rec.Body == nil { // while it skimmed
				rec, rest = nextLine(rest[skimmed.Bytes:], at)
				d.begin(at)
			}
			d.addSkimmed(&skimmed)
			s.refusePanic(d, &rec, r)
		}
	}()
	for rest = lines; len(rest) > 0; {
		if skimmer != nil {
			rec.Body = nil
			skimmer.Skim(rest, at, &skimmed)
			rest = rest[skimmed.Bytes:]
			d.addSkimmed(&skimmed)
		}
		if rec, rest = nextLine(rest, at); len(rec.Body) > 0 {
			s.parseRecord(d, p, &rec, emit)
		}
	}
	return nil
}

// nextLine makes a record of the first of lines; one without a body is none.
func nextLine(lines []byte, at time.Time) (rec event.Record, rest []byte) {
	line := lines
	if end := bytes.IndexByte(lines, '\n'); end >= 0 {
		line, rest = lines[:end], lines[end+1:]
	}
	body, cut := inputs.Line(line)
	return event.Record{Time: at, Body: body, Truncated: cut}, rest
}

// Store implements inputs.LineSink.
func (s *sink) Store(ctx context.Context, checkpoint map[string]string, stored func()) error {
	if err := s.Settle(); err != nil {
		return err
	}
	d, err := s.finishLines(checkpoint)
	if err != nil {
		return err
	}
	done := make(chan struct{})
	s.lines.underWay = done
	s.ahead.setState(d.batch.State)
	go func() {
		defer close(done)
		if err := s.putLines(ctx, d); err != nil {
			s.failLines(err)
		} else if stored != nil {
			stored()
		}
	}()
	return nil
}

// finishLines makes the batch of what was read.
func (s *sink) finishLines(checkpoint map[string]string) (*draft, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.draftOfLines(checkpoint[gaps])
	if err != nil {
		return nil, err
	}
	s.addMemory(d)
	d.batch.Checkpoint = checkpoint
	s.lines.open = nil
	return d, nil
}

// putLines is putAndHint where a panic is nobody else's to catch.
func (s *sink) putLines(ctx context.Context, d *draft) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	d.finish()
	return s.putAndHint(ctx, d)
}

// failLines drops what was read since the last batch that is stored.
func (s *sink) failLines(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parsers.forget()
	s.lines.open, s.lines.failed = nil, err
}

// Settle implements inputs.LineSink.
func (s *sink) Settle() error {
	if s.lines.underWay != nil {
		<-s.lines.underWay
		s.lines.underWay = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lines.failed
}

// dropLines has reading begin again at the stored checkpoint.
func (s *sink) dropLines() {
	_ = s.Settle() // its error was told, or nobody asked any more
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lines.open != nil {
		s.parsers.forget()
	}
	s.lines.open, s.lines.failed = nil, nil
	s.ahead.setState(nil)
}

// ahead is what a parser has stored, with what is on its way there.
type ahead struct {
	parsers.Stored
	state map[string][]byte
}

func (a *ahead) setState(state map[string][]byte) {
	if a != nil {
		a.state = state
	}
}

// Value implements parsers.Stored.
func (a *ahead) Value(key string) []byte {
	if v, changed := a.state[key]; changed {
		return bytes.Clone(v)
	}
	return a.Stored.Value(key)
}

// All implements parsers.Stored.
func (a *ahead) All() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for key, v := range a.state {
			if v != nil && !yield(key, v) {
				return
			}
		}
		for key, v := range a.Stored.All() {
			if _, changed := a.state[key]; !changed && !yield(key, v) {
				return
			}
		}
	}
}

var _ inputs.LineSink = (*sink)(nil)
