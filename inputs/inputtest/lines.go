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
	recs  []event.Record
	reads int
}

func (l *lineSink) Checkpoint() (map[string]string, error) {
	l.recs = nil
	return l.Sink.Checkpoint()
}

func (l *lineSink) Read(lines []byte, at time.Time, _ uint64) (due bool, err error) {
	for line := range bytes.Lines(bytes.Clone(lines)) {
		if body, cut := inputs.Line(bytes.TrimSuffix(line, []byte("\n"))); len(body) > 0 {
			l.recs = append(l.recs, event.Record{Time: at, Body: body, Truncated: cut})
		}
	}
	l.reads++
	return l.reads%3 == 0, nil
}

func (l *lineSink) Store(ctx context.Context, checkpoint map[string]string, stored func()) error {
	recs := l.recs
	l.recs = nil
	if err := l.Commit(ctx, recs, checkpoint); err != nil {
		return err
	}
	if stored != nil {
		stored()
	}
	return nil
}

func (l *lineSink) Settle() error { return nil }
