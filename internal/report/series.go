package report

import (
	"maps"
	"slices"

	"bouncefeed/internal/event"
)

// series is a tally by the hour, from the first of its hours to the last that is asked for. Counts stand added up: those at an
// index are of all hours before it, so that a window costs the same whatever its length.
type series struct {
	first, last int64 // hours
	all         []Counts
	providers   map[string]*providerSeries
	ids         []string // of providers, sorted
	tally       *Tally
}

type providerSeries struct {
	counts  []Counts
	reasons map[reasonClass][]uint32
}

type reasonClass struct {
	reason event.Reason
	class  Class
}

// maxHours bounds what a stranger's wrong dates can make: two years.
const maxHours = 2 * 366 * 24

func newSeries(t *Tally, last int64) *series {
	s := &series{first: last, last: last, providers: map[string]*providerSeries{}, tally: t}
	for r := range t.rows {
		s.first = min(s.first, r.Hour)
	}
	s.first = max(s.first, last-maxHours)
	n := int(last-s.first) + 1
	s.all = make([]Counts, n+1)
	for r, count := range t.rows {
		at := int(r.Hour - s.first)
		if at < 0 || at >= n {
			continue
		}
		p := s.providers[r.Provider]
		if p == nil {
			p = &providerSeries{make([]Counts, n+1), map[reasonClass][]uint32{}}
			s.providers[r.Provider] = p
		}
		p.counts[at+1][r.Class] += count
		s.all[at+1][r.Class] += count
		if r.Reason != "" {
			key := reasonClass{r.Reason, r.Class}
			if p.reasons[key] == nil {
				p.reasons[key] = make([]uint32, n)
			}
			p.reasons[key][at] += uint32(count)
		}
	}
	s.ids = slices.Sorted(maps.Keys(s.providers))
	for i := range n {
		s.all[i+1].Add(&s.all[i])
		for _, p := range s.providers {
			p.counts[i+1].Add(&p.counts[i])
		}
	}
	return s
}

// window is the hours up to one of them.
type window struct {
	*series
	provider string // "": all
	from, to int    // indexes, both in it
}

// at gives the last n hours up to the hour at an index.
func (s *series) at(provider string, to, n int) window {
	return window{s, provider, max(0, to-n+1), to}
}

func (w *window) counts() (sum Counts) {
	hours := w.all
	if w.provider != "" {
		hours = w.providers[w.provider].counts
	}
	sum = hours[w.to+1]
	for class, before := range hours[w.from] {
		sum[class] -= before
	}
	return sum
}

// of counts what was of a class for some reasons. No reasons: of each.
func (w *window) of(class Class, reasons ...event.Reason) (n uint64) {
	for key, hours := range w.providers[w.provider].reasons {
		if key.class != class || len(reasons) > 0 && !slices.Contains(reasons, key.reason) {
			continue
		}
		for _, count := range hours[w.from : w.to+1] {
			n += uint64(count)
		}
	}
	return n
}

// main is the reason of most of a class.
func (w *window) main(class Class) (reason event.Reason) {
	var most uint64
	for key := range w.providers[w.provider].reasons {
		if key.class != class {
			continue
		}
		if n := w.of(class, key.reason); n > most || n == most && n > 0 && key.reason < reason {
			most, reason = n, key.reason
		}
	}
	return reason
}
