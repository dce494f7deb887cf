package report

import (
	"strings"
	"time"

	"bouncefeed/internal/event"
)

// Row is what hours are counted by.
type Row struct {
	Hour     int64 // since 1970, UTC
	Provider string
	Class    Class
	Reason   event.Reason // of failures and those put off
}

// domainRow is what days are counted by.
type domainRow struct {
	day    int64
	domain string
	class  Class
}

// Example is a reply, as one was last heard, without anything of a recipient.
type Example struct {
	First  time.Time `json:"first"`
	Last   time.Time `json:"last"`
	Count  uint64    `json:"count"`
	Code   int       `json:"code,omitempty"`
	Status string    `json:"status,omitempty"`
	Text   string    `json:"text,omitempty"`
}

type exampleKey struct {
	provider string
	reason   event.Reason
}

// Bounds of what strangers can make grow. What is beyond one counts under otherDomain, or is no example.
const (
	maxDomainsADay = 1000
	maxExamples    = 512
	otherDomain    = "other"
)

// LateSteps are how long those waited who were accepted late.
var LateSteps = [...]time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour, 12 * time.Hour, 24 * time.Hour}

// lateCounts count by LateSteps; the last is more than all of them.
type lateCounts [len(LateSteps) + 1]uint64

// Tally adds up facts. Its zero value is not ready: see NewTally.
type Tally struct {
	rows     map[Row]uint64
	domains  map[domainRow]uint64
	new      map[int64]int // distinct domains of a day
	known    map[domainRow]bool
	lates    map[string]map[int64]*lateCounts // by provider and day
	examples map[exampleKey]*Example
	blocks   map[blockRow]uint64 // replies that name a blocklist
	typos    map[domainRow]uint64
	first    time.Time
	last     time.Time
}

// NewTally gives one without facts.
func NewTally() *Tally {
	return &Tally{
		map[Row]uint64{}, map[domainRow]uint64{}, map[int64]int{}, map[domainRow]bool{}, map[string]map[int64]*lateCounts{},
		map[exampleKey]*Example{}, map[blockRow]uint64{}, map[domainRow]uint64{}, time.Time{}, time.Time{},
	}
}

const (
	hour = 3600
	day  = 24 * hour
)

// Add counts a fact.
func (t *Tally) Add(f *Fact) {
	at := f.Time.Unix()
	if t.first.IsZero() || f.Time.Before(t.first) {
		t.first = f.Time
	}
	if f.Time.After(t.last) {
		t.last = f.Time
	}
	t.count(f, f.Class)
	failed := f.Class > Accepted && f.Class <= Unknown
	if f.Class == Accepted && f.PutOff {
		t.count(f, Late)
		t.countLate(f, at/day)
	}
	if failed && f.PutOff {
		t.count(f, FailedOff)
	}
	if failed && f.Returned {
		t.count(f, Returned)
	}
	if failed || f.Class == PutOff {
		t.keepExample(f)
		t.countBlocklist(f, at/hour)
	}
}

func (t *Tally) count(f *Fact, class Class) {
	row := Row{Hour: f.Time.Unix() / hour, Provider: f.Provider, Class: class}
	if class != Accepted && class != Late {
		row.Reason = f.Reason
	}
	t.rows[row]++
	if f.Domain != "" && class != Attempt && class != Complaint {
		t.countDomain(f, class)
	}
}

func (t *Tally) countLate(f *Fact, day int64) {
	days := t.lates[f.Provider]
	if days == nil {
		days = map[int64]*lateCounts{}
		t.lates[f.Provider] = days
	}
	if days[day] == nil {
		days[day] = &lateCounts{}
	}
	step := 0
	for step < len(LateSteps) && f.Delay > LateSteps[step] {
		step++
	}
	days[day][step]++
}

func (t *Tally) countDomain(f *Fact, class Class) {
	seen := domainRow{day: f.Time.Unix() / day, domain: strings.ToLower(f.Domain)}
	if !t.known[seen] {
		if t.new[seen.day] >= maxDomainsADay {
			seen.domain = otherDomain
		} else {
			seen.domain = strings.Clone(seen.domain)
			t.new[seen.day]++
			t.known[seen] = true
		}
	}
	t.domains[domainRow{seen.day, seen.domain, class}]++
	if class == Hard && seen.domain != otherDomain && likelyMeant(seen.domain) != "" {
		t.typos[seen]++
	}
}

func (t *Tally) keepExample(f *Fact) {
	key := exampleKey{f.Provider, f.Reason}
	e := t.examples[key]
	if e == nil {
		if len(t.examples) >= maxExamples {
			return
		}
		e = &Example{First: f.Time}
		t.examples[key] = e
	}
	e.Count++
	if !f.Time.Before(e.Last) {
		e.Last, e.Code, e.Status = f.Time, f.Code, f.Status
		if text, safe := redact(f); safe {
			e.Text = text
		}
	}
}
