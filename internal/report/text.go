package report

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/internal/text"
)

// What a report in text is to list, beside what it always says.
const (
	ByProvider = "provider"
	ByDomain   = "domain"
	ByReason   = "reason"
	ByDay      = "day"
	ByCampaign = "campaign"
)

// Ways lists them.
func Ways() []string { return []string{ByProvider, ByDomain, ByReason, ByDay, ByCampaign} }

const (
	width        = 100
	maxGroups    = 15
	smallestPart = 200 // a group of less than a 200th of all is one of the others
)

type printer struct {
	*Report
	w   *bufio.Writer
	all bool
}

// WriteText prints r in at most 100 columns: findings first. all: every group, not only the largest.
func (r *Report) WriteText(w io.Writer, by string, all bool) error {
	p := &printer{r, bufio.NewWriter(w), all}
	if r.Since.IsZero() { // of logs without a delivery
		p.printf("bouncefeed report: nothing that was read tells of a delivery\n")
		return p.w.Flush()
	}
	p.head()
	p.findings()
	switch by {
	case ByDomain:
		p.groups("DOMAIN", r.Domains)
	case ByDay:
		p.groups("DAY", r.Days)
	case ByCampaign:
		p.campaigns()
	case ByReason:
	default:
		p.groups("PROVIDER", r.Providers)
	}
	p.ours()
	p.recipients()
	p.putOff()
	p.complaints()
	p.cover()
	return p.w.Flush()
}

func (p *printer) printf(format string, args ...any) { fmt.Fprintf(p.w, format, args...) }

func (p *printer) head() {
	host := p.Host
	if host != "" {
		host += ", "
	}
	p.printf("bouncefeed report: %s%s", host, SpanWords(p.Since, p.Until))
	if p.Compare != nil {
		p.printf(", beside the %s before", howLong(p.Compare.Until.Sub(p.Compare.Since)))
	}
	t := &p.Totals
	p.printf("\n")
	if t.Ended+t.PutOff+t.Complaints == 0 {
		p.printf("Nothing was sent, as far as was read.\n")
		return
	}
	p.printf("%s ended: %s accepted (%s%s), %s failed.", Plural(t.Ended, "recipient"), Number(t.Accepted), Percent(t.Accepted, t.Ended),
		p.change(t.Before, t.Accepted, t.Ended, func(b *Figures) (uint64, uint64) { return b.Accepted, b.Ended }), Number(t.Ended-t.Accepted))
	if now, longer := p.nowWaiting(); now > 0 {
		p.printf(" %s wait now, %s of them for more than a day.", Number(now), Number(longer))
	} else if t.Waiting > 0 {
		p.printf(" %s still wait.", Number(t.Waiting))
	}
	p.printf("\n")
	if t.Late > 0 && t.Within != nil {
		p.printf("%s were accepted late: half of them within %s, nine of ten within %s.\n", Number(t.Late), Within(t.Within.P50), Within(t.Within.P90))
	}
}

// change says by how many points a share is more than it was before, with a comma in front.
func (p *printer) change(before *Figures, k, n uint64, of func(*Figures) (uint64, uint64)) string {
	if before == nil {
		return ""
	}
	if s := Points(before, k, n, of); s != "" {
		return ", " + s
	}
	return ""
}

// Points is by how many percent a share has changed; "" where there is nothing to compare.
func Points(before *Figures, k, n uint64, of func(*Figures) (uint64, uint64)) string {
	if before == nil || n == 0 {
		return ""
	}
	k0, n0 := of(before)
	if n0 == 0 {
		return "new"
	}
	diff := 100*float64(k)/float64(n) - 100*float64(k0)/float64(n0)
	if s := fmt.Sprintf("%+.1f", diff); s != "+0.0" && s != "-0.0" {
		return s
	}
	return "="
}

var marks = map[Severity]string{Critical: "!!", Warning: " !", Info: " i"}

func (p *printer) findings() {
	p.printf("\nFINDINGS\n")
	if len(p.Findings) == 0 {
		p.printf("nothing that needs you\n")
		return
	}
	for i := range p.Findings {
		f := &p.Findings[i]
		title := f.Title(p.Report)
		since := "since " + f.Since.Format("Mon 2 Jan 15:04")
		if f.Until != nil {
			since = f.Since.Format("Mon 2 Jan 15:04") + " to " + f.Until.Format("Mon 2 Jan 15:04")
		}
		p.printf("%s %-*s %s\n", marks[f.Severity], width-4-len(since), text.Cut(title, width-4-len(since)), since)
		p.wrapped(f.Detail(p.Report), "   ")
		if e := f.Example; e != nil && (e.Text != "" || e.Code != 0) {
			p.wrapped(e.Reply(), "     ")
		}
		for _, a := range f.Advice {
			p.wrapped("Do: "+strings.Join(append([]string{a.Text}, a.Links...), " "), "   ")
		}
	}
}

// Reply is a server's words with its codes, where they do not say them.
func (e *Example) Reply() string {
	s := e.Text
	if e.Status != "" && !strings.Contains(s, e.Status) {
		s = e.Status + " " + s
	}
	if code := strconv.Itoa(e.Code); e.Code != 0 && !strings.HasPrefix(s, code) {
		s = code + " " + s
	}
	return strings.TrimSpace(s)
}

// wrapped prints s in lines that begin with indent. A word that is longer than a line is not broken: it is a link.
func (p *printer) wrapped(s, indent string) {
	at := 0
	for _, word := range strings.Fields(s) {
		if at > 0 && at+1+len([]rune(word)) > width {
			p.printf("\n")
			at = 0
		}
		if at == 0 {
			p.printf("%s%s", indent, word)
			at = len(indent) + len([]rune(word))
			continue
		}
		p.printf(" %s", word)
		at += 1 + len([]rune(word))
	}
	if at > 0 {
		p.printf("\n")
	}
}

// ours prints what is the sender's fault, with the words of those who say so.
func (p *printer) ours() {
	n := p.Totals.Failed[Ours.String()]
	if n == 0 {
		return
	}
	p.printf("\nOUR FAULT: %s (%s%s)\n", Plural(n, "recipient"), Percent(n, p.Totals.Ended), p.change(p.Totals.Before, n, p.Totals.Ended, func(b *Figures) (uint64, uint64) {
		return b.Failed[Ours.String()], b.Ended
	}))
	for _, reason := range Reasons(p.Totals.Reasons, event.FaultSender) {
		where := p.Where(reason)
		line := fmt.Sprintf("%-16s %6s  %s", reason, Number(p.Totals.Reasons[reason]), where)
		if examples := p.Examples[string(reason)]; len(examples) > 0 && len(line) < width-20 {
			line = fmt.Sprintf("%-56s  %s", line, examples[0].Reply())
		}
		p.printf("%s\n", cut(line, width))
	}
}

// Where names the providers that gave a reason most often.
func (r *Report) Where(reason event.Reason) string {
	type one struct {
		name string
		n    uint64
	}
	var all []one
	for i := range r.Providers {
		if n := r.Providers[i].Reasons[reason]; n > 0 {
			all = append(all, one{r.Providers[i].Label(), n})
		}
	}
	slices.SortStableFunc(all, func(a, b one) int { return cmp.Compare(b.n, a.n) })
	var said []string
	var others uint64
	for i, o := range all {
		if i < 2 {
			said = append(said, o.name+" "+Number(o.n))
		} else {
			others += o.n
		}
	}
	if others > 0 {
		said = append(said, "others "+Number(others))
	}
	return strings.Join(said, ", ")
}

// Reasons lists those of a fault, the most frequent first.
func Reasons(of map[event.Reason]uint64, fault event.Fault) (all []event.Reason) {
	for r, n := range of {
		if _, f, _ := r.Outcome(); n > 0 && (f == fault || fault == "") {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b event.Reason) int { return cmp.Or(cmp.Compare(of[b], of[a]), cmp.Compare(a, b)) })
	return all
}

func (p *printer) recipients() {
	hard, soft := p.Totals.Failed[Hard.String()], p.Totals.Failed[Soft.String()]
	if hard+soft > 0 {
		p.printf("\nRECIPIENTS' FAULT: %s for good (reported as hard), %s for now (reported as soft)\n", Number(hard), Number(soft))
		p.columns(p.Totals.Reasons, Reasons(p.Totals.Reasons, event.FaultRecipient))
	}
	if n := p.Totals.Failed[GaveUp.String()]; n > 0 {
		p.printf("GAVE UP: %s, nobody's fault for certain (reported as soft)\n", Plural(n, "recipient"))
		p.columns(p.Totals.Reasons, Reasons(p.Totals.Reasons, event.FaultTransient))
	}
	if n := p.Totals.Failed[Unknown.String()]; n > 0 {
		p.printf("UNEXPLAINED: %s (reported as soft): teach us with bouncefeed explain\n", Plural(n, "recipient"))
	}
}

func (p *printer) putOff() {
	t := &p.Totals
	if t.PutOff == 0 {
		return
	}
	p.printf("PUT OFF: %s, %s: %s accepted later, %s failed, %s wait\n", Plural(t.PutOff, "recipient"), Plural(t.Attempts, "time"), Number(t.Late),
		Number(t.FailedOff), Number(t.Waiting))
	p.columns(t.PutOffFor, Reasons(t.PutOffFor, ""))
}

// columns prints reasons with their counts, as many beside each other as fit.
func (p *printer) columns(of map[event.Reason]uint64, reasons []event.Reason) {
	at := 0
	for _, r := range reasons {
		cell := fmt.Sprintf("%-18s %6s", r, Number(of[r]))
		if at > 0 && at+3+len(cell) > width {
			p.printf("\n")
			at = 0
		}
		if at > 0 {
			p.printf("   ")
			at += 3
		}
		p.printf("%s", cell)
		at += len(cell)
	}
	if at > 0 {
		p.printf("\n")
	}
}

func (p *printer) complaints() {
	if p.Totals.Complaints == 0 {
		return
	}
	var said []string
	for i := range p.Providers {
		if g := &p.Providers[i]; g.Complaints > 0 {
			share := Percent(g.Complaints, g.Accepted) + " of accepted"
			if g.Accepted < 1000 {
				share += ", too few to judge"
			}
			said = append(said, fmt.Sprintf("%s %s (%s)", g.Label(), Number(g.Complaints), share))
		}
	}
	p.wrapped("COMPLAINTS: "+strings.Join(said, ", ")+"; others report none", "")
}

func (p *printer) cover() {
	var said []string
	for _, c := range p.Cover {
		s := fmt.Sprintf("%s %s", c.Input, Plural(uint64(c.Days), "day"))
		if c.Gaps > 0 {
			s += fmt.Sprintf(" with %s", Plural(c.Gaps, "gap"))
		}
		said = append(said, s)
	}
	if len(said) > 0 {
		p.printf("\n")
		p.wrapped("Read: "+strings.Join(said, ", "), "")
	}
	p.printf("More: --by domain, --by reason, --by day, --provider NAME, --json; what a word means: --help\n")
}

// Label is what people call it.
func (g *Group) Label() string { return cmp.Or(g.Name, g.ID) }

// SpanWords names a period as people do, the last day included.
func SpanWords(since, until time.Time) string {
	last := until.Add(-time.Nanosecond)
	if since.Format(time.DateOnly) == last.Format(time.DateOnly) {
		return since.Format("2 Jan 2006") + fmt.Sprintf(" %s to %s (UTC)", since.Format("15:04"), until.Format("15:04"))
	}
	return fmt.Sprintf("%s to %s (%s, UTC)", since.Format("2 Jan"), last.Format("2 Jan 2006"), howLong(until.Sub(since)))
}

func howLong(d time.Duration) string {
	if d >= 48*time.Hour {
		return Plural(uint64((d+12*time.Hour)/(24*time.Hour)), "day")
	}
	return Plural(uint64((d+30*time.Minute)/time.Hour), "hour")
}

// Within says how long so many seconds are, as LateWithin has them.
func Within(seconds int64) string {
	switch {
	case seconds == 0:
		return "more than a day"
	case seconds < hour:
		return Plural(uint64(seconds/60), "minute")
	}
	return Plural(uint64(seconds/hour), "hour")
}

// Plural is a number of things.
func Plural(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return Number(n) + " " + what + "s"
}

// Number has a comma at each thousand.
func Number(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for at := len(s) - 3; at > 0; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}

// Percent has one digit; what is less shows as such.
func Percent(k, n uint64) string {
	switch share := 100 * float64(k) / float64(max(n, 1)); {
	case k == 0 || n == 0:
		return "-"
	case share < 0.1:
		return "<0.1%"
	case k < n && share >= 99.95:
		return "99.9%"
	default:
		return fmt.Sprintf("%.1f%%", share)
	}
}

// cut shortens a line to so many letters.
func cut(s string, letters int) string {
	r := []rune(strings.TrimRight(s, " "))
	if len(r) <= letters {
		return string(r)
	}
	return string(r[:letters-3]) + "..."
}
