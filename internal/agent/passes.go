package agent

import (
	"strings"

	"bouncefeed/internal/event"
	"bouncefeed/internal/report"
	"bouncefeed/internal/text"
)

// passes are what a sink has counted of deliveries: most go to the same domains by the same hosts as those before, in the same
// hour, so that one more is a number that grows. nil: nobody counts.
type passes struct {
	*counting
	deliveries bool // count: else another input tells of the same
	known      map[string]*pass
	drafts     uint64
}

// pass is what a delivery to a domain counts as.
type pass struct {
	host   string // of the relay, whatever its address; "" where that matters
	relay  string
	hour   uint32
	stream report.Stream
	rows   []event.Stat
	draft  uint64 // that counts it, and where
	at     int
}

// passed is how many a draft has counted.
type passed struct {
	rows []event.Stat
	n    uint64
}

func newPasses(c *counting, deliveries bool) *passes {
	return &passes{counting: c, deliveries: deliveries, known: map[string]*pass{}}
}

const maxPasses = 20_000 // domains that are remembered, which strangers can make many of

// countPassage counts what a log skimmed; countTransit what it told otherwise.
func (d *draft) countPassage(p *event.Passage, stream report.Stream) {
	if d.passes == nil || !d.passes.deliveries || p.Foreign {
		return
	}
	if p.Type == event.Delivered && !p.Before {
		d.countDelivered(p, stream)
		return
	}
	d.passes.transit(&d.batch.Counted, &event.Event{
		Type: p.Type, Time: p.Time, Recipient: p.Recipient, RemoteMTA: p.RemoteMTA, Code: p.Code, Status: p.Status, Diagnostic: p.Diagnostic, Transit: p.Transit,
	}, stream)
}

func (d *draft) countTransit(e *event.Event, stream report.Stream) {
	if d.passes == nil || !d.passes.deliveries || e.Transit.Foreign {
		return
	}
	one := *e
	if one.Time.IsZero() {
		one.Time = d.record.time
	}
	d.passes.transit(&d.batch.Counted, &one, stream)
}

// countOthers counts mail of senders that are not wanted. Of these failures there is no memory: only a log's count, which tells
// each once.
func (d *draft) countOthers(e event.Event) {
	switch {
	case d.passes == nil:
	case e.Type == event.Delivered || e.Type == event.Delayed:
		d.countTransit(&e, report.OtherMail)
	case e.Type == "" && e.Recipient != "" && readsLog(d.format.Type) && d.formats == nil:
		d.complete(&e)
		d.passes.add(&d.batch.Counted, &e, report.OtherMail)
	}
}

// countDelivered counts one that was accepted at once.
func (d *draft) countDelivered(p *event.Passage, stream report.Stream) {
	s, domain, hour := d.passes, domainOf(p.Recipient), event.Hours(p.Time)
	one := s.known[domain]
	if one == nil || one.hour != hour || one.stream != stream || !one.by(p.Relay) {
		one = s.learn(p, domain, hour, stream)
	}
	if one.draft != d.serial {
		one.draft, one.at = d.serial, len(d.passed)
		d.passed = append(d.passed, passed{rows: one.rows})
	}
	d.passed[one.at].n++
}

// by says whether a delivery by this relay counts alike.
func (p *pass) by(relay string) bool {
	if relay == p.relay {
		return true
	}
	if p.host == "" || !strings.HasPrefix(relay, p.host) {
		return false
	}
	address := relay[len(p.host):]
	return len(address) > 1 && address[0] == '[' && text.IsDigit(address[1]) && !strings.HasPrefix(address, "[127.")
}

func (s *passes) learn(p *event.Passage, domain string, hour uint32, stream report.Stream) *pass {
	if len(s.known) >= maxPasses {
		clear(s.known)
	}
	var counted event.Counted
	s.transit(&counted, &event.Event{Type: p.Type, Time: p.Time, Recipient: strings.Clone(p.Recipient), Transit: p.Transit}, stream)
	one := &pass{relay: strings.Clone(p.Relay), hour: hour, stream: stream, rows: counted.Stats}
	if host, address, found := strings.Cut(one.relay, "["); found && !strings.HasPrefix(address, "127.") && !strings.Contains(address, "/") {
		one.host = host
	}
	s.known[strings.Clone(domain)] = one
	return one
}

// next numbers a draft.
func (s *passes) next() uint64 {
	if s == nil {
		return 0
	}
	s.drafts++
	return s.drafts
}

// addCounted makes rows of what d has counted, one of each.
func (d *draft) addCounted() {
	if d.passes == nil {
		return
	}
	sums := make(map[event.StatKey]uint64, 2*len(d.passed))
	for i := range d.passed {
		for _, row := range d.passed[i].rows {
			sums[row.StatKey] += d.passed[i].n
		}
	}
	counted := &d.batch.Counted
	for _, row := range counted.Stats {
		sums[row.StatKey] += row.N
	}
	if d.read > 0 {
		sums[event.StatKey{Table: event.StatCover, At: event.Hours(d.now()) / 24 * 24, Name: d.name, Kind: report.CoverRead}] += d.read
	}
	counted.Stats = make([]event.Stat, 0, len(sums))
	for key, n := range sums {
		counted.Stats = append(counted.Stats, event.Stat{StatKey: key, N: n})
	}
}
