package report

import (
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

// RowOf reads a row of StatHours; false: it is of another table, or makes no sense to this version.
func RowOf(s *event.Stat) (Row, bool) {
	if s.Table != event.StatHours || len(s.Kind) < 2 {
		return Row{}, false
	}
	class, ok := classOf(s.Kind[1:])
	return Row{int64(s.At), s.Name, class, event.Reason(s.Kind[2:])}, ok
}

// domainRow is what days are counted by.
type domainRow struct {
	day    int64
	domain string
	class  Class
}

// campaignRow is what the failures of a campaign are counted by.
type campaignRow struct {
	day      int64
	campaign string
	class    Class
	reason   event.Reason
}

// Example is a reply, as one was last heard, without anything of a recipient.
type Example struct {
	First  time.Time `json:"first"`
	Last   time.Time `json:"last"`
	Count  uint64    `json:"count"` // of the reason's, at that provider
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
	maxCampaigns   = 200 // in a report
)

// LateSteps are how long those waited who were accepted late. Rows name them by number: they never change.
var LateSteps = [...]time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour, 12 * time.Hour, 24 * time.Hour}

// LateStep is the first of LateSteps that is as long; len(LateSteps): none is.
func LateStep(delay time.Duration) int {
	step := 0
	for step < len(LateSteps) && delay > LateSteps[step] {
		step++
	}
	return step
}

// lateCounts count by LateSteps; the last is more than all of them.
type lateCounts [len(LateSteps) + 1]uint64

// Kinds of the rows of StatCover.
const (
	CoverRead = "read" // records of an input
	CoverGaps = "gaps" // times that some were missing
)

type coverDay struct{ read, gaps uint64 }

// Tally adds up rows. Its zero value is not ready: see NewTally.
type Tally struct {
	Stream    Stream // counts only this one's; set it before anything is added
	rows      map[Row]uint64
	domains   map[domainRow]uint64
	new       map[int64]int // distinct domains of a day
	known     map[domainRow]bool
	lates     map[string]map[int64]*lateCounts // by provider and day
	examples  map[exampleKey]*Example
	blocks    map[blockRow]uint64 // replies that name a blocklist
	typos     map[domainRow]uint64
	cover     map[string]map[int64]coverDay // by input and day
	campaigns map[campaignRow]uint64
	first     time.Time
	last      time.Time
}

// NewTally gives one without rows.
func NewTally() *Tally {
	return &Tally{
		rows: map[Row]uint64{}, domains: map[domainRow]uint64{}, new: map[int64]int{}, known: map[domainRow]bool{},
		lates: map[string]map[int64]*lateCounts{}, examples: map[exampleKey]*Example{}, blocks: map[blockRow]uint64{},
		typos: map[domainRow]uint64{}, cover: map[string]map[int64]coverDay{}, campaigns: map[campaignRow]uint64{},
	}
}

const (
	hour = 3600
	day  = 24 * hour
)

// Add counts a fact.
func (t *Tally) Add(f *Fact) {
	for _, s := range f.Stats() {
		t.AddStat(&s)
	}
	if f.Class.failed() || f.Class == PutOff {
		e := f.Example()
		t.AddExample(&e)
	}
}

// span widens what the rows are of.
func (t *Tally) span(hours uint32) {
	at := event.HourTime(hours)
	if t.first.IsZero() || at.Before(t.first) {
		t.first = at
	}
	if at.After(t.last) {
		t.last = at
	}
}

func (t *Tally) addLate(provider string, day int64, step int, n uint64) {
	days := t.lates[provider]
	if days == nil {
		days = map[int64]*lateCounts{}
		t.lates[provider] = days
	}
	if days[day] == nil {
		days[day] = &lateCounts{}
	}
	days[day][step] += n
}

func (t *Tally) addDomain(row domainRow, n uint64) {
	seen := domainRow{day: row.day, domain: row.domain}
	switch {
	case t.known[seen] || row.domain == otherDomain:
	case t.new[row.day] >= maxDomainsADay:
		row.domain = otherDomain
	default:
		t.new[row.day]++
		t.known[seen] = true
	}
	t.domains[row] += n
	if row.class == Hard && row.domain != otherDomain && likelyMeant(row.domain) != "" {
		t.typos[domainRow{day: row.day, domain: row.domain}] += n
	}
}
