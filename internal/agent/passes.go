package agent

import (
	"hash/maphash"
	"strings"

	"bouncefeed/internal/event"
	"bouncefeed/internal/report"
	"bouncefeed/internal/text"
)

// passes are the deliveries and deferrals that a sink has counted: most go to the same domains by the same hosts as those before,
// in the same hour, so that one more is a number that grows.
type passes struct {
	*counting
	counts  bool // deliveries and deferrals: else another input tells of the same
	known   map[string]*pass
	replies map[reply]event.Reason
	seed    maphash.Seed
	drafts  uint64
}

// pass is what goes to a domain by a host in an hour.
type pass struct {
	host   string // of the relay, whatever its address; "" where that matters
	relay  string
	hour   uint32
	stream report.Stream
	ways   []*counter
	atOnce *counter // the one of most
}

// way is what a recipient counts as.
type way struct {
	class  report.Class
	late   int8 // of those accepted: the step of how late, from 1; 0: at once
	reason event.Reason
}

// counter is the rows that one more counts in.
type counter struct {
	way
	rows  []event.Stat
	draft uint64 // that counts, and where
	at    int
}

// countedRows is how many a draft has found of something.
type countedRows struct {
	rows []event.Stat
	n    uint64
}

// reply is what a server said, as far as a verdict depends on it.
type reply struct {
	code           int
	status, remote string
	text           uint64 // a hash
}

// Domains and replies that are remembered: strangers can make many.
const (
	maxPasses  = 20_000
	maxReplies = 10_000
)

func newPasses(c *counting, counts bool) *passes {
	return &passes{counting: c, counts: counts, known: map[string]*pass{}, replies: map[reply]event.Reason{}, seed: maphash.MakeSeed()}
}

// next numbers a draft.
func (s *passes) next() uint64 {
	if s == nil {
		return 0
	}
	s.drafts++
	return s.drafts
}

// countPassage counts what a log skimmed.
func (d *draft) countPassage(p *event.Passage, stream report.Stream) {
	s := d.passes
	if s == nil || !s.counts || p.Foreign {
		return
	}
	domain, hour := domainOf(p.Recipient), event.Hours(p.Time)
	one := s.known[domain]
	if one == nil || one.hour != hour || one.stream != stream || !one.by(p.Relay) {
		one = s.begin(p, domain, hour, stream)
	}
	c := one.atOnce
	if p.Type != event.Delivered || p.Before || c == nil {
		c = s.counterOf(d, one, p)
	}
	if c == nil {
		return
	}
	if c.draft != d.serial {
		c.draft, c.at = d.serial, len(d.counted)
		d.counted = append(d.counted, countedRows{rows: c.rows})
	}
	d.counted[c.at].n++
}

// by says whether what goes by this relay counts alike.
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

func (s *passes) begin(p *event.Passage, domain string, hour uint32, stream report.Stream) *pass {
	if len(s.known) >= maxPasses {
		clear(s.known)
	}
	one := &pass{relay: strings.Clone(p.Relay), hour: hour, stream: stream}
	if host, address, found := strings.Cut(one.relay, "["); found && !strings.HasPrefix(address, "127.") && !strings.Contains(address, "/") {
		one.host = host
	}
	s.known[strings.Clone(domain)] = one
	return one
}

// counterOf finds the counter of a delivery or deferral. nil: it is counted by itself, for its words say more than its reason.
func (s *passes) counterOf(d *draft, one *pass, p *event.Passage) *counter {
	w := way{class: report.Attempt}
	switch {
	case p.Type == event.Delivered && p.Before:
		w = way{class: report.Accepted, late: int8(report.LateStep(p.Delay) + 1)}
	case p.Type == event.Delivered:
		w = way{class: report.Accepted}
	case !p.Before:
		w = way{class: report.PutOff, reason: s.reason(p)}
	}
	for _, c := range one.ways {
		if c.way == w {
			return c
		}
	}
	f := s.fact(p, one.stream)
	f.Class, f.PutOff = w.class, w.late > 0
	if w.class == report.PutOff {
		f.Reason, f.Recipient, f.Code, f.Status, f.Text = w.reason, p.Recipient, p.Code, p.Status, p.Diagnostic
		s.quote(&d.batch.Counted, &f)
		if w.reason == event.Blocklisted { // and which list it names
			d.batch.Counted.Stats = append(d.batch.Counted.Stats, f.Stats()...)
			return nil
		}
	}
	c := &counter{way: w, rows: f.Stats()}
	for i := range c.rows {
		c.rows[i].Name = strings.Clone(c.rows[i].Name)
	}
	one.ways = append(one.ways, c) // few: a host gives few reasons
	if w.class == report.Accepted && w.late == 0 {
		one.atOnce = c
	}
	return c
}

// reason judges why a recipient was put off.
func (s *passes) reason(p *event.Passage) event.Reason {
	key := reply{p.Code, p.Status, p.RemoteMTA, s.hash(p.Diagnostic)}
	if reason, known := s.replies[key]; known {
		return reason
	}
	e := event.Event{RemoteMTA: p.RemoteMTA, Code: p.Code, Status: p.Status, Diagnostic: p.Diagnostic}
	judge(s.classifier, &e)
	if len(s.replies) >= maxReplies {
		clear(s.replies)
	}
	key.status, key.remote = strings.Clone(key.status), strings.Clone(key.remote)
	s.replies[key] = e.Reason
	return e.Reason
}

// hash is one of a text without what differs each time and decides nothing: numbers, and the long words with digits in them that
// are ids.
func (s *passes) hash(diagnostic string) uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	begin, digits, others := 0, 0, 0
	for i := 0; i <= len(diagnostic); i++ {
		if i < len(diagnostic) && diagnostic[i] != ' ' {
			if text.IsDigit(diagnostic[i]) {
				digits++
			} else {
				others++
			}
			continue
		}
		if digits == 0 || others > 0 && digits+others < 12 {
			h.WriteString(diagnostic[begin:i])
		}
		h.WriteByte(' ')
		begin, digits, others = i+1, 0, 0
	}
	return h.Sum64()
}

// countTransit counts what a log told, or a provider.
func (d *draft) countTransit(e *event.Event, stream report.Stream) {
	p := event.Passage{
		Type: e.Type, Time: e.Time, Recipient: e.Recipient, RemoteMTA: e.RemoteMTA, Code: e.Code, Status: e.Status, Diagnostic: e.Diagnostic, Transit: e.Transit,
	}
	if p.Relay = relayOf(e); p.Time.IsZero() {
		p.Time = d.record.time
	}
	d.countPassage(&p, stream)
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

// addCounted makes rows of what d has counted, one of each.
func (d *draft) addCounted() {
	if d.passes == nil {
		return
	}
	sums := make(map[event.StatKey]uint64, 2*len(d.counted))
	for i := range d.counted {
		for _, row := range d.counted[i].rows {
			sums[row.StatKey] += d.counted[i].n
		}
	}
	all := &d.batch.Counted
	for _, row := range all.Stats {
		sums[row.StatKey] += row.N
	}
	if d.read > 0 {
		sums[event.StatKey{Table: event.StatCover, At: event.Hours(d.now()) / 24 * 24, Name: d.name, Kind: report.CoverRead}] += d.read
	}
	all.Stats = make([]event.Stat, 0, len(sums))
	for key, n := range sums {
		all.Stats = append(all.Stats, event.Stat{StatKey: key, N: n})
	}
}
