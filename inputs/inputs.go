// Package inputs is the contract of what reads the sources: an input turns bytes into event.Records and hands them to a
// Sink; what they mean is a parser's business, whether they are kept the agent's. The kinds stand in its wings: logs,
// mailbox, nats, webhook.
package inputs

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
)

// Input is one source of records.
type Input interface {
	// Run reads until ctx ends (nil) or the source breaks (the error). It does not retry: the agent runs it again
	// from the last checkpoint. No goroutine it starts outlives it.
	Run(ctx context.Context, sink Sink) error
}

// Sink takes what an input read. Commit returning nil is the only acknowledgement there is.
type Sink interface {
	// Checkpoint is what the last successful Commit stored; empty before the first. The key "start" is the agent's:
	// "beginning" asks the input to read everything the source still holds, whatever its configuration says.
	Checkpoint() (map[string]string, error)
	// Commit parses recs and stores their events, the parser's state and the checkpoint in one transaction.
	// nil: all of it is on disk, the source may forget. An error: none of it is. Blocks while the queue is full.
	// A nil checkpoint leaves the stored one as it is.
	// An input with a Stateful parser calls it from one goroutine.
	Commit(ctx context.Context, recs []event.Record, checkpoint map[string]string) error
}

// LineSink is a Sink for the lines of a log, which come in order and in mass: they are parsed as they are read, while they
// are in the processor's cache, and stored many at a time while the next ones are parsed. All is called from one goroutine.
//
// After an error nothing is known any more of what was read since the last checkpoint on disk: Run ends, and begins again
// with Checkpoint, which drops that.
type LineSink interface {
	Sink
	// Read parses whole lines (see Line), each with its LF, and keeps what they say for the next Store. lines may be
	// overwritten when it returns. gaps is the number of times that lines were missing, as in the checkpoint. due says that
	// there is something to be stored soon, and not only when more has come.
	Read(lines []byte, at time.Time, gaps uint64) (due bool, err error)
	// Store is Commit of what was read. It may return while that is on its way to the disk; stored, if any, is called, from
	// whatever goroutine, once it is there. One is on its way at a time. The error may be the one before's.
	Store(ctx context.Context, checkpoint map[string]string, stored func()) error
	// Settle waits until nothing is on its way any more.
	Settle() error
}

// MaxLine is how much is read of a line, in bytes.
const MaxLine = 16 << 10

// Line is what is read of a raw line without its LF: not the NULs at its start (the hole that copytruncate leaves to a
// writer that does not append), nor one CR at its end, nor what is beyond MaxLine; then it is cut. Empty ones give no record.
func Line(raw []byte) (body []byte, cut bool) {
	if len(raw) > 0 && raw[0] == 0 {
		raw = bytes.TrimLeft(raw, "\x00")
	}
	if len(raw) > MaxLine+1 || len(raw) == MaxLine+1 && raw[MaxLine] != '\r' {
		return raw[:MaxLine:MaxLine], true
	}
	if n := len(raw); n > 0 && raw[n-1] == '\r' {
		raw = raw[:n-1]
	}
	return raw[:len(raw):len(raw)], false
}

// FateSink is a Sink that says what it makes of each record, before it stores them.
type FateSink interface {
	Sink
	// CommitFates is Commit with a checkpoint that may depend on the fates of recs, in their order. checkpoint is
	// called once, after parsing; what it returns is stored in the same transaction.
	CommitFates(ctx context.Context, recs []event.Record, checkpoint func([]event.Fate) map[string]string) error
}

// RequestSink is a Sink for what strangers can send.
type RequestSink interface {
	Sink
	// CommitRequest is Commit for a request. Requests are independent, it may be called concurrently: the queue groups
	// such commits into one transaction. answer is the body, in JSON, of the 200 for which the sender waits; "": any.
	// If the parser of rec.Route does not take rec for the provider's, nothing is stored but a counter and the error is an
	// event.RefusedError, with Why event.WhyContentType or a word for what is wrong with its signature. A MalformedError
	// says that rec is on disk, and what the sender has to learn of it.
	CommitRequest(ctx context.Context, rec event.Record) (answer string, err error)
	// CountRefused counts what an input turned away before it was a record: a request with a wrong password.
	CountRefused(why string)
}

// A MalformedError says what is wrong with a request, in the words of its fields: to a sender who must not believe that
// all of it arrived.
type MalformedError struct{ Detail string }

func (e *MalformedError) Error() string { return e.Detail }

// Routed is an input whose records come by several routes, each with a parser of its own; Settings.Parser is empty.
type Routed interface{ Routes() []Route }

// Route is one of them.
type Route struct {
	Name          string // Record.Route of what comes by it
	URL           string // to paste into the sender's settings
	Parser        config.Section
	Authenticated bool // the input itself asks the sender for a password
	Public        bool // machines other than this one can send
}

// Reporter is an input that can tell where it stands; `status` shows it. Called from any goroutine.
type Reporter interface{ Report() Position }

// Position is where an input stands in its source.
type Position struct {
	At   string // "/var/log/mail.log offset 12345", a cursor, "UIDL 17 of 20"
	Lag  int64  // what the source still holds unread, in Unit; -1 unknown
	Unit string // "bytes", "messages", "entries"
	Gaps uint64 // times that history was missing, over the life of the checkpoint

	CaughtUp time.Time // when last all that the source held was stored, of an input whose Lag is rarely 0; zero: not known
	// Problem is what keeps the input from reading though its Run goes on, with the remedy; Since when.
	Problem string
	Since   time.Time
}

// Spot is how far a finished log, or mailbox, has been read.
type Spot struct {
	Offset     int64 // in the decompressed contents: up to here everything was handed over
	Read, Size int64 // bytes of the file as it lies on disk; Size 0: not known
}

// Start is where an input begins when there is no checkpoint: what has come up to now is history, or is to be read, too.
type Start string

// The words for it.
const (
	StartEnd       Start = "end"
	StartBeginning Start = "beginning"
)

// UnmarshalText accepts end and beginning.
func (s *Start) UnmarshalText(text []byte) error {
	switch *s = Start(text); *s {
	case StartEnd, StartBeginning:
		return nil
	}
	return fmt.Errorf("%q is neither end nor beginning", text)
}

// Container is what wraps the lines of a log whose program runs in a container.
type Container string

// The words for it.
const (
	ContainerJSONFile Container = "json-file" // Docker's default log driver
	ContainerCompose  Container = "compose"   // what `docker compose logs` writes
)

// UnmarshalText accepts json-file and compose.
func (c *Container) UnmarshalText(text []byte) error {
	switch *c = Container(text); *c {
	case ContainerJSONFile, ContainerCompose:
		return nil
	}
	return fmt.Errorf("%q is neither json-file nor compose", text)
}

// Opener is an input whose senders must find it open: the daemon is ready once it is.
type Opener interface{ IsOpen() bool }

// Probe is an input that can say whether it would work here: `check --online` asks. It changes nothing. The error
// names the remedy.
type Probe interface {
	Probe(ctx context.Context) error
}

// Settings are the keys that every input takes; a module's configuration embeds them.
type Settings struct {
	Parser  config.Section `yaml:"parser"`  // the format of its records: a name, or a mapping with `type`
	Senders []string       `yaml:"senders"` // report only mail of these envelope senders ("*@news.example.com"); default: all

	// Trust is "proof" where an event needs evidence that we sent that message to that recipient, or else is held;
	// "any" or empty where it does not. A module whose records strangers can send sets it.
	Trust string
	// Container is what stands around each line and is to be taken off; empty: nothing.
	Container Container
}

// Common gives the agent the settings of any module.
func (s *Settings) Common() *Settings { return s }

// Built is an input with what the agent needs to know about it.
type Built struct {
	Input    Input
	Settings *Settings
}

// Modules holds every kind of input; each file adds its own from init.
var Modules config.Registry[Built]

// Register makes a kind of input known. build does no I/O; its mistakes are section.Errorf, so that they carry a place.
func Register[C any, P interface {
	*C
	Common() *Settings
}](kind string, defaults C, build func(config.Env, config.Section, *C) (Input, error)) {
	config.Register(&Modules, kind, defaults, func(env config.Env, section config.Section, c *C) (Built, error) {
		in, err := build(env, section, c)
		set := P(c).Common()
		return Built{Input: in, Settings: set}, config.Join("", err, checkSenders(section, set.Senders))
	})
}

// checkSenders tells of patterns that no envelope sender fits: every bounce would be dropped.
func checkSenders(section config.Section, patterns []string) error {
	var errs []error
	for i, p := range patterns {
		key := fmt.Sprintf("senders[%d]", i)
		switch {
		case strings.ContainsAny(p, " <>,"):
			errs = append(errs, section.Errorf(key, "%q is no envelope sender: write the address alone, news@example.com or *@example.com", p))
		case strings.HasPrefix(p, "@"):
			errs = append(errs, section.Errorf(key, "%q fits no envelope sender: write %q", p, "*"+p))
		case !strings.ContainsAny(p, "@*"):
			errs = append(errs, section.Errorf(key, "%q fits no envelope sender: write %q for all of a domain, or a whole address", p, "*@"+cmp.Or(p, "news.example.com")))
		}
	}
	return config.Join("", errs...)
}
