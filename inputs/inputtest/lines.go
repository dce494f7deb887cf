package inputtest

import (
	"bytes"
	"context"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/internal/event"
)

// Lines makes an inputs.LineSink of a Sink: it gets the lines as records, one Commit for each Store. Every third
// block is of interest.
func Lines(s inputs.Sink) inputs.LineSink { return &lineSink{Sink: s} }

type lineSink struct {
	inputs.Sink
	recs     []event.Record
	reads    int
	underWay chan error // gets what came of the Commit that is under way; nil: none is
	failed   error
}

func (l *lineSink) Checkpoint() (map[string]string, error) {
	_ = l.Settle()
	l.recs, l.failed = nil, nil
	return l.Sink.Checkpoint()
}

func (l *lineSink) Read(lines []byte, at time.Time, _ uint64) (due bool, err error) {
	if l.failed != nil {
		return false, l.failed
	}
	for line := range bytes.Lines(bytes.Clone(lines)) {
		if body, cut := inputs.Line(bytes.TrimSuffix(line, []byte("\n"))); len(body) > 0 {
			l.recs = append(l.recs, event.Record{Time: at, Body: body, Truncated: cut})
		}
	}
	l.reads++
	return l.reads%3 == 0, nil
}

func (l *lineSink) Store(ctx context.Context, checkpoint map[string]string, stored func()) error {
	if err := l.Settle(); err != nil {
		return err
	}
	recs, done := l.recs, make(chan error, 1)
	l.recs, l.underWay = nil, done
	go func() {
		err := l.Commit(ctx, recs, checkpoint)
		if err == nil && stored != nil {
			stored()
		}
		done <- err
	}()
	return nil
}

func (l *lineSink) Settle() error {
	if l.underWay != nil {
		l.failed = <-l.underWay
		l.underWay = nil
	}
	return l.failed
}
