// Package inputs reads the sources: one file is one kind of source. An input turns bytes into event.Records and hands
// them to a Sink; what they mean is a parser's business, whether they are kept the agent's.
package inputs

import (
	"context"

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
	// Inputs whose records are independent (webhook requests) may call it concurrently: the queue groups such
	// commits into one transaction. An input with a Stateful parser calls it from one goroutine.
	Commit(ctx context.Context, recs []event.Record, checkpoint map[string]string) error
}

// Reporter is an input that can tell where it stands; `status` shows it. Called from any goroutine.
type Reporter interface{ Report() Position }

// Position is where an input stands in its source.
type Position struct {
	At   string // "/var/log/mail.log offset 12345", a cursor, "UIDL 17 of 20"
	Lag  int64  // what the source still holds unread, in Unit; -1 unknown
	Unit string // "bytes", "messages", "entries"
	Gaps uint64 // times that history was missing, over the life of the checkpoint
}

// Probe is an input that can say whether it would work here: `check --online` asks. It changes nothing. The error
// names the remedy.
type Probe interface {
	Probe(ctx context.Context) error
}

// Settings are the keys that every input takes; a module's configuration embeds them.
type Settings struct {
	Parser  config.Section `yaml:"parser"`  // the format of its records: a name, or a mapping with `type`
	Senders []string       `yaml:"senders"` // report only mail of these envelope senders ("*@news.example.com"); default: all
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

// register makes a kind of input known. build does no I/O; its mistakes are section.Errorf, so that they carry a place.
func register[C any, P interface {
	*C
	Common() *Settings
}](kind string, defaults C, build func(config.Env, config.Section, *C) (Input, error)) {
	config.Register(&Modules, kind, defaults, func(env config.Env, section config.Section, c *C) (Built, error) {
		in, err := build(env, section, c)
		return Built{Input: in, Settings: P(c).Common()}, err
	})
}
