package report

import (
	"slices"
	"time"

	"bouncefeed/internal/provider"
)

// Waiting is how many recipients of a provider wait at the moment: put off, and neither accepted nor failed.
type Waiting struct {
	Provider   string     `json:"provider"`
	Recipients uint64     `json:"recipients"`
	OverADay   uint64     `json:"over_a_day"`
	Since      *time.Time `json:"since,omitempty"` // when they became so many that it matters
}

const manyWaiting = 20 // for more than a day

// NewWaiting counts those whose messages came in at some times.
func NewWaiting(provider string, since []time.Time, now time.Time) Waiting {
	w := Waiting{Provider: provider, Recipients: uint64(len(since))}
	slices.SortFunc(since, time.Time.Compare)
	for i, at := range since {
		if over := at.Add(24 * time.Hour); !over.After(now) {
			if w.OverADay++; i == manyWaiting-1 {
				w.Since = &over
			}
		}
	}
	return w
}

// SetWaiting adds who waits at the moment, and what is to be found in that.
func (r *Report) SetWaiting(all []Waiting) {
	r.WaitingNow = all
	for _, w := range all {
		if w.Since != nil && w.Provider != provider.Other && w.Provider != provider.Local {
			r.Findings = append(r.Findings, Finding{ID: "waiting", Severity: Warning, Since: w.Since.Truncate(time.Hour), Provider: w.Provider, Count: w.OverADay, Of: w.Recipients})
		}
	}
	sortFindings(r.Findings)
}

// nowWaiting sums up.
func (r *Report) nowWaiting() (recipients, overADay uint64) {
	for _, w := range r.WaitingNow {
		recipients, overADay = recipients+w.Recipients, overADay+w.OverADay
	}
	return recipients, overADay
}
