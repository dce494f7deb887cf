package page

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/internal/provider"
	"bouncefeed/internal/report"
)

const (
	maxDomains = 25
	// fewest recipients of a domain to be named: fewer could be somebody.
	fewest = 5
)

// Provider is a provider's own page.
type Provider struct {
	Frame
	Name     string
	Findings []Finding
	Over     []Finding
	Figures  []Figure
	Chart    *Chart
	Weeks    []string
	Reasons  []Line // by week
	Late     []Counted
	Domains  []Line
	Examples []Example
	Empty    bool
}

// Example is a reply.
type Example struct{ Reason, Count, Last, Reply string }

func (p *page) provider(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	days, ok := span(r)
	if !ok || !p.known(id) {
		p.trouble(w, http.StatusNotFound, "There is no such page", "No provider is called so.")
		return
	}
	made, err := p.report(r.Context(), question{days, id})
	if err != nil {
		p.failed(w, err)
		return
	}
	name := provider.Default().Name(id)
	v := &Provider{Frame: frame(made, name, "/provider/"+id, days), Name: name, Empty: empty(made)}
	v.Findings, v.Over = findings(made)
	v.Figures = figures(made, days)
	v.Chart = chart("days", made.Span, made.Days)
	v.Weeks, v.Reasons = weeks(made)
	v.Late = lateSteps(made.Totals.Within)
	v.Domains = domains(made, id)
	v.Examples = examples(made)
	p.show(w, http.StatusOK, "provider", v)
}

func (p *page) known(id string) bool {
	return id == provider.Other || id == provider.Local || slices.Contains(provider.Default().IDs(), id)
}

// weeks counts reasons by the week, the last of which ends with the report.
func weeks(r *report.Report) (titles []string, rows []Line) {
	days := daysOf(r.Span)
	n := (len(days) + 6) / 7
	counts, sum := map[event.Reason][]uint64{}, map[event.Reason]uint64{}
	for i := range r.Days {
		at, err := time.Parse(time.DateOnly, r.Days[i].ID)
		week := n - 1 - int(days[len(days)-1].Sub(at).Hours())/(24*7)
		if err != nil || week < 0 {
			continue
		}
		for reason, count := range r.Days[i].Reasons {
			if counts[reason] == nil {
				counts[reason] = make([]uint64, n)
			}
			counts[reason][week] += count
			sum[reason] += count
		}
	}
	for i := range n {
		titles = append(titles, days[max(0, len(days)-7*(n-i))].Format("2 Jan"))
	}
	for _, reason := range report.Reasons(sum, "") {
		l := Line{Name: string(reason)}
		for _, count := range counts[reason] {
			l.Cells = append(l.Cells, dash(count))
		}
		l.Cells = append(l.Cells, report.Number(sum[reason]))
		rows = append(rows, l)
	}
	return titles, rows
}

// lateSteps is how long those waited who were accepted late.
func lateSteps(within *report.LateWithin) (all []Counted) {
	if within == nil {
		return nil
	}
	var most, sum uint64
	for _, n := range within.Steps {
		most, sum = max(most, n), sum+n
	}
	for i, n := range within.Steps {
		name := "longer"
		if i < len(report.LateSteps) {
			name = "within " + report.Within(int64(report.LateSteps[i].Seconds()))
		}
		all = append(all, Counted{name, "", dash(n), share(n, sum), int(n * 100 / max(most, 1))})
	}
	return all
}

// domains are those of a provider, the small ones together: who has few recipients could be a person.
func domains(r *report.Report, id string) (rows []Line) {
	var few report.Figures
	few.Failed = map[string]uint64{}
	n := 0
	for i := range r.Domains {
		g := &r.Domains[i]
		if of, ok := provider.Default().ByDomain(g.ID); !ok || of != id {
			continue
		}
		if g.Ended+g.PutOff < fewest || len(rows) >= maxDomains {
			n++
			few.Ended, few.Accepted, few.PutOff, few.Tried = few.Ended+g.Ended, few.Accepted+g.Accepted, few.PutOff+g.PutOff, few.Tried+g.Tried
			for class, count := range g.Failed {
				few.Failed[class] += count
			}
			continue
		}
		rows = append(rows, domainLine(g.ID, &g.Figures))
	}
	if n > 0 {
		rows = append(rows, domainLine(report.Plural(uint64(n), "other"), &few))
	}
	return rows
}

func domainLine(name string, f *report.Figures) Line {
	return Line{Name: name, Cells: []string{
		report.Number(f.Ended), share(f.Accepted, f.Ended), share(f.PutOff, f.Tried), share(f.Failed["hard"], f.Ended), share(f.Failed["soft"], f.Ended), share(f.Failed["ours"], f.Ended),
	}}
}

func examples(r *report.Report) (all []Example) {
	for reason, of := range r.Examples {
		for i := range of {
			if reply := of[i].Reply(); reply != "" {
				all = append(all, Example{reason, report.Number(of[i].Count), of[i].Last.Format("Mon 2 Jan 15:04"), reply})
			}
		}
	}
	slices.SortFunc(all, func(a, b Example) int {
		return cmp.Or(cmp.Compare(len(b.Count), len(a.Count)), cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason))
	})
	return all
}
