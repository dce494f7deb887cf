// Package parsertest holds every parser to what all of them promise, whatever the format and in whichever package beside
// this one it stands: Golden over parsers/testdata/KIND, Fuzz over mutations of the same, Read for one record. Only tests
// import it.
package parsertest

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/parsers"
)

// Time is when the records of testdata were read.
var Time = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// Inputs gives the records of a format, parsers/testdata/KIND/NN-what.in, and fails where there are none.
func Inputs(t testing.TB, kind string) (files []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../testdata", kind, "*.in"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no records in the testdata of %s: %v", kind, err)
	}
	return files
}

// Build makes the parser of a format as an admin's lines of YAML want it, on the mail server env.Host.
func Build(t testing.TB, env config.Env, kind string, lines ...string) parsers.Parser {
	t.Helper()
	section := config.Section{Type: kind}
	if len(lines) > 0 {
		c, err := config.Parse("test.yaml", []byte("inputs:\n  test:\n    type: "+kind+"\n    "+strings.Join(lines, "\n    ")+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		section = c.Inputs[0].Value
	}
	p, err := parsers.Modules.Build(env, section)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Read gives p one record. It returns what p told, and the counter word of everything that it refused; any other error
// fails. It holds p to what all parsers promise: the record's body is left as it was, and JSON can carry each event,
// for the queue can't store another and the source would never get past it.
func Read(t testing.TB, p parsers.Parser, rec event.Record) (events []event.Event, refused []string) {
	t.Helper()
	kept := bytes.Clone(rec.Body)
	err := p.Parse(rec, func(e event.Event) { events = append(events, e) })
	if !bytes.Equal(rec.Body, kept) {
		t.Error("the parser changed the record's body")
	}
	for i := range events {
		if _, err := json.Marshal(&events[i]); err != nil {
			t.Error(err)
		}
	}
	return events, refusals(t, err)
}

// refusals are the counter words in what Parse returned. Any other error fails.
func refusals(t testing.TB, err error) (words []string) {
	t.Helper()
	if err == nil {
		return nil
	}
	all := []error{err}
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		all = several.Unwrap()
	}
	for _, one := range all {
		if refused, ok := errors.AsType[*event.RefusedError](one); ok {
			words = append(words, refused.Why)
		} else {
			t.Errorf("not refused, but %v", one)
		}
	}
	return words
}
