package agent

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"os"
	"slices"
	"strings"

	"bouncefeed/inputs"
	"bouncefeed/inputs/logs"
	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
	"bouncefeed/parsers"
)

// explainer explains what one file holds.
type explainer struct {
	*explaining
	file    string
	line    int
	records uint64

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

func (x *explainer) request(ctx context.Context, in *source, headers string) error {
	body, err := io.ReadAll(io.LimitReader(in.file, maxMessage+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", in.name, err)
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
	x.records++
	d, err := x.sink.parse([]event.Record{rec}, nil, "")
	if err != nil {
		return err
	}
	e := Explanation{File: x.file, Line: x.line, Signature: x.signature, Wrapper: x.sink.unwrapper.found}
	x.add(&e, d)
	if err := x.assume(rec, &e, d); err != nil {
		return err
	}
	return x.later(e)
}

// add takes over what was decided of a record.
func (x *explaining) add(e *Explanation, d *draft) {
	b := &d.batch
	e.Events = append(append(append([]event.Event{}, e.Events...), b.Events...), d.nameless...)
	for _, h := range b.Held {
		e.Events = append(e.Events, h.Event)
	}
	e.Kind, e.Why = kindOf(b, e.Events)
	e.Events = append(e.Events, d.notOurs...)
	w := wordOf(cmp.Or(e.Why, e.Kind))
	e.Means, e.Remedy = w.Means, w.Remedy
	x.outcomes(e, d)
}

const whyUnopened = "unopened_queue_id" // of the parsers of logs

// ifBegun is what is missing of a message whose beginning is not among the lines.
const ifBegun = "the daemon has read the lines before: who handed this message in, and who sent it"

// assume judges a line of an excerpt, `grep status=bounced`, for itself: as long as no line told of a message's
// beginning, what the daemon has read of it is not known here. In a whole log an unknown queue id is somebody's invention.
func (x *explainer) assume(rec event.Record, e *Explanation, d *draft) error {
	if _, follows := x.sink.parsers.main.(parsers.Misser); !follows || x.begun { // messages, by their queue ids
		return nil
	}
	silent := d.other > 0 && len(e.Events) == 0
	if silent && begins(d.batch.State) {
		x.begun = true
		return nil
	}
	if e.Why == whyUnopened || e.Kind == ignoredSender {
		c := x.sink.sinkConfig
		c.senders = nil
		alone := newSink(c)
		alone.unwrapper.any = x.sink.unwrapper.any
		again, err := alone.parse([]event.Record{rec}, nil, "")
		if err != nil {
			return err
		}
		if e.Kind == ignoredSender && slices.ContainsFunc(again.batch.Events, func(ev event.Event) bool { return ev.Sender != "" }) {
			return nil // the line itself says whose it is
		}
		e.Events, e.Outcomes = nil, nil
		x.add(e, again)
	}
	if e.Why == "" && len(e.Events) > 0 {
		e.If = ifBegun
	}
	return nil
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

// replies explains bare SMTP replies.
func (x *explainer) replies(ctx context.Context, in *source) error {
	c := builtIn()
	if x.Config != nil {
		var err error
		if c, err = newClassifier(x.Config.Rules); err != nil {
			return err
		}
	}
	return logs.ReadLog(ctx, in.file, in.name, 0, func(recs []event.Record, _ inputs.Spot) error {
		for i := range recs {
			x.line++
			x.records++
			e := event.Event{Diagnostic: string(recs[i].Body)}
			judge(c, &e)
			if err := x.later(Explanation{File: x.file, Line: x.line, Kind: asReply, Events: []event.Event{e}}); err != nil {
				return err
			}
		}
		return nil
	})
}
