package agent

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/internal/metrics"
	"bouncefeed/internal/provider"
	"bouncefeed/internal/queue"
	"bouncefeed/internal/report"
)

// maxProviders is how many have series of their own; the others count as provider.Other.
const maxProviders = 25

// figures count what became of recipients since the start, from what is on disk. What is stored would do for no counter: it
// falls when its oldest day is forgotten, and that looks like one that began anew.
type figures struct {
	mu        sync.Mutex
	providers map[string]*providerFigures
	failures  map[event.Reason]uint64
}

type providerFigures struct {
	report.Counts
	ours map[event.Reason]uint64 // of those that failed by our fault
}

// failedClasses are those of who did not get the message.
var failedClasses = []report.Class{report.Hard, report.Soft, report.Ours, report.GaveUp, report.Unknown}

// seenWithin is how long back a provider with mail has a series from the start.
const seenWithin = 28 * 24 * time.Hour

func newFigures() *figures {
	f := &figures{providers: map[string]*providerFigures{}, failures: map[event.Reason]uint64{}}
	f.of(provider.Other)
	return f
}

// begin gives series to the providers with most mail of late.
func (f *figures) begin(q *queue.Queue, now time.Time) error {
	names := map[string]uint64{}
	err := q.Statistics(now.Add(-seenWithin), now, func(s *event.Stat) {
		if row, ok := report.RowOf(s); ok {
			names[row.Provider] += s.N
		}
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range slices.SortedFunc(maps.Keys(names), func(a, b string) int { return cmp.Or(cmp.Compare(names[b], names[a]), cmp.Compare(a, b)) }) {
		f.of(name)
	}
	return err
}

// of gives a provider's figures, or those of the others. Who has had a series keeps it.
func (f *figures) of(name string) *providerFigures {
	one := f.providers[name]
	if one == nil && len(f.providers) >= maxProviders {
		return f.providers[provider.Other]
	}
	if one == nil {
		one = &providerFigures{ours: map[event.Reason]uint64{}}
		f.providers[name] = one
	}
	return one
}

// add counts rows of one transaction: those that are parts of others come with them.
func (f *figures) add(rows []event.Stat) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range rows {
		row, ok := report.RowOf(&rows[i])
		if !ok {
			continue
		}
		one, n := f.of(row.Provider), rows[i].N
		one.Counts[row.Class] += n
		if slices.Contains(failedClasses, row.Class) {
			f.failures[row.Reason] += n
		}
		if row.Class == report.Ours {
			one.ours[row.Reason] += n
		}
	}
}

// tell tells all of it.
func (f *figures) tell(p *metrics.Page) {
	f.mu.Lock()
	defer f.mu.Unlock()
	each := func(tell func(name string, one *providerFigures)) {
		for _, name := range slices.Sorted(maps.Keys(f.providers)) {
			tell(name, f.providers[name])
		}
	}
	p.Counter("bouncefeed_recipients_total", "Recipients of messages by what became of them: each of one message once.", "provider", "outcome")
	each(func(name string, one *providerFigures) {
		c := &one.Counts
		p.Add(c[report.Accepted]-c[report.Late], name, "delivered")
		p.Add(c[report.Late], name, "delivered_late")
		for _, class := range failedClasses {
			p.Add(c[class], name, class.String())
		}
	})
	for _, counted := range []struct {
		name, help string
		n          func(c *report.Counts) uint64
	}{
		{"recipients_tried", "Recipients to whom a first attempt was made.", (*report.Counts).Tried},
		{"recipients_deferred", "Recipients that were put off: each of one message once.", func(c *report.Counts) uint64 { return c[report.PutOff] }},
		{"deferrals", "Attempts that were put off.", func(c *report.Counts) uint64 { return c[report.PutOff] + c[report.Attempt] }},
		{"complaints", "Complaints of recipients.", func(c *report.Counts) uint64 { return c[report.Complaint] }},
		{"returned", "Recipients who failed after their provider had accepted the message.", func(c *report.Counts) uint64 { return c[report.Returned] }},
	} {
		p.Counter("bouncefeed_"+counted.name+"_total", counted.help, "provider")
		each(func(name string, one *providerFigures) { p.Add(counted.n(&one.Counts), name) })
	}
	p.Counter("bouncefeed_failures_total", "Recipients who failed, by why and whose fault that is.", "reason", "fault")
	for _, reason := range event.Reasons() {
		_, fault, _ := reason.Outcome()
		p.Add(f.failures[reason], string(reason), string(fault))
	}
	p.Counter("bouncefeed_sender_fault_total", "Recipients who failed by our fault, by why.", "provider", "reason")
	each(func(name string, one *providerFigures) {
		for _, reason := range event.Reasons() {
			if _, fault, _ := reason.Outcome(); fault == event.FaultSender {
				p.Add(one.ours[reason], name, string(reason))
			}
		}
	})
}

// shown is under what a provider is told, by the holder of the lock.
func (f *figures) shown(name string) string {
	if f.providers[name] == nil {
		return provider.Other
	}
	return name
}

// tellWaiting tells how many wait, of all that have series. nil: it is not known.
func (f *figures) tellWaiting(p *metrics.Page, all []report.Waiting) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p.Gauge("bouncefeed_recipients_waiting", "Recipients that were put off, and neither accepted nor failed so far; of inputs that read a log.", "provider")
	if all == nil {
		return
	}
	waiting := map[string]uint64{}
	for i := range all {
		waiting[f.shown(all[i].Provider)] += all[i].Recipients
	}
	for _, name := range slices.Sorted(maps.Keys(f.providers)) {
		p.Add(waiting[name], name)
	}
}

// tellFindings tells which are open. What they are about may be a domain, and is told by the report alone.
func (f *figures) tellFindings(p *metrics.Page, all []FindingStatus) {
	f.mu.Lock()
	defer f.mu.Unlock()
	open := map[[3]string]bool{}
	for i := range all {
		of := all[i].Provider
		if of != "" {
			of = f.shown(of)
		}
		open[[3]string{all[i].ID, of, all[i].Severity.String()}] = true
	}
	p.Gauge("bouncefeed_finding_active", "What 'bouncefeed report' finds open; absent when it is over.", "finding", "provider", "severity")
	for _, labels := range slices.SortedFunc(maps.Keys(open), func(a, b [3]string) int { return slices.Compare(a[:], b[:]) }) {
		p.Add(1, labels[:]...)
	}
}
