package agent

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"bouncefeed/internal/page"
	"bouncefeed/internal/report"
	"bouncefeed/internal/web"
)

// pageSource is what the page is shown of an agent.
type pageSource struct {
	agent  *Agent
	report func(ReportArgs) (*report.Report, error)
	now    func() time.Time
}

// servePage has s serve the page, which tells what told does.
func (a *Agent) servePage(s *web.Server, told func(ReportArgs) (*report.Report, error)) {
	shown := page.New(&pageSource{a, told, time.Now}, a.log.With("listener", ProblemWeb))
	for _, path := range page.Paths {
		s.Handle(path, shown)
	}
}

// Report implements page.Source.
func (s *pageSource) Report(_ context.Context, days int, provider string) (*report.Report, error) {
	since := s.now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 1-days)
	return s.report(ReportArgs{Since: since, Compare: CompareFrom, From: since.AddDate(0, 0, -days), Provider: provider, Daily: true})
}

// Daemon implements page.Source.
func (s *pageSource) Daemon() (*page.Daemon, error) {
	st, err := s.agent.Status()
	if err != nil {
		return nil, err
	}
	d := &page.Daemon{Version: st.Version, State: st.State, Since: st.Since, Used: st.Queue.Used, MaxSize: st.Queue.MaxSize}
	for _, p := range st.Problems {
		d.Problems = append(d.Problems, report.WithoutAddresses(p.Text))
	}
	for i := range st.Inputs {
		d.Inputs = append(d.Inputs, st.Inputs[i].onPage())
	}
	for i := range st.Outputs {
		d.Outputs = append(d.Outputs, st.Outputs[i].onPage())
	}
	return d, nil
}

func (st *InputStatus) onPage() page.Module {
	m := page.Module{Name: st.Name, Type: st.Type, Problem: report.WithoutAddresses(st.Problem), Last: st.LastCommit, State: "up to date"}
	switch {
	case st.Lag < 0: // nobody knows how much there is to read
		m.State = "at work"
	case st.Lag > 0 && st.LagUnit == "bytes":
		m.State = page.Size(st.Lag) + " behind"
	case st.Lag > 0:
		m.State = fmt.Sprintf("%s %s behind", report.Number(uint64(st.Lag)), st.LagUnit)
	}
	m.Figures = report.Number(st.Read) + " read, " + report.Number(st.Queued) + " queued"
	return m
}

func (st *OutputStatus) onPage() page.Module {
	m := page.Module{Name: st.Name, Type: st.Type, Problem: report.WithoutAddresses(st.Problem), Last: st.LastSent, State: "nothing waits"}
	if st.Pending > 0 {
		m.State = report.Number(st.Pending) + " waiting"
	}
	m.Figures = report.Number(st.Sent) + " sent"
	if st.Dead > 0 {
		m.Figures += ", " + report.Number(st.Dead) + " set aside"
	}
	return m
}

// Formats implements page.Source.
func (s *pageSource) Formats() []string { return append(Formats(), asReply) }

var errEnough = errors.New("enough")

// Explain implements page.Source. The daemon's queue is not asked: whether an address was reported before, or had mail, is
// nothing for everybody who sees the page.
func (s *pageSource) Explain(ctx context.Context, as string, pasted []byte) (*page.Explained, error) {
	q := Inquiry{Config: s.agent.config, Files: []string{"-"}, In: bytes.NewReader(pasted), As: cmp.Or(as, AsAuto), Alone: true, Version: s.agent.version, Log: slog.New(slog.DiscardHandler)}
	said := &page.Explained{}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	sum, err := Explain(ctx, q, func(x Explanation) error {
		if x.Kind == ignoredOther && as == "" && len(said.Verdicts) > 0 {
			return nil
		}
		if len(said.Verdicts) == page.MaxVerdicts {
			said.More = true
			return errEnough
		}
		said.Verdicts = append(said.Verdicts, x.onPage())
		return ctx.Err()
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	for _, p := range sum.Parts { // there is one
		said.As, said.Summary = p.As, report.Plural(p.Records, p.Unit)
	}
	said.Notes = sum.Notes
	return said, err
}

func (x *Explanation) onPage() page.Verdict {
	v := page.Verdict{Kind: cmp.Or(x.Why, x.Kind), Means: x.Means, Remedy: x.Remedy}
	if x.Line > 0 {
		v.Place = fmt.Sprintf("line %d", x.Line)
	}
	for i := range x.Events {
		v.Events = append(v.Events, page.Judged{Event: x.Events[i], Reported: x.Reported(i)})
	}
	return v
}
