package agent

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/textproto"
	"os"
	"strings"

	"bouncefeed/inputs"
	"bouncefeed/inputs/logs"
	"bouncefeed/inputs/mailbox"
	"bouncefeed/internal/classify"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
	"bouncefeed/parsers"
)

// Explanation says what one line, message or reply is and why.
type Explanation struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"` // from 1: of an mbox where the message begins; absent for a file that is one
	Kind string `json:"kind"`           // bounce, complaint, delivered, delayed, autoreply …, other, refused
	Why  string `json:"why,omitempty"`  // of a refusal
	// Means and Remedy are the refusal's, as the glossary has them; of what is ignored Kind stands there, too.
	Means  string `json:"-"`
	Remedy string `json:"-"`
	// Wrapper is the container's wrapper in which a line stands: the daemon wants it named in the configuration.
	Wrapper inputs.Container `json:"wrapper,omitempty"`
	// Signature says whether a webhook request's signature holds; absent if it was not asked for.
	Signature string        `json:"signature,omitempty"`
	Events    []event.Event `json:"events"` // bounces and complaints only; of kind foreign: what they would be if mynetworks had the client
}

// asReply is the format of bare SMTP replies, one a line: they have no parser, only a verdict.
const asReply = "reply"

// maxMessage is how much of a request is looked at, in bytes.
const maxMessage = 1 << 20

// Inquiry is what Explain is asked.
type Inquiry struct {
	Config  *config.Config // nil: the built-in rules and settings
	Files   []string       // "-" is standard input
	As      string         // the format
	Headers string         // a file with the header fields of a webhook request, or ""
	Version string
	Log     *slog.Logger
}

// Explain says of every line of the files (of every message, of every file if the format is a request) what it is.
func Explain(ctx context.Context, q Inquiry, show func(Explanation) error) error {
	if q.As == asReply {
		return explainReplies(ctx, q.Config, q.Files, show)
	}
	c, err := looseSink(q.Config, q.As, q.Version, q.Log)
	if err != nil {
		return err
	}
	c.explains = true
	s := newSink(c)
	s.unwrapper.any = c.container == "" && !parsers.IsMessage(q.As)
	if err := s.parsers.ready(); err != nil {
		return err
	}
	var last Explanation // not shown yet: what is decided at the end of all is said of it
	later := func(e Explanation) error {
		previous := last
		if last = e; previous.Kind == "" {
			return nil
		}
		return show(previous)
	}
	for _, file := range q.Files {
		x := explainer{sink: s, file: file, show: later}
		switch {
		case q.As == asMail && q.Headers == "":
			err = mailbox.ReadMailbox(ctx, file, 0, x.messages)
		case parsers.IsMessage(q.As):
			err = x.request(ctx, q.Headers)
		default:
			err = logs.ReadFile(ctx, file, 0, x.lines)
		}
		if err != nil {
			return errors.Join(later(Explanation{}), err)
		}
	}
	if d := s.flushed(); d != nil {
		last.add(d)
	}
	if last.Kind == "" {
		return nil
	}
	return show(last)
}

// add takes over what was decided only then.
func (e *Explanation) add(d *draft) {
	b := &d.batch
	e.Events = append(e.Events, b.Events...)
	for _, h := range b.Held {
		e.Events = append(e.Events, h.Event)
	}
	e.Kind, e.Why = kindOf(b, e.Events)
	w := wordOf(cmp.Or(e.Why, e.Kind))
	e.Means, e.Remedy = w.Means, w.Remedy
}

type explainer struct {
	sink *sink
	file string
	line int
	show func(Explanation) error

	signature string
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

func (x *explainer) messages(recs []event.Record, _ inputs.Spot) error {
	for i := range recs {
		if recs[i].File != "" {
			x.file = recs[i].File
		}
		x.line = recs[i].Line
		if err := x.record(recs[i]); err != nil {
			return err
		}
	}
	return nil
}

func (x *explainer) request(ctx context.Context, headers string) error {
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
		rec.Body, rec.Truncated = body[:maxMessage], true
	}
	if headers != "" {
		if err := x.verify(ctx, headers, &rec); err != nil {
			return err
		}
	}
	return x.record(rec)
}

// verify says whether the request came from whom it seems to, as the daemon would find.
func (x *explainer) verify(ctx context.Context, headers string, rec *event.Record) error {
	f, err := os.Open(headers)
	if err != nil {
		return err
	}
	defer f.Close()
	if rec.Request, err = readRequest(f); err != nil {
		return fmt.Errorf("read the header fields in %s: %w", headers, err)
	}
	v, signed := x.sink.parsers.main.(parsers.Verifier)
	err = admit(ctx, x.sink.parsers.main, *rec)
	switch {
	case err != nil:
		x.signature = "does not hold: " + err.Error()
	case !signed || !v.Keyed():
		x.signature = "not checked: no key is configured for this format"
	default:
		x.signature = "holds"
	}
	return nil
}

// readRequest reads header fields as a webhook's listener would hand them over; a request line may come first.
func readRequest(r io.Reader) (*event.Request, error) {
	text := bufio.NewReader(io.LimitReader(r, 64<<10))
	request := &event.Request{Method: http.MethodPost, Header: map[string]string{}}
	if first, _ := text.Peek(5); string(first) == "POST " {
		line, err := text.ReadString('\n')
		if err != nil {
			return nil, err
		}
		request.Target = strings.Fields(line + " -")[1]
	}
	fields, err := textproto.NewReader(text).ReadMIMEHeader()
	if err != nil && err != io.EOF {
		return nil, err
	}
	for name, values := range fields {
		request.Header[name] = strings.Join(values, ", ")
	}
	return request, nil
}

// record takes the way of the daemon up to the queue, for one record.
func (x *explainer) record(rec event.Record) error {
	d, err := x.sink.parse([]event.Record{rec}, nil, "")
	if err != nil {
		return err
	}
	b := &d.batch
	e := Explanation{File: x.file, Line: x.line, Signature: x.signature, Wrapper: x.sink.unwrapper.found, Events: append(append([]event.Event{}, b.Events...), d.nameless...)}
	for _, h := range b.Held {
		e.Events = append(e.Events, h.Event)
	}
	e.Kind, e.Why = kindOf(b, e.Events)
	e.Events = append(e.Events, d.notOurs...)
	return x.show(e)
}

// kindOf names what a batch of one record shows it to be. Of several reasons to refuse
// it names the same one every time.
func kindOf(b *queue.Batch, events []event.Event) (kind, why string) {
	kind = ignoredOther
	for f := range b.Counts {
		switch {
		case f.Word == queue.CountRefused:
			why = max(why, f.Why)
		case f.Word == queue.CountIgnored && f.Why != ignoredOther && (kind == ignoredOther || f.Why > kind):
			kind = f.Why
		}
	}
	if why != "" {
		kind = "refused"
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
		err := logs.ReadFile(ctx, file, 0, func(recs []event.Record, _ inputs.Spot) error {
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
