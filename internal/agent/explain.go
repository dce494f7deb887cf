package agent

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"bouncefeed/inputs"
	"bouncefeed/internal/classify"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
	"bouncefeed/parsers"
)

// Explanation says what one line, message or reply is and why.
type Explanation struct {
	File   string        `json:"file"`
	Line   int           `json:"line,omitempty"` // from 1; absent for a whole message
	Kind   string        `json:"kind"`           // bounce, complaint, delivered, delayed, autoreply …, other, refused
	Why    string        `json:"why,omitempty"`  // of a refusal
	Events []event.Event `json:"events"`         // bounces and complaints only
}

// asReply is the format of bare SMTP replies, one a line: they have no parser, only a verdict.
const asReply = "reply"

// maxMessage is how much of a message is looked at, in bytes.
const maxMessage = 1 << 20

// Explain says of every line of files (of every file, if the format is a message) what it is. cfg may be nil.
func Explain(ctx context.Context, cfg *config.Config, as, version string, files []string, log *slog.Logger, show func(Explanation) error) error {
	if as == asReply {
		return explainReplies(ctx, cfg, files, show)
	}
	s, err := newLooseSink(cfg, as, version, log)
	if err != nil {
		return err
	}
	for _, file := range files {
		x := explainer{sink: s, file: file, show: show}
		if parsers.IsMessage(as) {
			err = x.message()
		} else {
			err = inputs.ReadFile(ctx, file, 0, x.lines)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type explainer struct {
	sink *sink
	file string
	line int
	show func(Explanation) error
}

func (x *explainer) lines(recs []event.Record, _ inputs.Spot) error {
	for i := range recs {
		x.line++
		if err := x.record(recs[i]); err != nil {
			return err
		}
	}
	return nil
}

func (x *explainer) message() error {
	f := os.Stdin
	if x.file != "-" {
		var err error
		if f, err = os.Open(x.file); err != nil {
			return err
		}
		defer f.Close()
	}
	body, err := io.ReadAll(io.LimitReader(f, maxMessage+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", x.file, err)
	}
	rec := event.Record{Body: body}
	if len(body) > maxMessage {
		rec.Body, rec.Meta = body[:maxMessage], map[string]string{"truncated": "true"}
	}
	return x.record(rec)
}

// record takes the way of the daemon up to the queue, for one record.
func (x *explainer) record(rec event.Record) error {
	var nameless []event.Event
	x.sink.nameless = func(e event.Event) { nameless = append(nameless, e) }
	b, err := x.sink.parse([]event.Record{rec})
	if err != nil {
		return err
	}
	e := Explanation{File: x.file, Line: x.line, Events: append(append([]event.Event{}, b.Events...), nameless...)}
	for _, h := range b.Held {
		e.Events = append(e.Events, h.Event)
	}
	e.Kind, e.Why = kindOf(b, e.Events)
	return x.show(e)
}

// kindOf names what a batch of one record shows it to be.
func kindOf(b *queue.Batch, events []event.Event) (kind, why string) {
	kind = ignoredOther
	for counter := range b.Counts {
		if word, ok := strings.CutPrefix(counter, "ignored/"); ok && word != ignoredOther {
			kind = word
		}
		if word, ok := strings.CutPrefix(counter, "refused/"); ok {
			kind, why = "refused", word
		}
	}
	for i := range events {
		if events[i].Type == event.Complaint {
			return string(event.Complaint), why
		}
		kind = "bounce"
	}
	return kind, why
}

func explainReplies(ctx context.Context, cfg *config.Config, files []string, show func(Explanation) error) error {
	c := classify.Default()
	if cfg != nil {
		var err error
		if c, err = newClassifier(cfg.Rules); err != nil {
			return err
		}
	}
	for _, file := range files {
		line := 0
		err := inputs.ReadFile(ctx, file, 0, func(recs []event.Record, _ inputs.Spot) error {
			for i := range recs {
				line++
				e := event.Event{Diagnostic: string(recs[i].Body)}
				judge(c, &e)
				if err := show(Explanation{File: file, Line: line, Kind: asReply, Events: []event.Event{e}}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
