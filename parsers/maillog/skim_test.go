package maillog

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/parsers"
	"bouncefeed/parsers/parsertest"
)

// A skimTranscript is all that a parser says of a log, however it reads it.
type skimTranscript struct {
	told    []string
	silent  int // lines that say nothing
	skimmed int // lines that were not parsed
}

func (s *skimTranscript) event(e event.Event) {
	if e.Type == event.Delivered || e.Type == event.Delayed {
		s.pass(&event.Passage{
			Type: e.Type, Time: e.Time, QueueIDIssuer: e.QueueIDIssuer, Sender: e.Sender, MessageID: e.MessageID,
			Recipient: e.Recipient, OriginalRecipient: e.OriginalRecipient, Ours: e.Ours,
			RemoteMTA: e.RemoteMTA, Code: e.Code, Status: e.Status, Diagnostic: e.Diagnostic, Transit: e.Transit,
		})
		return
	}
	s.told = append(s.told, fmt.Sprintf("%+v", e))
}

func (s *skimTranscript) pass(p *event.Passage) {
	s.told = append(s.told, fmt.Sprintf("%+v", *p))
}

// parse has p parse one line, as a sink does.
func (s *skimTranscript) parse(p *postfix, line []byte, read time.Time) {
	line = bytes.TrimLeft(line, "\x00")
	if len(line) > 16<<10 {
		line = line[:16<<10]
	}
	if line = bytes.TrimSuffix(line, []byte("\r")); len(line) == 0 {
		return
	}
	before := len(s.told)
	if err := p.Parse(event.Record{Time: read, Body: line}, s.event); err != nil {
		s.told = append(s.told, err.Error())
	}
	if len(s.told) == before {
		s.silent++
	}
}

func (s *skimTranscript) parseAll(p *postfix, lines []byte, read time.Time) {
	for line := range bytes.SplitSeq(lines, []byte("\n")) {
		s.parse(p, line, read)
	}
}

// skimAll has p skim lines as far as it does, and parse the rest.
func (s *skimTranscript) skimAll(p *postfix, lines []byte, read time.Time) {
	for len(lines) > 0 {
		skimmed := parsers.Skimmed{Pass: s.pass}
		before := len(s.told)
		p.Skim(lines, read, &skimmed)
		s.silent += skimmed.Other
		s.skimmed += skimmed.Other + len(s.told) - before
		line, rest, _ := bytes.Cut(lines[skimmed.Bytes:], []byte("\n"))
		s.parse(p, line, read)
		lines = rest
	}
}

// FuzzSkim holds what is skimmed to what is parsed, which is the truth: the same events, the same memory.
func FuzzSkim(f *testing.F) {
	var seeds [][]byte
	for _, file := range parsertest.Inputs(f, "postfix") {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		seeds = append(append(seeds, data), parsertest.Windows(data)...)
	}
	var load bytes.Buffer
	writePostfixLoad(&load, 40)
	seeds = append(seeds, load.Bytes())
	for _, window := range parsertest.Windows(load.Bytes()) {
		old := make([]byte, 0, len(window))
		for line := range bytes.Lines(window) { // the same by RFC 3164
			at, err := time.Parse("2006-01-02T15:04:05.000000-07:00", string(line[:32]))
			if err != nil {
				f.Fatal(err)
			}
			old = append(at.AppendFormat(old, time.Stamp), line[32:]...)
		}
		seeds = append(seeds, window, old)
	}
	parsertest.FuzzSeeds(f, seeds, func(testing.TB) parsertest.Check { return checkSkim })
}

func checkSkim(t testing.TB, data []byte) {
	parser, skimmer := newTestPostfix(t, nil), newTestPostfix(t, nil)
	var want, got skimTranscript
	read := parsertest.Time
	half := 1 + bytes.LastIndexByte(data[:len(data)/2], '\n')
	for _, part := range [][]byte{data[:half], data[half:]} {
		want.parseAll(parser, part, read)
		got.skimAll(skimmer, part, read)
		if a, b := parser.Changes(), skimmer.Changes(); !maps.EqualFunc(a, b, bytes.Equal) {
			t.Errorf("the parser remembers\n%q\nthe skimmer\n%q", a, b)
		}
		read = read.Add(13 * time.Hour)
	}
	parser.Flush(want.event)
	skimmer.Flush(got.event)
	if !slices.Equal(got.told, want.told) || got.silent != want.silent {
		t.Errorf("skimmed\n%s\nand %d silent lines, parsed\n%s\nand %d", strings.Join(got.told, "\n"), got.silent, strings.Join(want.told, "\n"), want.silent)
	}
}

// A busy server's log is skimmed but for its bounces and what begins a minute.
func TestNearlyAllIsSkimmed(t *testing.T) {
	var load bytes.Buffer
	lines, bounces := writePostfixLoad(&load, 2000)
	p := newTestPostfix(t, nil)
	var s skimTranscript
	s.skimAll(p, load.Bytes(), parsertest.Time)
	if parsed := lines - s.skimmed; parsed > bounces+10 {
		t.Errorf("%d lines of %d were parsed, for %d bounces", parsed, lines, bounces)
	}
}

// Where nearly every line comes from another host, they are not compared for long.
func TestLinesOfManyHostsAreParsed(t *testing.T) {
	var load, spread bytes.Buffer
	lines, _ := writePostfixLoad(&load, 2000)
	host := 0
	for line := range bytes.Lines(load.Bytes()) {
		host++
		spread.Write(bytes.Replace(line, []byte(" news "), fmt.Appendf(nil, " mx%d ", host%50), 1))
	}
	p := newTestPostfix(t, nil)
	var s skimTranscript
	s.skimAll(p, spread.Bytes(), parsertest.Time)
	if s.skimmed > lines/20 {
		t.Errorf("%d lines of %d were skimmed", s.skimmed, lines)
	}
}
