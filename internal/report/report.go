package report

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/internal/provider"
)

// Options are what a report is to be about.
type Options struct {
	Host     string
	Since    time.Time // to the hour
	Until    time.Time // not in it
	Compare  time.Time // where the period before begins, as long as this one; zero: none
	Provider string    // only this one
	Domain   string    // of its domains only this one
	Inputs   []Cover
	Table    *provider.Table // nil: the built-in one
	Daily    bool            // each provider's days too
}

// Cover says what was read of an input.
type Cover struct {
	Input string `json:"input"`
	Days  int    `json:"days"`
	Gaps  uint64 `json:"gaps,omitempty"`
}

// Span is a period of time: from Since, until before Until.
type Span struct {
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
}

// Figures are what became of some recipients. Only integers: rates are the reader's.
type Figures struct {
	Ended      uint64                  `json:"ended"`
	Accepted   uint64                  `json:"accepted"`
	Late       uint64                  `json:"late"`
	PutOff     uint64                  `json:"put_off"`
	Tried      uint64                  `json:"tried"`
	FailedOff  uint64                  `json:"put_off_failed"`
	Waiting    uint64                  `json:"waiting"`
	Attempts   uint64                  `json:"deferrals"` // put off once and again
	Failed     map[string]uint64       `json:"failed"`    // hard, soft, ours, gave_up, unknown
	Returned   uint64                  `json:"returned"`
	Complaints uint64                  `json:"complaints"`
	Reasons    map[event.Reason]uint64 `json:"reasons,omitempty"`         // of those that failed
	PutOffFor  map[event.Reason]uint64 `json:"put_off_reasons,omitempty"` // of those put off
	counts     Counts
}

// Group is a provider's, a domain's or a day's figures.
type Group struct {
	ID     string      `json:"id"`
	Name   string      `json:"name,omitempty"`
	Within *LateWithin `json:"late_within,omitempty"`
	Figures
	Before *Figures `json:"before,omitempty"`
	Days   []Group  `json:"days,omitempty"` // a provider's, if they were asked for
}

// LateWithin is within how many seconds half, and nine of ten, of those accepted late were accepted; 0: it took longer than a day.
type LateWithin struct {
	P50 int64 `json:"p50"`
	P90 int64 `json:"p90"`
	// Steps counts them by LateSteps; the last is of those who waited longer than all of these.
	Steps []uint64 `json:"steps"`
}

// Report is what `bouncefeed report --json` prints. Fields are added, never renamed.
type Report struct {
	Version int    `json:"version"`
	Host    string `json:"host,omitempty"`
	Zone    string `json:"zone"`
	Span
	Compare   *Span   `json:"compare,omitempty"`
	Totals    Group   `json:"totals"`
	Providers []Group `json:"providers"`
	Domains   []Group `json:"domains"`
	Days      []Group `json:"days"`
	// Campaigns are those whose mail names them, with what failed of it: what was accepted, nothing tells.
	Campaigns []Group                `json:"campaigns,omitempty"`
	Findings  []Finding              `json:"findings"`
	Examples  map[string][]ExampleOf `json:"examples,omitempty"` // by reason
	Cover     []Cover                `json:"cover,omitempty"`
	// WaitingNow is of the daemon alone, which knows.
	WaitingNow []Waiting `json:"waiting_now,omitempty"`
}

// ExampleOf is one provider's example.
type ExampleOf struct {
	Provider string `json:"provider"`
	Example
}

// Span gives the first and the last hour that something was counted in: zero if there are none.
func (t *Tally) Span() (first, last time.Time) { return t.first, t.last }

// Make draws up a report.
func (t *Tally) Make(o Options) *Report {
	table := cmp.Or(o.Table, provider.Default())
	r := &Report{Version: 1, Host: o.Host, Zone: "UTC", Span: Span{o.Since.UTC(), o.Until.UTC()}, Cover: o.Inputs, Examples: map[string][]ExampleOf{}}
	sum := t.sum(o, o.Since, o.Until)
	var before *sums
	if !o.Compare.IsZero() {
		r.Compare = &Span{o.Compare.UTC(), o.Compare.Add(o.Until.Sub(o.Since)).UTC()}
		before = t.sum(o, r.Compare.Since, r.Compare.Until)
	}
	r.Totals = group("all", "", sum.all, before, func(b *sums) *Figures { return b.all })
	r.Totals.Within = t.lateWithin("", o)
	for _, id := range slices.Sorted(maps.Keys(sum.providers)) {
		g := group(id, table.Name(id), sum.providers[id], before, func(b *sums) *Figures { return b.providers[id] })
		g.Within = t.lateWithin(id, o)
		g.Days = inOrder(sum.providerDays[id])
		r.Providers = append(r.Providers, g)
	}
	for _, d := range slices.Sorted(maps.Keys(sum.domains)) {
		r.Domains = append(r.Domains, group(d, "", sum.domains[d], before, func(b *sums) *Figures { return b.domains[d] }))
	}
	r.Days = inOrder(sum.days)
	for _, id := range slices.Sorted(maps.Keys(sum.campaigns)) {
		r.Campaigns = append(r.Campaigns, group(id, "", sum.campaigns[id], before, func(b *sums) *Figures { return b.campaigns[id] }))
	}
	byEnded := func(a, b Group) int {
		return cmp.Or(cmp.Compare(b.Ended+b.PutOff, a.Ended+a.PutOff), cmp.Compare(a.ID, b.ID))
	}
	slices.SortFunc(r.Providers, byEnded)
	slices.SortFunc(r.Domains, byEnded)
	slices.SortFunc(r.Campaigns, byEnded)
	r.Campaigns = r.Campaigns[:min(len(r.Campaigns), maxCampaigns)]
	t.countExamples(o)
	t.addFindings(r, o)
	t.addExamples(r, o)
	return r
}

func (t *Tally) addFindings(r *Report, o Options) {
	last := o.Until.Add(-1).Unix() / hour
	for _, f := range newSeries(t, last).findings(o.Since.Unix() / hour) {
		if o.Provider == "" || f.Provider == o.Provider {
			r.Findings = append(r.Findings, f)
		}
	}
}

// countExamples counts what the examples stand for, in the time of the report.
func (t *Tally) countExamples(o Options) {
	for _, e := range t.examples {
		e.Count = 0
	}
	from, to := o.Since.Unix()/hour, (o.Until.Unix()+hour-1)/hour
	for r, n := range t.rows {
		if e := t.examples[exampleKey{r.Provider, r.Reason}]; e != nil && (r.Class.failed() || r.Class == PutOff) && r.Hour >= from && r.Hour < to {
			e.Count += n
		}
	}
}

func (t *Tally) addExamples(r *Report, o Options) {
	for key, e := range t.examples {
		if e.Count == 0 || o.Provider != "" && key.provider != o.Provider {
			continue
		}
		r.Examples[string(key.reason)] = append(r.Examples[string(key.reason)], ExampleOf{key.provider, *e})
	}
	for _, all := range r.Examples {
		slices.SortFunc(all, func(a, b ExampleOf) int {
			return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Provider, b.Provider))
		})
	}
}

func group(id, name string, f *Figures, before *sums, pick func(*sums) *Figures) Group {
	f.finish()
	g := Group{ID: id, Figures: *f}
	if name != id {
		g.Name = name
	}
	if before != nil {
		b := pick(before)
		if b == nil {
			b = newFigures()
		}
		b.finish()
		g.Before = b
	}
	return g
}

// inOrder makes groups of days.
func inOrder(days map[string]*Figures) (all []Group) {
	for _, d := range slices.Sorted(maps.Keys(days)) {
		all = append(all, group(d, "", days[d], nil, nil))
	}
	return all
}

func newFigures() *Figures {
	return &Figures{Reasons: map[event.Reason]uint64{}, PutOffFor: map[event.Reason]uint64{}}
}

// finish works out what follows from the counts.
func (f *Figures) finish() {
	c := &f.counts
	f.Ended, f.Accepted, f.Late, f.PutOff, f.Tried, f.Waiting = c.Ended(), c[Accepted], c[Late], c[PutOff], c.Tried(), c.Waiting()
	f.Attempts, f.Returned, f.Complaints, f.FailedOff = c[PutOff]+c[Attempt], c[Returned], c[Complaint], c[FailedOff]
	f.Failed = map[string]uint64{}
	for _, class := range endings[1:] {
		f.Failed[class.String()] = c[class]
	}
}

// restore works out the counts of figures that came as JSON.
func (f *Figures) restore() {
	if f == nil {
		return
	}
	c := &f.counts
	c[Accepted], c[Late], c[PutOff], c[FailedOff], c[Returned], c[Complaint] = f.Accepted, f.Late, f.PutOff, f.FailedOff, f.Returned, f.Complaints
	c[Attempt] = less(f.Attempts, f.PutOff)
	for _, class := range endings[1:] {
		c[class] = f.Failed[class.String()]
	}
}

// UnmarshalJSON reads what --json prints.
func (r *Report) UnmarshalJSON(text []byte) error {
	type plain Report
	if err := json.Unmarshal(text, (*plain)(r)); err != nil {
		return err
	}
	r.Totals.restore()
	r.Totals.Before.restore()
	for _, groups := range [][]Group{r.Providers, r.Domains, r.Days, r.Campaigns} {
		for i := range groups {
			groups[i].restore()
			groups[i].Before.restore()
			for j := range groups[i].Days {
				groups[i].Days[j].restore()
			}
		}
	}
	return nil
}

func (f *Figures) add(class Class, reason event.Reason, n uint64) {
	switch f.counts[class] += n; {
	case class.failed():
		f.Reasons[reason] += n
	case class == PutOff:
		f.PutOffFor[reason] += n
	}
}

// sums are the figures of a period.
type sums struct {
	all                                 *Figures
	providers, domains, days, campaigns map[string]*Figures
	providerDays                        map[string]map[string]*Figures // only if they were asked for
}

func (t *Tally) sum(o Options, since, until time.Time) *sums {
	s := &sums{newFigures(), map[string]*Figures{}, map[string]*Figures{}, map[string]*Figures{}, map[string]*Figures{}, map[string]map[string]*Figures{}}
	from, to := since.Unix()/hour, (until.Unix()+hour-1)/hour
	for r, n := range t.rows {
		if r.Hour < from || r.Hour >= to || o.Provider != "" && r.Provider != o.Provider {
			continue
		}
		date := hourTime(r.Hour).Format(time.DateOnly)
		for _, f := range []*Figures{s.all, at(s.providers, r.Provider), at(s.days, date)} {
			f.add(r.Class, r.Reason, n)
		}
		if o.Daily {
			if s.providerDays[r.Provider] == nil {
				s.providerDays[r.Provider] = map[string]*Figures{}
			}
			at(s.providerDays[r.Provider], date).add(r.Class, r.Reason, n)
		}
	}
	for r, n := range t.domains {
		if r.day >= from/24 && r.day*24 < to && (o.Domain == "" || o.Domain == r.domain) {
			at(s.domains, r.domain).counts[r.class] += n
		}
	}
	for r, n := range t.campaigns {
		if r.day >= from/24 && r.day*24 < to {
			at(s.campaigns, r.campaign).add(r.class, r.reason, n)
		}
	}
	return s
}

func at(all map[string]*Figures, key string) *Figures {
	f := all[key]
	if f == nil {
		f = newFigures()
		all[key] = f
	}
	return f
}

// lateWithin finds the steps within which half and nine of ten were accepted who were so late. nil: nobody was.
func (t *Tally) lateWithin(id string, o Options) *LateWithin {
	var sum lateCounts
	var all uint64
	for p, days := range t.lates {
		if id != "" && p != id || o.Provider != "" && p != o.Provider {
			continue
		}
		for d, counts := range days {
			if d < o.Since.Unix()/day || d*day >= o.Until.Unix() {
				continue
			}
			for i, n := range counts {
				sum[i] += n
				all += n
			}
		}
	}
	if all == 0 {
		return nil
	}
	within := func(part uint64) int64 {
		var n uint64
		for i, step := range LateSteps {
			if n += sum[i]; n*10 >= all*part {
				return int64(step.Seconds())
			}
		}
		return 0
	}
	return &LateWithin{within(5), within(9), sum[:]}
}
