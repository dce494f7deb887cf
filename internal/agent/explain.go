package agent

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"

	"bouncefeed/inputs"
	"bouncefeed/inputs/logs"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/parsers"
)

// Explanation says what one line, message or reply is and why.
type Explanation struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"` // from 1: of an mbox where the message begins; absent for a file that is one
	As   string `json:"as,omitempty"`   // the format, where it was guessed
	Kind string `json:"kind"`           // bounce, complaint, delivered, delayed, autoreply …, other, refused
	Why  string `json:"why,omitempty"`  // of a refusal
	// If says what the daemon must have read besides, to come to the same; it is not in what was given.
	If string `json:"if,omitempty"`
	// Means and Remedy are the refusal's, as the glossary has them; of what is ignored Kind stands there, too.
	Means  string `json:"-"`
	Remedy string `json:"-"`
	// Wrapper is the container's wrapper in which a line stands: the daemon wants it named in the configuration.
	Wrapper inputs.Container `json:"wrapper,omitempty"`
	// Signature says whether a webhook request's signature holds; absent if it was not asked for.
	Signature string        `json:"signature,omitempty"`
	Events    []event.Event `json:"events"` // bounces and complaints only; of kind foreign: what they would be if mynetworks had the client
	// Outcomes are what becomes of each of Events; absent where all would simply be queued.
	Outcomes []Outcome `json:"outcomes,omitempty"`
	Live     bool      `json:"-"` // what is explained comes through a pipe: somebody may be waiting for it
}

// asReply is the format of bare SMTP replies, one a line: they have no parser, only a verdict.
const asReply = "reply"

// maxMessage is how much of a request is looked at, in bytes.
const maxMessage = 1 << 20

// Inquiry is what Explain is asked.
type Inquiry struct {
	Config  *config.Config // nil: the built-in rules and settings
	Files   []string       // "-" is In
	In      io.Reader
	As      string // the format; AsAuto or "": guessed for each file
	Alone   bool   // the daemon is not asked anything
	Headers string // a file with the header fields of a webhook request, or ""
	Version string
	Log     *slog.Logger
}

// ExplainSummary is what came of an Inquiry as a whole.
type ExplainSummary struct {
	Parts []ExplainedPart
	Kinds map[string]uint64 // records by kind
	Types map[event.Type]uint64
	If    uint64   // records that have an If
	Notes []string // what the daemon could not be asked, and the like
}

// ExplainedPart is one file as it was read.
type ExplainedPart struct {
	File    string
	As      string
	Guessed bool
	Seems   string // the format that it seems to have, if not As; "": it is as it should be, or like none
	Input   string // whose settings were taken; "": built-in ones
	Records uint64
	Told    uint64 // of these: what is more than "other"
	Unit    string // "line", "message", "request" or "reply"
}

// Explain says of every line of the files (of every message, of every file if the format is a request) what it is.
func Explain(ctx context.Context, q Inquiry, show func(Explanation) error) (ExplainSummary, error) {
	x := &explaining{Inquiry: q, show: show, sum: ExplainSummary{Kinds: map[string]uint64{}, Types: map[event.Type]uint64{}}}
	if x.As == "" {
		x.As = AsAuto
	}
	if x.As != AsAuto && x.As != asReply {
		if _, err := looseSink(nil, x.As, "", q.Log); err != nil { // before anything is read
			return x.sum, err
		}
	}
	var err error
	if q.Config != nil && x.As != asReply {
		if x.plan, err = newPlan(q.Config, "", q.Version, q.Log); err != nil {
			return x.sum, err
		}
	}
	for _, file := range q.Files {
		if err = x.file(ctx, file); err != nil {
			break
		}
	}
	err = errors.Join(x.flush(), err)
	x.guessLate(ctx)
	return x.sum, err
}

// guessLate says of files of which nothing was told, in the format that was named, like which other they seem.
func (x *explaining) guessLate(ctx context.Context) {
	for i := range x.sum.Parts {
		p := &x.sum.Parts[i]
		if x.As == AsAuto || p.Told > 0 || p.Seems != "" || p.File == "-" {
			continue
		}
		if seems, err := guessFile(ctx, p.File); err == nil && seems.as != p.As {
			p.Seems = seems.as
		}
	}
}

// explaining is the work on an Inquiry: files of one format in a row are one stream.
type explaining struct {
	Inquiry
	show func(Explanation) error
	sum  ExplainSummary
	last Explanation // not shown yet: what is decided at the end of all is said of it
	part int         // that it is of

	as     string // of the stream being read
	sink   *sink
	begun  bool   // the stream told of the beginning of a message
	input  string // whose settings the sink has
	plan   *plan  // of the configuration; nil: there is none
	stored *storedAsked
	live   bool // a pipe is read
}

// later shows the explanation before e.
func (x *explaining) later(e Explanation) error {
	previous, part := x.last, x.part
	if x.last, x.part = e, len(x.sum.Parts)-1; previous.Kind == "" {
		return nil
	}
	return x.tell(previous, part)
}

func (x *explaining) tell(e Explanation, part int) error {
	if x.As == AsAuto {
		e.As = x.sum.Parts[part].As
	}
	e.Live = x.live
	x.sum.Kinds[e.Kind]++
	if e.If != "" {
		x.sum.If++
	}
	if e.Kind != string(event.Foreign) {
		for i := range e.Events {
			x.sum.Types[e.Events[i].Type]++
		}
	}
	if e.Kind != ignoredOther {
		x.sum.Parts[part].Told++
	}
	return x.show(e)
}

// flush ends a stream.
func (x *explaining) flush() error {
	if x.sink != nil {
		if d := x.sink.flushed(); d != nil {
			x.add(&x.last, d)
		}
	}
	x.sink = nil
	return x.later(Explanation{})
}

// file explains one.
func (x *explaining) file(ctx context.Context, file string) error {
	var in *source
	var err error
	if in, err = openSource(file, x.In, x.As == asMail && x.Headers == ""); err != nil {
		return err
	}
	defer in.close()
	x.live = in.path == ""
	var seems guess
	if x.As == AsAuto || in.path == "" { // else it is asked when nothing was found
		if seems, err = in.guess(ctx); err != nil {
			return err
		}
	}
	as := x.As
	if as == AsAuto {
		as = cmp.Or(seems.as, x.as, "postfix")
	}
	if err := x.begin(ctx, as, file); err != nil {
		return err
	}
	part := ExplainedPart{File: file, As: as, Guessed: x.As == AsAuto && seems.as != "", Input: x.input, Unit: unitOf(as)}
	if seems.as != as {
		part.Seems = seems.as
	}
	x.sum.Parts = append(x.sum.Parts, part)
	e := explainer{explaining: x, file: file}
	if as == asMail && x.Headers == "" {
		err = in.messages(ctx, e.messages)
		x.sum.Parts[len(x.sum.Parts)-1].Records = e.records
		return err
	}
	if err := in.open(); err != nil {
		return err
	}
	switch {
	case as == asReply:
		err = e.replies(ctx, in)
	case parsers.IsMessage(as):
		err = e.request(ctx, in, x.Headers)
	default:
		err = logs.ReadLog(ctx, in.file, in.name, 0, e.lines)
	}
	x.sum.Parts[len(x.sum.Parts)-1].Records = e.records
	return err
}

func unitOf(as string) string {
	switch {
	case as == asReply:
		return "reply"
	case as == asMail:
		return "message"
	case parsers.IsMessage(as):
		return "request"
	}
	return "line"
}

// begin makes the sink of a stream, or goes on with the one before.
func (x *explaining) begin(ctx context.Context, as, file string) error {
	input := x.plan.inputFor(as, file)
	if x.sink != nil && x.as == as && x.input == input {
		return nil
	}
	if err := x.flush(); err != nil {
		return err
	}
	x.as, x.input, x.begun = as, input, false
	if as == asReply {
		return nil
	}
	c, err := x.plan.looseSink(as, input, hostOf(x.Config), x.Version, x.Log)
	if err != nil {
		return err
	}
	c.explains = true
	x.askStored(ctx, &c)
	x.sink = newSink(c)
	x.sink.unwrapper.any = c.container == "" && !parsers.IsMessage(as)
	return x.sink.parsers.ready()
}
