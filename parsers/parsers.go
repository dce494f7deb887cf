// Package parsers says what a raw record means: one file is one format, in one of the packages beside it. A parser reads
// left to right what its MTA or provider wrote, believes nothing that a stranger could have put there, and leaves the
// verdict to internal/classify.
package parsers

import (
	"context"
	"iter"
	"time"

	"bouncefeed/internal/address"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/text"
)

// Parser knows one format. It need not be safe for concurrent use.
type Parser interface {
	// Parse emits what rec says, in order; it keeps nothing of rec.Body. Nothing emitted and nil: not of interest.
	// An error: it looked like ours and made no sense, or had two readings (event.Refuse); it is counted, kept aside,
	// and reading goes on.
	Parse(rec event.Record, emit func(event.Event)) error
}

// A Stateful parser remembers between records (who sent queue id X). Its changes are stored in the same transaction
// as the events; after a failed Commit the agent drops the parser and loads a new one from what is stored.
type Stateful interface {
	Load(state iter.Seq2[string, []byte]) error
	Changes() map[string][]byte // since the last call; nil value = forget
}

// A Recaller is a Stateful parser that need not have in memory all that it has stored.
type Recaller interface {
	// KeepStored gives it what is stored, before Load: to be read whenever Parse asks for it.
	KeepStored(Stored)
}

// Stored is what a Stateful parser has stored, as of its last Changes that were. What can't be read is as if it were not
// there; the next Commit tells.
type Stored interface {
	Value(key string) []byte // the caller's own; nil: there is none
	All() iter.Seq2[string, []byte]
}

// A Skimmer is a parser of a log's lines that reads most of them without looking at each anew. What it makes of them is what
// Parse makes, but that no event is made of what is not reported.
type Skimmer interface {
	// Skim reads whole lines, each with its LF, from the head of lines on, and stops before the first of which it is not
	// sure: that is Parse's. read is when they were read. s tells how far it is at any time, also when it panics.
	Skim(lines []byte, read time.Time, s *Skimmed)
}

// Skimmed is what Skim makes of lines.
type Skimmed struct {
	Bytes int // of the lines read
	Other int // lines that say nothing
	// Pass takes what the others say: one Passage each. It is valid until Pass returns.
	Pass func(*event.Passage)
}

// A Misser is a Stateful parser that is told where records are missing: before the next one.
type Misser interface{ Missed() }

// A Waiter is a Stateful parser of a log that knows who waits: recipients of our mail that were put off, and have not come to an end.
type Waiter interface {
	// Waiting calls each with every one of them: the host that put him off, the sender, and as Time when the message came in.
	Waiting(each func(*event.Passage))
}

// A Flusher is a Stateful parser that may keep what it read until later records decide. Flush, at the end of a finished
// source, emits it as it is.
type Flusher interface{ Flush(emit func(event.Event)) }

// Verifier is a parser of webhook requests that carry a signature.
type Verifier interface {
	// Verify checks it over the raw bytes, before Parse. nil: the provider sent rec. event.ErrRefused: it did not, or
	// not now. Any other error: that can't be told at the moment, the sender must try again. It may ask the network as
	// long as ctx allows. Called from many goroutines at once, also during Parse.
	Verify(ctx context.Context, rec event.Record) error
	// Keyed says whether the configuration names what Verify needs: a key, an account. Without, it refuses everything.
	Keyed() bool
	// KeyNeeded names the settings in which that stands.
	KeyNeeded() string
}

// Handshaker is a parser of requests whose provider asks, before it sends any event, whether they are wanted.
type Handshaker interface {
	// Handshake does what such a request asks for: between Verify, which found it genuine, and Parse, for every request.
	// Of a Verifier that is not Keyed it is never called. answer is the body, in JSON, of the 200 for which the sender
	// waits; "": any. Errors and the rest are as with Verify.
	Handshake(ctx context.Context, rec event.Record) (answer string, err error)
}

// Faultfinder is a parser of requests whose senders want to hear what is wrong with them: scripts, where a provider would
// send the same again.
type Faultfinder interface {
	// Fault is what Parse would refuse, nil if nothing. Called from many goroutines at once, also during Parse.
	Fault(rec event.Record) error
}

// Web is a parser of requests that knows in which Content-Type they come: media types without parameters.
type Web interface{ ContentTypes() []string }

// Counter words for requests that are not believed, beside those of package event. A parser may add its own.
const (
	WhyBadSignature = "bad_signature"
	WhyNoSignature  = "no_signature"
	WhyStale        = "stale"         // signed more than five minutes ago or ahead, or for a date unknown
	WhyWrongAccount = "wrong_account" // rightly signed, for an account or topic that is not configured
	WhyNobody       = "no_recipient"
)

// What an event holds at most, in bytes; an address: address.MaxLength.
const (
	MaxDiagnostic = 2 << 10
	MaxName       = 512 // an id, a host name
)

// Tidy makes every text of an event what JSON and a database can carry: valid UTF-8, no control characters, of bounded
// length.
func Tidy(e *event.Event) {
	for _, field := range []*string{&e.Recipient, &e.OriginalRecipient, &e.Sender} {
		*field = text.Tidy(*field, address.MaxLength)
	}
	for _, field := range []*string{&e.MessageID, &e.QueueID, &e.RemoteMTA, &e.QueueIDIssuer, &e.Status} {
		*field = text.Tidy(*field, MaxName)
	}
	e.Diagnostic = text.Tidy(e.Diagnostic, MaxDiagnostic)
}

// Modules holds every format; each file adds its own from init.
var Modules config.Registry[Parser]

// Register makes a format known. build does no I/O; its mistakes are section.Errorf, so that they carry a place.
func Register[C any](kind string, defaults C, build func(config.Env, config.Section, *C) (Parser, error)) {
	config.Register(&Modules, kind, defaults, build)
}

// messages are the formats whose records are whole messages or requests rather than lines.
var messages = map[string]bool{}

// RegisterMessage is Register for a format whose records are whole messages or requests.
func RegisterMessage[C any](kind string, defaults C, build func(config.Env, config.Section, *C) (Parser, error)) {
	messages[kind] = true
	Register(kind, defaults, build)
}

// IsMessage says whether a record of this format is a whole message or request rather than a line.
func IsMessage(kind string) bool { return messages[kind] }
