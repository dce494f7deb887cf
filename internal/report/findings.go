package report

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/internal/provider"
)

// Severity is how much a finding matters.
type Severity uint8

// The severities; None is no finding.
const (
	None Severity = iota
	Info
	Warning
	Critical
)

func (s Severity) String() string { return [...]string{"none", "info", "warning", "critical"}[s] }

// MarshalText makes it a word in JSON.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the word.
func (s *Severity) UnmarshalText(text []byte) error {
	for *s = None; *s <= Critical; *s++ {
		if s.String() == string(text) {
			return nil
		}
	}
	return fmt.Errorf("%q is no severity", text)
}

// A Finding is something that an admin should look at.
type Finding struct {
	ID       string       `json:"id"`
	Severity Severity     `json:"severity"`
	Since    time.Time    `json:"since"`
	Until    *time.Time   `json:"until,omitempty"` // when it was over
	Provider string       `json:"provider,omitempty"`
	Subject  string       `json:"subject,omitempty"` // of blocklist_named the list, of typo_domains a domain
	Reason   event.Reason `json:"reason,omitempty"`
	Count    uint64       `json:"count"` // of the window in which it was worst
	Of       uint64       `json:"of,omitempty"`
	Lower    float64      `json:"lower_bound,omitempty"`
	Example  *Example     `json:"example,omitempty"`
	Advice   []Advice     `json:"advice,omitempty"`
}

// verdict is what a rule says of a window.
type verdict struct {
	severity  Severity
	reason    event.Reason
	count, of uint64
}

// A rule raises findings. ease lowers its thresholds: a finding is over when the rule is silent at half of them for a day.
type rule struct {
	id     string
	hours  int
	whole  bool // of all providers together
	judges func(w *window, ease float64) verdict
}

// share judges k of n by the lower bound of what the share is at least; steps are the thresholds of info, warning and
// critical, 0: none.
func share(k, n uint64, ease float64, steps [3]float64) Severity {
	lower := lowerBound(k, n)
	for severity := Critical; severity > None; severity-- {
		if step := steps[severity-1]; step > 0 && lower >= step*ease {
			return severity
		}
	}
	return None
}

// rules are the findings but those of blocklists and typos, which are no provider's.
var rules = []rule{
	{"provider_blocks", 6, false, func(w *window, ease float64) verdict {
		c := w.counts()
		v := verdict{reason: w.main(Ours), count: c[Ours], of: c.Ended()}
		if float64(c[Ours]) >= 5*ease {
			v.severity = share(c[Ours], v.of, ease, [3]float64{0, 0.05, 0.20})
		}
		return v
	}},
	{"auth_failing", 24, false, func(w *window, ease float64) verdict { return identity(w, ease, event.AuthFailed) }},
	{"reverse_dns", 24, false, func(w *window, ease float64) verdict { return identity(w, ease, event.ReverseDNS) }},
	{"provider_defers", 6, false, defers},
	{"hard_rate", 24, true, func(w *window, ease float64) verdict {
		c := w.counts()
		v := verdict{count: c[Hard], of: c.Ended()}
		if v.of >= 200 {
			v.severity = share(c[Hard], v.of, ease, [3]float64{0.02, 0.05, 0.10})
		}
		return v
	}},
	{"complaint_rate", 7 * 24, false, func(w *window, ease float64) verdict {
		c := w.counts()
		v := verdict{count: c[Complaint], of: c[Accepted]}
		if v.of >= 1000 {
			v.severity = share(v.count, v.of, ease, [3]float64{0, 0.001, 0.003})
		}
		return v
	}},
	{"returned", 24, false, func(w *window, ease float64) verdict {
		c := w.counts()
		v := verdict{count: c[Returned], of: c[Accepted]}
		if v.count >= 20 {
			v.severity = share(v.count, v.of, ease, [3]float64{0, 0.02, 0})
		}
		return v
	}},
	{"silence", 8 * 24, true, silence},
	{"unexplained", 7 * 24, true, func(w *window, ease float64) verdict {
		c := w.counts()
		v := verdict{reason: event.Undetermined, count: c[Unknown], of: c.Failed()}
		if v.count >= 20 {
			v.severity = share(v.count, v.of, ease, [3]float64{0.05, 0, 0})
		}
		return v
	}},
}

// identity: a provider does not take us for who we say we are.
func identity(w *window, ease float64, reason event.Reason) verdict {
	c := w.counts()
	v := verdict{reason: reason, count: w.of(Ours, reason), of: c.Ended()}
	if v.count >= 5 {
		v.severity = share(v.count, v.of, ease, [3]float64{0, 0, 0.01})
	}
	return v
}

// defers: a provider puts off far more than it used to. Greylisting is how it greets strangers.
func defers(w *window, ease float64) verdict {
	c := w.counts()
	v := verdict{reason: w.main(PutOff), count: less(c[PutOff], w.of(PutOff, event.Greylisted)), of: c.Tried()}
	if float64(v.count) < 20*ease || lowerBound(v.count, v.of) < ease*3*w.usuallyPutOff() {
		return v
	}
	v.severity = share(v.count, v.of, ease, [3]float64{0, 0.20, 0.60})
	return v
}

// usuallyPutOff is the median share of the 14 days before the window; 0 if there are none.
func (w *window) usuallyPutOff() float64 {
	var shares []float64
	for d := range 14 {
		to := w.from - 1 - 24*d
		if to < 0 {
			break
		}
		before := w.at(w.provider, to, 24)
		c := before.counts()
		if tried := c.Tried(); tried >= 20 {
			shares = append(shares, float64(less(c[PutOff], before.of(PutOff, event.Greylisted)))/float64(tried))
		}
	}
	if len(shares) == 0 {
		return 0
	}
	slices.Sort(shares)
	return shares[len(shares)/2]
}

// silence: nothing ended for three times as long as it ever did in eight days.
func silence(w *window, _ float64) (v verdict) {
	gap, longest := 0, 1
	for i := w.from; i <= w.to; i++ {
		if w.all[i+1].Ended() > w.all[i].Ended() {
			longest, gap = max(longest, gap), 0
		} else {
			gap++
		}
	}
	c := w.counts()
	if days := uint64(w.to-w.from+1) / 24; days >= 2 && c.Ended() >= 100*days && gap > 3*longest {
		v = verdict{severity: Info, count: uint64(gap)}
	}
	return v
}

// findings follows the rules from hour to hour and gives what was raised or stood in the hours from since on.
func (s *series) findings(since int64) []Finding {
	var all []Finding
	for i := range rules {
		r := &rules[i]
		if r.whole {
			all = s.follow(all, r, "", since)
			continue
		}
		for _, id := range s.ids {
			if id == provider.Other || id == provider.Local { // nobody who could be asked
				continue
			}
			all = s.follow(all, r, id, since)
		}
	}
	all = append(append(all, s.blocklists(since)...), s.typos(since)...)
	sortFindings(all)
	return all
}

func sortFindings(all []Finding) {
	slices.SortStableFunc(all, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(b.Count, a.Count))
	})
}

const quietHours = 24 // at half the thresholds, until a finding is over

func (s *series) follow(all []Finding, r *rule, id string, since int64) []Finding {
	var now *Finding
	quiet := 0
	start := max(0, int(since-s.first)-14*24)
	for at := start; at < len(s.all)-1; at++ {
		w := s.at(id, at, r.hours)
		v := r.judges(&w, 1)
		if v.severity > None {
			quiet = 0
			if now == nil {
				now = &Finding{ID: r.id, Since: hourTime(s.first + int64(at)), Provider: id}
			}
			if v.severity > now.Severity || v.severity == now.Severity && v.count >= now.Count {
				now.Severity, now.Reason, now.Count, now.Of, now.Lower = v.severity, v.reason, v.count, v.of, lowerBound(v.count, v.of)
			}
			continue
		}
		if now == nil {
			continue
		}
		if v := r.judges(&w, 0.5); v.severity > None {
			quiet = 0
		} else if quiet++; quiet >= quietHours {
			over := hourTime(s.first + int64(at))
			if now.Until = &over; s.first+int64(at) >= since {
				all = append(all, *s.explained(now))
			}
			now, quiet = nil, 0
		}
	}
	if now != nil {
		all = append(all, *s.explained(now))
	}
	return all
}

// explained adds an example and what to do.
func (s *series) explained(f *Finding) *Finding {
	text := ""
	if e := s.tally.examples[exampleKey{f.Provider, f.Reason}]; e != nil && f.Provider != "" {
		f.Example, text = e, e.Text
	}
	if f.Provider != "" && f.Reason != "" {
		if a := adviceFor(f.Provider, f.Reason, text); a.Text != "" {
			f.Advice = []Advice{a}
		}
	}
	if b := blocklistIn(text); b != nil && f.Reason == event.Blocklisted {
		f.Advice = []Advice{b.advice()}
	}
	return f
}

func hourTime(h int64) time.Time { return time.Unix(h*hour, 0).UTC() }

// naming is how often a list was named in a day.
type naming struct {
	first              int64 // hour
	count              uint64
	domains, providers map[string]bool
}

// blocklists: a public list is named to us by several in one day.
func (s *series) blocklists(since int64) (all []Finding) {
	days := map[string]map[int64]*naming{}
	for r, n := range s.tally.blocks {
		if r.hour < since || r.hour > s.last {
			continue
		}
		if days[r.list] == nil {
			days[r.list] = map[int64]*naming{}
		}
		d := days[r.list][r.hour/24]
		if d == nil {
			d = &naming{r.hour, 0, map[string]bool{}, map[string]bool{}}
			days[r.list][r.hour/24] = d
		}
		d.first, d.count = min(d.first, r.hour), d.count+n
		d.domains[r.domain], d.providers[r.provider] = true, true
	}
	for name, named := range days {
		f := Finding{ID: "blocklist_named", Subject: name, Reason: event.Blocklisted, Advice: []Advice{blocklistNamed(name).advice()}}
		for _, d := range named {
			if len(d.domains) < 2 || d.count < 3 {
				continue
			}
			if f.Severity == None || hourTime(d.first).Before(f.Since) {
				f.Since = hourTime(d.first)
			}
			severity := Warning
			if name == "Spamhaus" || len(d.providers) >= 3 {
				severity = Critical
			}
			f.Severity = max(f.Severity, severity)
			f.Count += d.count
		}
		if f.Severity > None {
			all = append(all, f)
		}
	}
	slices.SortFunc(all, func(a, b Finding) int { return cmp.Compare(a.Subject, b.Subject) })
	return all
}

// typos: addresses at a domain that is one slip from a well-known one.
func (s *series) typos(since int64) (all []Finding) {
	counts, first := map[string]uint64{}, map[string]int64{}
	for r, n := range s.tally.typos {
		if r.day*24 < since-24 || r.day*24 > s.last {
			continue
		}
		if counts[r.domain] += n; first[r.domain] == 0 || r.day < first[r.domain] {
			first[r.domain] = r.day
		}
	}
	for domain, n := range counts {
		if n >= 3 {
			all = append(all, Finding{ID: "typo_domains", Severity: Info, Since: hourTime(first[domain] * 24), Subject: domain, Reason: event.DomainUnknown, Count: n})
		}
	}
	slices.SortFunc(all, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Subject, b.Subject))
	})
	return all[:min(len(all), 5)]
}
