package page

import (
	"net/http"
	"slices"

	"bouncefeed/internal/event"
	"bouncefeed/internal/provider"
	"bouncefeed/internal/report"
)

// Frame is what every view has.
type Frame struct {
	Title string
	Host  string
	Path  string // of the view, for the links to other ranges; "": it has no range
	Days  int
	Spans []int
	Span  string
}

// Overview is the first page.
type Overview struct {
	Frame
	Empty    bool
	Findings []Finding
	Over     []Finding // that have passed
	Figures  []Figure
	Chart    *Chart
	Small    []Small
	Table    []Line // every provider
	Ours     []Fault
	OursSum  string
	Why      []List
	Daemon   *Daemon
	Asking   Asking
}

// Finding is one in words.
type Finding struct {
	Severity, Word, Title, When, Detail, Reply string
	Advice                                     []report.Advice
}

// Figure is one large number.
type Figure struct{ Name, Value, Of, Change string }

// Line is a provider, a domain or all in a table.
type Line struct {
	ID, Name, Mark string
	Cells          []string
}

// Fault is a reason that is ours.
type Fault struct {
	Reason, Means, Count, Where, Reply string
}

// List is reasons with their counts.
type List struct {
	Title, Base string
	Rows        []Counted
}

// Counted is a reason or a domain.
type Counted struct {
	Name, Means, Count, Share string
	Width                     int // of a hundred
}

const maxSmall = 12

func (p *page) overview(w http.ResponseWriter, r *http.Request) {
	days, ok := span(r)
	if !ok {
		p.trouble(w, http.StatusNotFound, "There is no such range of days", "The page shows 7, 28 or 90 days.")
		return
	}
	made, err := p.report(r.Context(), question{days: days})
	if err != nil {
		p.failed(w, err)
		return
	}
	o := &Overview{Frame: frame(made, "Deliverability", "/", days), Empty: empty(made), Asking: p.asking()}
	o.Findings, o.Over = findings(made)
	o.Figures = figures(made, days)
	o.Chart = chart("days", made.Span, made.Days)
	for i := range made.Providers {
		g := &made.Providers[i]
		if g.ID != provider.Local && len(o.Small) < maxSmall && g.Ended+g.PutOff > 0 {
			o.Small = append(o.Small, small(made, g))
		}
		o.Table = append(o.Table, line(made, g))
	}
	o.Ours, o.OursSum = faults(made)
	o.Why = lists(made)
	if o.Daemon, err = p.source.Daemon(); err != nil {
		p.failed(w, err)
		return
	}
	p.show(w, http.StatusOK, "overview", o)
}

func frame(r *report.Report, title, path string, days int) Frame {
	return Frame{Title: title, Host: r.Host, Path: path, Days: days, Spans: spans, Span: report.SpanWords(r.Since, r.Until)}
}

func empty(r *report.Report) bool { return r.Totals.Ended+r.Totals.PutOff+r.Totals.Complaints == 0 }

var severityWords = map[report.Severity]string{report.Critical: "critical", report.Warning: "warning", report.Info: "to know"}

func findings(r *report.Report) (open, over []Finding) {
	for i := range r.Findings {
		f := &r.Findings[i]
		shown := Finding{Severity: f.Severity.String(), Word: severityWords[f.Severity], Title: sentence(f.Title(r)), Detail: sentence(f.Detail(r)), Advice: slices.Clone(f.Advice)}
		shown.When = "since " + f.Since.Format("Mon 2 Jan 15:04")
		if f.Until != nil {
			shown.When = f.Since.Format("Mon 2 Jan 15:04") + " to " + f.Until.Format("Mon 2 Jan 15:04")
		}
		if f.Example != nil {
			shown.Reply = f.Example.Reply()
		}
		for j, a := range shown.Advice {
			shown.Advice[j].Text = sentence(a.Text)
		}
		if f.Until != nil {
			over = append(over, shown)
		} else {
			open = append(open, shown)
		}
	}
	return open, over
}

func figures(r *report.Report, days int) []Figure {
	t, before := &r.Totals, r.Totals.Before
	beside := func(f func(*report.Figures) string) string {
		if before == nil || before.Ended+before.PutOff == 0 {
			return "nothing to compare with"
		}
		return f(before) + " in the " + report.Plural(uint64(days), "day") + " before"
	}
	return []Figure{
		{"Accepted", rate(t.Accepted, t.Ended), report.Number(t.Accepted) + " of " + report.Plural(t.Ended, "recipient"),
			beside(func(b *report.Figures) string { return rate(b.Accepted, b.Ended) })},
		{"Put off", rate(t.PutOff, t.Tried), report.Number(t.PutOff) + " of " + report.Number(t.Tried) + " first tried" + late(t),
			beside(func(b *report.Figures) string { return rate(b.PutOff, b.Tried) })},
		{"Waiting", report.Number(t.Waiting), "put off, and neither accepted nor failed so far",
			beside(func(b *report.Figures) string { return report.Number(b.Waiting) })},
	}
}

func late(t *report.Group) string {
	if t.Within == nil {
		return ""
	}
	return "; half of those accepted late within " + report.Within(t.Within.P50)
}

// line is a row of the table of providers.
func line(r *report.Report, g *report.Group) Line {
	l := Line{ID: g.ID, Name: g.Label()}
	if severity := r.Severity(g.ID); severity > report.Info {
		l.Mark = severity.String()
	}
	l.Cells = []string{
		report.Number(g.Ended), share(g.Accepted, g.Ended), acceptedChange(g), share(g.PutOff, g.Tried), putOffChange(g),
		share(g.Failed["hard"], g.Ended), share(g.Failed["soft"], g.Ended), share(g.Failed["ours"], g.Ended), share(g.Failed["gave_up"], g.Ended),
		dash(g.Waiting), dash(g.Complaints),
	}
	return l
}

func share(k, n uint64) string {
	if k == 0 {
		return "–"
	}
	return report.Percent(k, n)
}

func faults(r *report.Report) (all []Fault, sum string) {
	for _, reason := range report.Reasons(r.Totals.Reasons, event.FaultSender) {
		f := Fault{Reason: string(reason), Means: means[reason], Count: report.Number(r.Totals.Reasons[reason]), Where: r.Where(reason)}
		if examples := r.Examples[string(reason)]; len(examples) > 0 {
			f.Reply = examples[0].Reply()
		}
		all = append(all, f)
	}
	n := r.Totals.Failed["ours"]
	return all, report.Plural(n, "recipient") + ", " + report.Percent(n, r.Totals.Ended) + " of those that ended"
}

// lists are why recipients fail and are put off, beside what is ours.
func lists(r *report.Report) (all []List) {
	t := &r.Totals
	add := func(title, base string, of map[event.Reason]uint64, faults ...event.Fault) {
		l := List{Title: title, Base: base}
		var most uint64
		for _, fault := range faults {
			for _, reason := range report.Reasons(of, fault) {
				most = max(most, of[reason])
				l.Rows = append(l.Rows, Counted{string(reason), means[reason], report.Number(of[reason]), "", int(of[reason])})
			}
		}
		for i := range l.Rows {
			l.Rows[i].Width = max(1, int(uint64(l.Rows[i].Width)*100/max(most, 1)))
		}
		if l.Rows != nil {
			all = append(all, l)
		}
	}
	add("The recipients' fault", report.Plural(t.Failed["hard"], "recipient")+" for good, "+report.Number(t.Failed["soft"])+" for now", t.Reasons, event.FaultRecipient)
	add("Nobody's fault for certain", report.Plural(t.Failed["gave_up"]+t.Failed["unknown"], "recipient")+" given up", t.Reasons, event.FaultTransient, event.FaultUnknown)
	add("Why they were put off", report.Plural(t.PutOff, "recipient")+", "+report.Plural(t.Attempts, "time"), t.PutOffFor, "")
	return all
}

// Trouble is a page that is none.
type Trouble struct {
	Frame
	Said, What string
}

func (p *page) trouble(w http.ResponseWriter, status int, said, what string) {
	p.show(w, status, "trouble", &Trouble{Frame{Title: said}, said, what})
}

func (p *page) failed(w http.ResponseWriter, err error) {
	p.log.Warn("show the page", "error", err)
	p.trouble(w, http.StatusServiceUnavailable, "The statistics can't be read at the moment", "The daemon's log says why.")
}
