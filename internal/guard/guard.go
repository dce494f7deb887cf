// Package guard tells when more mail fails for good than is plausible. People leave one by one: when hundreds of
// addresses of one provider are unknown all at once, it is the provider that is broken, or the DNS, or our own relay, and
// to believe it would unsubscribe a list.
//
// A Scope counts what mails have in common, by the hour in which they failed: a backlog that is read in a minute is
// judged as if it had been read when it was written, and an outage in it is found all the same.
package guard

import (
	"slices"
	"time"
)

// Rule is what is plausible within an hour. A hard bounce is in excess if there are more than Hard, and more than Times
// the median of the hours of the day before, and more than Share of all mail, or of the last hundred mails more than half.
type Rule struct {
	Hard  int
	Times float64
	Share float64 // 0.1: every tenth
}

const (
	day       = 24 // hours that the median is of
	keepLate  = 8  // of earlier hours: a backlog is read hour by hour
	recently  = 100.0
	mostly    = 0.5 // of the last hundred mails
	releasing = 2   // times what an admin has released is plausible from then on
)

// Scope is what is known of the mails that have something in common, a domain say. Its zero value knows nothing.
type Scope struct {
	Touched time.Time // when anything was last counted, by our clock
	Since   time.Time // when the first of an excess was found, by our clock
	Last    time.Time // and the last
	Recent  float64   // share of the last hundred mails that failed for good
	Learned uint64    // the most hard bounces of an hour of which an admin has released some
	Hours   []Hour    // of which something is known, in the order in which they were last asked for
}

// Hour counts mails by when they failed or were taken.
type Hour struct {
	At   int64 // since 1970
	Mail uint64
	Hard uint64
	Held uint64 // of Hard
}

// HourOf gives the hour of a time.
func HourOf(at time.Time) int64 { return at.Unix() / 3600 }

// Deliver counts n mails of an hour that did not fail for good.
func (s *Scope) Deliver(hour int64, n uint64, now time.Time) {
	if n > 0 {
		s.hour(hour, now).Mail += n
		s.Recent *= forget(float64(n))
	}
}

// Fail counts a mail that failed for good at a time, and says whether that is in excess.
func (s *Scope) Fail(r Rule, at, now time.Time) (excess bool) {
	h := s.hour(HourOf(at), now)
	h.Mail++
	h.Hard++
	kept := forget(1)
	s.Recent = s.Recent*kept + 1 - kept
	before := s.at(h.At - 1)
	left := 1 - float64(at.Unix()%3600)/3600 // of the hour before, as if it had been even
	hard := float64(h.Hard) + left*float64(before.Hard)
	mail := float64(h.Mail) + left*float64(before.Mail)
	if hard <= max(float64(r.Hard), r.Times*float64(s.median(h.At)), releasing*float64(s.Learned)) {
		return false
	}
	return hard > r.Share*mail || s.Recent > mostly
}

// Mark notes an excess, and says whether it is the first one after an hour without.
func (s *Scope) Mark(now time.Time) (begun bool) {
	if begun = s.Last.IsZero() || now.Sub(s.Last).Abs() > time.Hour; begun {
		s.Since = now
	}
	s.Last = now
	return begun
}

// Hold notes that a bounce that failed at a time was held.
func (s *Scope) Hold(at, now time.Time) { s.hour(HourOf(at), now).Held++ }

// Hard counts the bounces of the hour of a time.
func (s *Scope) Hard(at time.Time) uint64 { return s.at(HourOf(at)).Hard }

// Release notes that an admin has looked at a held bounce and found it plausible.
func (s *Scope) Release(at, now time.Time) {
	h := s.hour(HourOf(at), now)
	h.Held -= min(h.Held, 1)
	if passed := h.Hard - min(h.Held, h.Hard); h.Hard > 0 {
		s.Learned = max(s.Learned, passed)
	}
}

// Idle says whether there is nothing in it that is worth keeping.
func (s *Scope) Idle(now time.Time) bool {
	return s.Learned == 0 && now.Sub(s.Touched).Abs() > (day+1)*time.Hour
}

// hour gives an hour's counts. What is kept is bounded: of the last day all, of what came before the newest asked for.
func (s *Scope) hour(at int64, now time.Time) *Hour {
	s.Touched = now
	i := slices.IndexFunc(s.Hours, func(h Hour) bool { return h.At == at })
	h := Hour{At: at}
	if i >= 0 {
		h = s.Hours[i]
		s.Hours = slices.Delete(s.Hours, i, i+1)
	}
	s.Hours = append(s.Hours, h)
	oldest, late := HourOf(now)-day-1, 0
	for i := len(s.Hours) - 1; i >= 0; i-- { // the newest asked for first
		if h := s.Hours[i].At; h >= oldest && h <= HourOf(now) {
			continue
		}
		if late++; late > keepLate {
			s.Hours = slices.Delete(s.Hours, i, i+1)
		}
	}
	return &s.Hours[len(s.Hours)-1]
}

func (s *Scope) at(hour int64) Hour {
	for _, h := range s.Hours {
		if h.At == hour {
			return h
		}
	}
	return Hour{}
}

// median is of the hard bounces that were sent, of each hour of the day before one: half of the hours had fewer.
func (s *Scope) median(hour int64) uint64 {
	var passed [day]uint64
	for _, h := range s.Hours {
		if h.At >= hour-day && h.At < hour {
			passed[hour-1-h.At] = h.Hard - min(h.Held, h.Hard)
		}
	}
	slices.Sort(passed[:])
	return passed[day/2-1]
}
