package page

import (
	"fmt"
	"strings"
	"time"

	"bouncefeed/internal/report"
)

// A Chart is days as bars, each parted by what became of its recipients, and once more what failed alone, on a scale of its own:
// where three of a hundred fail, they could not be told apart else.
type Chart struct {
	ID      string
	Days    int
	Width   int // of the drawing
	Said    string
	All     []Bar
	Failed  []Bar
	Scale   Scale
	Failing Scale
	Labels  []string // equally wide, from the first day on
	Legend  []Series
	Rows    []Row
}

// Bar is a day's.
type Bar struct {
	X, W  int
	Parts []Part
	Few   bool // too few recipients to tell
}

// Part of a bar, in the drawing's units.
type Part struct {
	Class string
	Y, H  int
}

// Scale is an axis.
type Scale struct{ Top, Half string }

// Series is what one colour means.
type Series struct{ Class, Name string }

// Row is a day in figures.
type Row struct {
	Day   string
	Cells []string
}

// The drawings' sizes: a unit is a pixel in height, and nearly one in width where the window is wide, so that the patterns are not
// stretched.
const (
	allHigh    = 180
	failedHigh = 72
	smallHigh  = 44
	chartWide  = 1000
	smallWide  = 224
)

// dayWide is how wide a day is in a drawing, and how much of that is between it and the next.
func dayWide(wide, days int) (day, gap int) {
	day = max(3, wide/days)
	return day, min(max(1, day/6), 10)
}

// series are what a bar is made of, from the bottom.
var series = []struct {
	Series
	of func(f *report.Figures) uint64
}{
	{Series{"accepted", "accepted at once"}, func(f *report.Figures) uint64 { return f.Accepted - min(f.Late, f.Accepted) }},
	{Series{"late", "accepted late"}, func(f *report.Figures) uint64 { return min(f.Late, f.Accepted) }},
	{Series{"soft", "failed for now"}, func(f *report.Figures) uint64 { return f.Failed["soft"] }},
	{Series{"gaveup", "gave up"}, func(f *report.Figures) uint64 { return f.Failed["gave_up"] + f.Failed["unknown"] }},
	{Series{"hard", "failed for good"}, func(f *report.Figures) uint64 { return f.Failed["hard"] }},
	{Series{"ours", "our fault"}, func(f *report.Figures) uint64 { return f.Failed["ours"] }},
}

const firstFailure = 2 // of series

// chart draws the days of a span, those without mail among them.
func chart(id string, span report.Span, groups []report.Group) *Chart {
	days := daysOf(span)
	wide, gap := dayWide(chartWide, len(days))
	c := &Chart{ID: id, Days: len(days), Width: len(days) * wide, Labels: labels(days)}
	byDay := map[string]*report.Figures{}
	var most, mostFailed, ended, failed uint64
	worst := ""
	for i := range groups {
		f := &groups[i].Figures
		byDay[groups[i].ID] = f
		most = max(most, f.Ended)
		if n := f.Ended - f.Accepted; n > mostFailed {
			mostFailed, worst = n, groups[i].ID
		}
		ended, failed = ended+f.Ended, failed+f.Ended-f.Accepted
	}
	top, topFailed := nice(most), nice(mostFailed)
	c.Scale, c.Failing = scale(top), scale(topFailed)
	for i, day := range days {
		id := day.Format(time.DateOnly)
		f := byDay[id]
		if f == nil {
			f = &report.Figures{}
		}
		all := Bar{X: i*wide + gap/2, W: wide - gap}
		some := all
		all.stack(allHigh, top, f, 0)
		some.stack(failedHigh, topFailed, f, firstFailure)
		c.All, c.Failed = append(c.All, all), append(c.Failed, some)
		c.Rows = append(c.Rows, row(day, f))
	}
	for _, s := range series {
		c.Legend = append(c.Legend, s.Series)
	}
	c.Said = fmt.Sprintf("%s ended in %s, %s of them failed (%s).", report.Plural(ended, "recipient"), report.Plural(uint64(len(days)), "day"),
		report.Number(failed), report.Percent(failed, ended))
	if day, err := time.Parse(time.DateOnly, worst); err == nil {
		c.Said += fmt.Sprintf(" Most failed on %s: %s.", day.Format("2 January"), report.Number(mostFailed))
	}
	return c
}

// stack piles what f has of the series from one of them on, the last on top. What is there is seen, however little: what the
// small ones need, the tallest gives.
func (b *Bar) stack(high int, top uint64, f *report.Figures, from int) {
	sum, tallest := 0, 0
	for i := len(series) - 1; i >= from; i-- {
		n := series[i].of(f)
		if n == 0 {
			continue
		}
		h := max(1, int(n*uint64(high)/max(top, 1)))
		b.Parts = append(b.Parts, Part{series[i].Class, 0, h})
		if sum += h; h > b.Parts[tallest].H {
			tallest = len(b.Parts) - 1
		}
	}
	if sum > high {
		b.Parts[tallest].H -= sum - high
	}
	at := high
	for i := len(b.Parts) - 1; i >= 0; i-- {
		p := &b.Parts[i]
		at -= p.H
		p.Y = at
		if p.H > 2 && i > 0 { // a line of background to the part above
			p.Y, p.H = p.Y+1, p.H-1
		}
	}
}

func daysOf(span report.Span) (days []time.Time) {
	for d := span.Since.UTC().Truncate(24 * time.Hour); d.Before(span.Until); d = d.AddDate(0, 0, 1) {
		days = append(days, d)
	}
	return days
}

// labels name every day of a week, the first of each week of a month, of each second week of more.
func labels(days []time.Time) (all []string) {
	step := 1
	switch {
	case len(days) > 60:
		step = 15
	case len(days) > 10:
		step = 7
	}
	for i := 0; i < len(days); i += step {
		all = append(all, days[i].Format("2 Jan"))
	}
	return all
}

func row(day time.Time, f *report.Figures) Row {
	r := Row{Day: day.Format("Mon 2 Jan")}
	for _, n := range []uint64{f.Ended, f.Accepted, f.Late, f.PutOff, f.Failed["hard"], f.Failed["soft"], f.Failed["ours"], f.Failed["gave_up"], f.Failed["unknown"]} {
		r.Cells = append(r.Cells, dash(n))
	}
	return r
}

func dash(n uint64) string {
	if n == 0 {
		return "–"
	}
	return report.Number(n)
}

// nice is the next number above n that an axis may end with.
func nice(n uint64) uint64 {
	for step := uint64(1); step < 1<<55; step *= 10 {
		for _, tenths := range []uint64{10, 12, 15, 20, 25, 30, 40, 50, 60, 80} {
			if top := tenths * step / 10; tenths*step%20 == 0 && top >= n { // half of it is a number too
				return top
			}
		}
	}
	return n
}

func scale(top uint64) Scale { return Scale{report.Number(top), report.Number(top / 2)} }

// A Small is a provider among others: its days in shares, on a scale of its own, which is named.
type Small struct {
	ID, Name string
	Mark     string // severity
	Width    int
	Bars     []Bar
	Top      string
	Said     string

	Ended, Accepted, AcceptedChange, PutOff, PutOffChange, Ours string
}

// fewRecipients of a day are too few to tell a share from.
const fewRecipients = 10

var shares = []struct {
	class string
	of    func(f *report.Figures) uint64
}{
	{"late", func(f *report.Figures) uint64 { return f.PutOff }},
	{"soft", func(f *report.Figures) uint64 { return f.Failed["soft"] + f.Failed["gave_up"] + f.Failed["unknown"] }},
	{"hard", func(f *report.Figures) uint64 { return f.Failed["hard"] }},
	{"ours", func(f *report.Figures) uint64 { return f.Failed["ours"] }},
}

// small draws a provider's shares of put off and failed.
func small(r *report.Report, g *report.Group) Small {
	days := daysOf(r.Span)
	wide, gap := dayWide(smallWide, len(days))
	s := Small{ID: g.ID, Name: g.Label(), Width: len(days) * wide}
	if severity := r.Severity(g.ID); severity > report.Info {
		s.Mark = severity.String()
	}
	byDay, worst, worstShare := map[string]*report.Figures{}, "", 0.0
	for i := range g.Days {
		f := &g.Days[i].Figures
		byDay[g.Days[i].ID] = f
		if share := troubled(f); share > worstShare && base(f) > fewRecipients {
			worst, worstShare = g.Days[i].ID, share
		}
	}
	top := niceShare(worstShare)
	s.Top = fmt.Sprintf("0–%d %%", top)
	for i, day := range days {
		if f := byDay[day.Format(time.DateOnly)]; f != nil && base(f) > 0 {
			b := Bar{X: i*wide + gap/2, W: wide - gap, Few: base(f) <= fewRecipients}
			b.share(f, top)
			s.Bars = append(s.Bars, b)
		}
	}
	s.Said = fmt.Sprintf("%s: %s of recipients accepted, %s put off", s.Name, rate(g.Accepted, g.Ended), rate(g.PutOff, g.Tried))
	if day, err := time.Parse(time.DateOnly, worst); err == nil {
		s.Said += fmt.Sprintf("; worst on %s, when %.1f%% were put off or failed", day.Format("2 January"), 100*worstShare)
	}
	s.Ended, s.Accepted, s.PutOff = report.Number(g.Ended), rate(g.Accepted, g.Ended), rate(g.PutOff, g.Tried)
	s.AcceptedChange, s.PutOffChange = acceptedChange(g), putOffChange(g)
	if n := g.Failed["ours"]; n > 0 {
		s.Ours = report.Percent(n, g.Ended)
	}
	return s
}

func base(f *report.Figures) uint64 { return max(f.Ended, f.Tried) }

func troubled(f *report.Figures) float64 {
	var n uint64
	for _, s := range shares {
		n += s.of(f)
	}
	return float64(n) / float64(max(base(f), 1))
}

func (b *Bar) share(f *report.Figures, top int) {
	at := smallHigh
	for _, s := range shares {
		n := s.of(f)
		if n == 0 {
			continue
		}
		h := max(1, int(n*100*smallHigh/(base(f)*uint64(top))))
		h = min(h, at)
		at -= h
		b.Parts = append(b.Parts, Part{s.class, at, h})
	}
}

// niceShare is the end of an axis of shares: a calm provider's is not stretched until it looks like a bad one's.
func niceShare(share float64) int {
	for _, top := range []int{10, 25, 50} {
		if share*100 <= float64(top) {
			return top
		}
	}
	return 100
}

func acceptedChange(g *report.Group) string {
	return change(report.Points(g.Before, g.Accepted, g.Ended, func(b *report.Figures) (uint64, uint64) { return b.Accepted, b.Ended }))
}

func putOffChange(g *report.Group) string {
	return change(report.Points(g.Before, g.PutOff, g.Tried, func(b *report.Figures) (uint64, uint64) { return b.PutOff, b.Tried }))
}

// change is with a real minus; "" where there is nothing to compare with.
func change(points string) string {
	switch points {
	case "=":
		return "±0"
	case "new":
		return ""
	}
	return strings.Replace(points, "-", "−", 1)
}

// rate is a share, of which nothing is said by "0%" and nothing known by "–".
func rate(k, n uint64) string {
	switch {
	case n == 0:
		return "–"
	case k == 0:
		return "0%"
	}
	return report.Percent(k, n)
}
