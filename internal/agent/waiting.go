package agent

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/internal/report"
	"bouncefeed/parsers"
)

// waiting counts the recipients that wait at the moment, by provider, as the logs' parsers know them. nil: one of them does not
// know, for its input has not begun.
func (a *Agent) waiting(stream report.Stream, now time.Time) []report.Waiting {
	since := map[string][]time.Time{}
	for _, in := range a.inputs {
		if !readsLog(in.built.Settings.Parser.Type) {
			continue
		}
		known := in.sink.waiting(func(p *event.Passage) {
			if of := in.sink.streamOf(p.Sender); stream == report.AllStreams || of == stream {
				id := a.counting.providerOf(p.RemoteMTA, domainOf(p.Recipient))
				since[id] = append(since[id], p.Time)
			}
		})
		if !known {
			return nil
		}
	}
	all := make([]report.Waiting, 0, len(since))
	for _, id := range slices.Sorted(maps.Keys(since)) {
		all = append(all, report.NewWaiting(id, since[id], now))
	}
	slices.SortStableFunc(all, func(a, b report.Waiting) int { return cmp.Compare(b.Recipients, a.Recipients) })
	return all
}

// waiting tells who waits, as far as the parser can say.
func (s *sink) waiting(each func(*event.Passage)) (known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w, ok := s.parsers.main.(parsers.Waiter); ok {
		w.Waiting(each)
	}
	return s.parsers.main != nil
}

func (s *sink) streamOf(sender string) report.Stream {
	if (&draft{sinkConfig: &s.sinkConfig}).wanted(sender) {
		return report.Lists
	}
	return report.OtherMail
}
