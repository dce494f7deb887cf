package report

import (
	"fmt"
	"strings"
)

// groups prints a table of the largest groups and of the rest together.
func (p *printer) groups(title string, groups []Group) {
	if len(groups) == 0 {
		return
	}
	shown, others, n := p.split(groups)
	wide := 18
	for i := range shown {
		wide = min(max(wide, len(shown[i].Label())+2), 34)
	}
	p.printf("\n%-*s%8s   %9s %7s   %7s %7s %7s %7s %7s %7s\n", wide, title, "ENDED", "ACCEPTED", p.beforeTitle(), "PUT OFF", p.beforeTitle(), "HARD", "SOFT", "OURS", "GAVE UP")
	for i := range shown {
		p.group(&shown[i], wide)
	}
	if n > 0 {
		others.ID = Plural(uint64(n), "other")
		p.group(&others, wide)
	}
	if len(groups) > 1 && title != "DAY" {
		all := p.Totals
		all.ID = "all"
		p.group(&all, wide)
	}
}

func (p *printer) beforeTitle() string {
	if p.Compare == nil {
		return ""
	}
	return "before"
}

// split parts the groups that are worth a line from the others, which it adds up.
func (p *printer) split(groups []Group) (shown []Group, others Group, n int) {
	sum, before := newFigures(), newFigures()
	for i := range groups {
		g := &groups[i]
		big := (g.Ended+g.PutOff)*smallestPart >= p.Totals.Ended+p.Totals.PutOff
		if p.all || len(shown) < maxGroups && big || p.Severity(g.ID) > Info {
			shown = append(shown, *g)
			continue
		}
		n++
		sum.counts.Add(&g.counts)
		if g.Before != nil {
			before.counts.Add(&g.Before.counts)
		}
	}
	sum.finish()
	before.finish()
	others = Group{Figures: *sum}
	if p.Compare != nil {
		others.Before = before
	}
	return shown, others, n
}

// Severity is the worst of what is found of a provider.
func (r *Report) Severity(id string) (worst Severity) {
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Provider == id && f.Until == nil {
			worst = max(worst, f.Severity)
		}
	}
	return worst
}

func (p *printer) group(g *Group, wide int) {
	markAccepted, markPutOff := "  ", "  "
	for i := range p.Findings {
		switch f := &p.Findings[i]; {
		case f.Provider != g.ID || f.Provider == "" || f.Until != nil:
		case f.ID == "provider_defers":
			markPutOff = marks[f.Severity]
		case f.Severity > Info:
			markAccepted = marks[f.Severity]
		}
	}
	line := fmt.Sprintf("%-*s%8s %s%9s %7s %s%7s %7s %7s %7s %7s %7s", wide, cut(g.Label(), wide-1), Number(g.Ended), markAccepted, Percent(g.Accepted, g.Ended),
		Points(g.Before, g.Accepted, g.Ended, func(b *Figures) (uint64, uint64) { return b.Accepted, b.Ended }),
		markPutOff, Percent(g.PutOff, g.Tried),
		Points(g.Before, g.PutOff, g.Tried, func(b *Figures) (uint64, uint64) { return b.PutOff, b.Tried }),
		Percent(g.Failed[Hard.String()], g.Ended), Percent(g.Failed[Soft.String()], g.Ended), Percent(g.Failed[Ours.String()], g.Ended), Percent(g.Failed[GaveUp.String()], g.Ended))
	p.printf("%s\n", strings.TrimRight(line, " "))
}

// campaigns prints what failed of each campaign.
func (p *printer) campaigns() {
	if len(p.Campaigns) == 0 {
		p.printf("\nNo failure names its campaign (the README says how mail can name it).\n")
		return
	}
	p.printf("\n%-38s%8s %7s %7s %7s %7s  %s\n", "CAMPAIGN", "FAILED", "HARD", "SOFT", "OURS", "GAVE UP", "COMPLAINTS")
	for i := range p.Campaigns {
		if i == maxGroups && !p.all {
			p.printf("%d others\n", len(p.Campaigns)-i)
			break
		}
		g := &p.Campaigns[i]
		p.printf("%-38s%8s %7s %7s %7s %7s  %10s\n", cut(g.ID, 37), Number(g.Ended), Number(g.Failed[Hard.String()]), Number(g.Failed[Soft.String()]),
			Number(g.Failed[Ours.String()]), Number(g.Failed[GaveUp.String()]), Number(g.Complaints))
	}
}
