package agent

import (
	"fmt"
	"sync/atomic"

	"bouncefeed/internal/config"
	"bouncefeed/parsers"
)

// parserSet are the parsers of one sink, each made when it is first asked for.
type parserSet struct {
	env     config.Env
	format  config.Section               // of records without a Route
	formats map[string]config.Section    // by Record.Route
	memory  func(parsers.Stateful) error // restores the stored memory of the format's parser; nil: it starts empty

	outdated atomic.Uint64 // grows when others change what is stored

	main   parsers.Parser            // of the format; nil: not made yet
	made   uint64                    // what outdated was before it was
	routed map[string]parsers.Parser // of the formats, by Record.Route
	missed string                    // times that records were missing, as the main one knows
}

// of gives the parser of records with that route.
func (s *parserSet) of(route string) (parsers.Parser, error) {
	if route == "" {
		err := s.ready()
		return s.main, err
	}
	if p := s.routed[route]; p != nil {
		return p, nil
	}
	section, known := s.formats[route]
	if !known {
		return nil, fmt.Errorf("no parser for records of route %q", route)
	}
	p, err := parsers.Modules.Build(s.env, section)
	if err != nil {
		return nil, err
	}
	if s.routed == nil {
		s.routed = map[string]parsers.Parser{}
	}
	s.routed[route] = p
	return p, nil
}

// ready makes the format's parser and restores its memory, at first and after a failed Commit. Memory that can't be read
// is no reason to stop reading: the parser starts as on a first start.
func (s *parserSet) ready() error {
	if s.main != nil {
		return nil
	}
	s.made = s.outdated.Load()
	p, err := parsers.Modules.Build(s.env, s.format)
	if err != nil {
		return err
	}
	if st, ok := p.(parsers.Stateful); ok && s.memory != nil {
		if err := s.memory(st); err != nil {
			s.env.Log.Error("the parser's stored memory can't be read, it starts without", "parser", s.format.Type, "error", err)
			if p, err = parsers.Modules.Build(s.env, s.format); err != nil {
				return err
			}
		}
	}
	s.main = p
	return nil
}

// loadStored restores a parser's memory.
func loadStored(p parsers.Stateful, stored parsers.Stored) error {
	if r, ok := p.(parsers.Recaller); ok {
		r.KeepStored(stored)
	}
	return p.Load(stored.All())
}

// countMissed tells the format's parser where records are missing: missed has grown over what is stored.
func (s *parserSet) countMissed(missed string, stored store, input string) error {
	if missed == "" || missed == s.missed {
		return nil
	}
	if err := s.ready(); err != nil {
		return err
	}
	before := s.missed
	if before == "" {
		checkpoint, err := stored.Checkpoint(input)
		if err != nil {
			return err
		}
		before = checkpoint[gaps]
	}
	if p, ok := s.main.(parsers.Misser); ok && before != missed && missed != "0" {
		p.Missed()
	}
	s.missed = missed
	return nil
}

// forget drops the parser that remembers.
func (s *parserSet) forget() { s.main, s.missed = nil, "" }

// changes are what the parser remembers otherwise since the last call.
func (s *parserSet) changes() map[string][]byte {
	if p, ok := s.main.(parsers.Stateful); ok {
		return p.Changes()
	}
	return nil
}
