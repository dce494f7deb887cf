package agent

import (
	"context"
	"errors"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/internal/provider"
	"bouncefeed/internal/report"
)

// ReportOfFiles is a report of what old logs tell. Nothing is stored, asked or changed.
type ReportOfFiles struct {
	Backfill           // of Files, As, Container, Senders, Config, Version, Log and Progress; Prepare may go before
	From     time.Time // zero: the first hour of the logs
	To       time.Time // zero: their last
	Compare  bool      // with the time before, as long as this
	Provider string    // only this one
	Domain   string    // of the domains only this one
	Stream   report.Stream
}

// Make reads the files.
func (r *ReportOfFiles) Make(ctx context.Context) (*report.Report, BackfillSummary, error) {
	t, sum, err := r.read(ctx)
	return t.Make(r.options(t)), sum, err
}

func (r *ReportOfFiles) read(ctx context.Context) (*report.Tally, BackfillSummary, error) {
	t := report.NewTally()
	t.Stream = r.Stream
	r.counts = func(c *event.Counted) { addCounted(t, c) }
	r.DryRun = func(event.Event) error { return nil }
	sum, err := r.Run(ctx)
	return t, sum, err
}

// options fills in what was not said: the whole of the logs, to the hour.
func (r *ReportOfFiles) options(t *report.Tally) report.Options {
	first, last := t.Span()
	o := report.Options{Host: hostOf(r.Config), Provider: r.Provider, Domain: r.Domain, Since: r.From, Until: r.To}
	if o.Since.IsZero() {
		o.Since = first.Truncate(time.Hour)
	}
	if o.Until.IsZero() {
		o.Until = last.Truncate(time.Hour).Add(time.Hour)
	}
	if before := o.Since.Add(-o.Until.Sub(o.Since)); r.Compare && !before.Before(first.Add(-24*time.Hour)) {
		o.Compare = before
	}
	o.Inputs = []report.Cover{{Input: r.As, Days: int(o.Until.Sub(o.Since).Hours()+23) / 24}}
	return o
}

// Providers are how the providers are called that a report knows.
func Providers() []string { return provider.Default().IDs() }

// Choose says what is wrong with how the report is to be.
func (r *ReportOfFiles) Choose(by string) error {
	if r.As == asMail {
		return errors.New("a report is made of logs: a mailbox does not tell what was delivered")
	}
	return CheckReport(by, &ReportArgs{Provider: r.Provider, Stream: r.Stream})
}

// addCounted has a tally count what a sink or the queue has.
func addCounted(t *report.Tally, c *event.Counted) {
	for i := range c.Stats {
		t.AddStat(&c.Stats[i])
	}
	for i := range c.Examples {
		t.AddExample(&c.Examples[i])
	}
}
