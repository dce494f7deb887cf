package agent

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"bouncefeed/internal/provider"
	"bouncefeed/internal/queue"
	"bouncefeed/internal/report"
)

// ReportArgs are what a report of the stored statistics is to be about. No times: the last seven whole days.
type ReportArgs struct {
	Since    time.Time     `json:"since,omitzero"` // to the hour
	Until    time.Time     `json:"until,omitzero"` // zero: now
	Compare  Comparison    `json:"compare,omitempty"`
	From     time.Time     `json:"compare_from,omitzero"` // of CompareFrom
	Stream   report.Stream `json:"stream,omitempty"`
	Provider string        `json:"provider,omitempty"` // only this one
	Domain   string        `json:"domain,omitempty"`   // of the domains only this one
	Daily    bool          `json:"daily,omitempty"`    // each provider's days too
}

// Comparison says beside what a report stands.
type Comparison string

// The comparisons. ComparePrevious is with the time before, as long as this.
const (
	ComparePrevious Comparison = ""
	CompareNone     Comparison = "none"
	CompareFrom     Comparison = "from"
)

// lookBack is how long before a report its findings look, to know what is usual.
const lookBack = 15 * 24 * time.Hour

// reporter makes reports of what the queue has stored.
type reporter struct {
	queue *queue.Queue
	host  string
	now   func() time.Time
	// waiting counts who waits at the moment; nil: nobody knows.
	waiting func(report.Stream, time.Time) []report.Waiting
}

// report draws up a report of what is stored.
func (a *Agent) report(args ReportArgs) (*report.Report, error) {
	return a.reporter().report(args)
}

func (a *Agent) reporter() *reporter {
	return &reporter{a.queue, a.config.Host, time.Now, a.waiting}
}

func (r *reporter) report(args ReportArgs) (*report.Report, error) {
	o, err := args.options(r.host, r.now())
	if err != nil {
		return nil, err
	}
	t, err := r.tally(args.Stream, o)
	if err != nil {
		return nil, err
	}
	o.Inputs = t.Cover(o.Since, o.Until)
	made := t.Make(o)
	if today := r.now().Truncate(24 * time.Hour); r.waiting != nil && !o.Until.Before(today) && o.Provider == "" {
		made.SetWaiting(r.waiting(args.Stream, r.now()))
	}
	return made, nil
}

// tally adds up what is stored of the time of a report, and of what it is compared with.
func (r *reporter) tally(stream report.Stream, o report.Options) (*report.Tally, error) {
	t := report.NewTally()
	t.Stream = stream
	since := o.Since.Add(-lookBack)
	if !o.Compare.IsZero() && o.Compare.Before(since) {
		since = o.Compare
	}
	if err := r.queue.Statistics(since, o.Until, t.AddStat); err != nil {
		return nil, err
	}
	examples, err := r.queue.Examples()
	if err != nil {
		return nil, err
	}
	for i := range examples {
		t.AddExample(&examples[i])
	}
	return t, nil
}

// options fills in what was not said.
func (a *ReportArgs) options(host string, now time.Time) (report.Options, error) {
	now = now.UTC()
	o := report.Options{Host: host, Provider: a.Provider, Domain: a.Domain, Daily: a.Daily, Since: a.Since.UTC().Truncate(time.Hour), Until: a.Until.UTC().Truncate(time.Hour)}
	if a.Until.IsZero() {
		o.Until = now.Truncate(time.Hour).Add(time.Hour)
		if a.Since.IsZero() {
			o.Until = now.Truncate(24 * time.Hour)
		}
	}
	if a.Since.IsZero() {
		o.Since = o.Until.AddDate(0, 0, -7)
	}
	if !o.Since.Before(o.Until) {
		return o, fmt.Errorf("a report of the time from %s to %s: there is none", o.Since.Format(time.RFC3339), o.Until.Format(time.RFC3339))
	}
	switch a.Compare {
	case CompareNone:
	case CompareFrom:
		o.Compare = a.From.UTC().Truncate(time.Hour)
	default:
		o.Compare = o.Since.Add(-o.Until.Sub(o.Since))
	}
	return o, CheckReport(report.ByProvider, a)
}

// CheckReport says what is wrong with how a report is to be.
func CheckReport(by string, a *ReportArgs) error {
	switch {
	case !slices.Contains(report.Ways(), by):
		return fmt.Errorf("--by %s: a report lists by %s", by, strings.Join(report.Ways(), ", "))
	case a.Provider != "" && a.Provider != provider.Other && a.Provider != provider.Local && !slices.Contains(Providers(), a.Provider):
		return fmt.Errorf("--provider %s: none is called so; known: %s", a.Provider, strings.Join(Providers(), ", "))
	case a.Stream != report.AllStreams && !slices.Contains(report.Streams(), string(a.Stream)):
		return fmt.Errorf("--stream %s: it is %s", a.Stream, strings.Join(report.Streams(), " or "))
	}
	return nil
}
