package event

import "time"

// A Stat is a row of statistics: how often something was seen in an hour, or on a day. Who counts says what Kind and Name
// mean; who stores it knows how long each table is kept, and that Name may be of a stranger's choice.
type Stat struct {
	StatKey
	N uint64
}

// StatKey is what a Stat counts.
type StatKey struct {
	Table StatTable
	At    uint32 // hours since 1970, UTC; of what is counted by the day the first hour of that day
	Kind  string // of few
	Name  string
}

// StatTable is what a Stat is a row of.
type StatTable uint8

// The tables. StatDays is added up from StatHours by who stores it.
const (
	StatHours     StatTable = iota // by the hour; Name: a provider
	StatDays                       // by the day; Name: a provider
	StatDomains                    // by the day; Name: a recipient's domain
	StatLates                      // by the day; Name: a provider
	StatLists                      // by the hour; Name: a blocklist that was named, by whom, for which domain
	StatCover                      // by the day; Name: an input
	StatCampaigns                  // by the day; Name: a campaign's UUID
	StatTables                     // how many there are
)

// StatExample is what was said for some reason, as it was last heard. Name and Kind are as of a Stat.
type StatExample struct {
	Name   string    `json:"-"`
	Kind   string    `json:"-"`
	First  time.Time `json:"first"`
	Last   time.Time `json:"last"`
	Code   int       `json:"code,omitempty"`
	Status string    `json:"status,omitempty"`
	Text   string    `json:"text,omitempty"` // without anything of a recipient
}

// Hours gives the hours since 1970 of a Stat.
func Hours(t time.Time) uint32 { return uint32(min(max(t.Unix()/3600, 0), 1<<32-1)) }

// HourTime is the beginning of the hour that Hours gives.
func HourTime(hours uint32) time.Time { return time.Unix(int64(hours)*3600, 0).UTC() }

// Counted is what a failure counts as.
type Counted struct {
	Stats    []Stat
	Examples []StatExample
}
