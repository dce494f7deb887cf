package agent

import (
	"bytes"
	"context"
	"errors"
	"mime"
	"slices"
	"strings"
	"sync"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
	"bouncefeed/parsers"
)

// checkRequests holds that a stranger's request is nowhere taken for the provider's.
func checkRequests(env config.Env, routes []inputs.Route) error {
	var errs []error
	for _, r := range routes {
		p, err := parsers.Modules.Build(env, r.Parser)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		_, web := p.(parsers.Web)
		verifier, signed := p.(parsers.Verifier)
		switch {
		case !web:
			errs = append(errs, r.Parser.Errorf("", "%s does not come by HTTP", r.Parser.Type))
		case r.Authenticated || signed && verifier.Keyed():
		case signed:
			errs = append(errs, r.Parser.Errorf("", "lacks what its signatures are verified with: %s", verifier.KeyNeeded()))
		case r.Public:
			errs = append(errs, r.Parser.Errorf("", "anybody could post bounces here: give the route a password, a token, a secret or from:, or let it listen on 127.0.0.1 without public_url and trusted_proxies"))
		}
	}
	return config.Join("", errs...)
}

// routesOf are the routes of an input that has some; nil of any other.
func routesOf(in inputs.Input) []inputs.Route {
	if r, ok := in.(inputs.Routed); ok {
		return r.Routes()
	}
	return nil
}

// sections are the formats of an input by Record.Route; nil of one without routes.
func sections(in inputs.Input) map[string]config.Section {
	var all map[string]config.Section
	for _, r := range routesOf(in) {
		if all == nil {
			all = map[string]config.Section{}
		}
		all[r.Name] = r.Parser
	}
	return all
}

// parsers names the formats of an input.
func (in *plannedInput) parsers() []string {
	routes := routesOf(in.built.Input)
	if routes == nil {
		return []string{in.built.Settings.Parser.Type}
	}
	var types []string
	for _, r := range routes {
		types = append(types, r.Parser.Type)
	}
	slices.Sort(types)
	return slices.Compact(types)
}

// reads gives an input's settings of a format, if it reads it at all.
func (in *plannedInput) reads(kind string) (section config.Section, ok bool) {
	if in.built.Settings.Parser.Type == kind {
		return in.built.Settings.Parser, true
	}
	for _, r := range routesOf(in.built.Input) {
		if r.Parser.Type == kind {
			return r.Parser, true
		}
	}
	return config.Section{}, false
}

// CommitRequest implements inputs.RequestSink.
func (s *sink) CommitRequest(ctx context.Context, rec event.Record) (answer string, err error) {
	if answer, err = s.admit(ctx, rec); err != nil {
		if refused, ok := errors.AsType[*event.RefusedError](err); ok {
			s.CountRefused(refused.Why)
		}
		return "", err
	}
	d, err := s.judge(ctx, []event.Record{rec}, nil, "")
	if err == nil {
		err = s.putAndHint(ctx, d)
	}
	if err == nil && len(d.batch.Refused) > 0 {
		err = s.fault(rec)
	}
	return answer, err
}

// fault tells the sender of rec, if its parser has such, what was not taken.
func (s *sink) fault(rec event.Record) error {
	s.mu.Lock()
	p, err := s.parsers.of(rec.Route)
	s.mu.Unlock()
	f, ok := p.(parsers.Faultfinder)
	if err != nil || !ok {
		return nil
	}
	if err = f.Fault(rec); err == nil {
		return nil
	}
	return &inputs.MalformedError{Detail: err.Error()}
}

// admit asks the parser whether rec comes from whom it seems to, and for its answer. It holds no lock while the parser
// asks the network.
func (s *sink) admit(ctx context.Context, rec event.Record) (answer string, err error) {
	s.mu.Lock()
	p, err := s.parsers.of(rec.Route)
	s.mu.Unlock()
	if err == nil {
		err = admit(ctx, p, rec)
	}
	if err != nil {
		return "", err
	}
	h, ok := p.(parsers.Handshaker)
	if v, signed := p.(parsers.Verifier); !ok || signed && !v.Keyed() {
		return "", nil
	}
	return h.Handshake(ctx, rec)
}

// admit says whether a request is the provider's, as far as its parser can tell.
func admit(ctx context.Context, p parsers.Parser, rec event.Record) error {
	if w, ok := p.(parsers.Web); ok {
		if err := readable(rec, w.ContentTypes()); err != nil {
			return err
		}
	}
	if v, ok := p.(parsers.Verifier); ok && v.Keyed() {
		return v.Verify(ctx, rec)
	}
	return nil
}

// readable refuses a request in a form that no parser reads, whatever it says: its sender sends all others like it.
func readable(rec event.Record, types []string) error {
	encoding := rec.Request.Field("Content-Encoding")
	switch {
	case !comesAs(rec.Request.Field("Content-Type"), types):
		return event.Refuse(event.WhyContentType, "a request of another Content-Type than %s", strings.Join(types, ", "))
	case encoding != "" && !strings.EqualFold(encoding, "identity"):
		return event.Refuse(event.WhyContentType, "a body with a Content-Encoding: send it as it is")
	case slices.ContainsFunc(byteOrderMarks, func(mark string) bool { return bytes.HasPrefix(rec.Body, []byte(mark)) }):
		return event.Refuse(event.WhyContentType, "a body that begins with a byte order mark: send UTF-8 without")
	}
	return nil
}

// byteOrderMarks are those of UTF-8 and UTF-16.
var byteOrderMarks = []string{"\xef\xbb\xbf", "\xfe\xff", "\xff\xfe"}

// comesAs says whether a Content-Type is one of types. None at all leaves it to the parser to make sense of the body.
func comesAs(contentType string, types []string) bool {
	if contentType == "" {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return false
	}
	return slices.Contains(types, media)
}

// turnedAway are the requests refused before anything of them was stored. Their number is stored at most once a second:
// a flood of wrong signatures must not keep the disk busy.
type turnedAway struct {
	mu     sync.Mutex
	counts map[queue.Figure]uint64
}

const turnedAwayEvery = time.Second

// CountRefused implements inputs.RequestSink.
func (s *sink) CountRefused(why string) {
	t := &s.turnedAway
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = map[queue.Figure]uint64{}
		time.AfterFunc(turnedAwayEvery, s.storeRefused)
	}
	t.counts[queue.Figure{Word: queue.CountRead}]++
	t.counts[queue.RefusedAs(why)]++
}

// storeRefused runs once the agent may have ended: then the count of the last second is lost, of both sides alike.
func (s *sink) storeRefused() {
	t := &s.turnedAway
	t.mu.Lock()
	counts := t.counts
	t.counts = nil
	t.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), turnedAwayEvery)
	defer cancel()
	if _, err := s.store.Commit(ctx, queue.Batch{Input: s.name, Counts: counts}); err != nil {
		s.env.Log.Debug("requests turned away were not counted", "error", err)
	}
}
