package outputs

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"bouncefeed/internal/event"
)

// The values of `verify:`.
const (
	verifyAuto = "auto"
	verifyOn   = "on"
	verifyOff  = "off"
)

const (
	bouncesRoute = "/api/bounces"
	pageSize     = 500  // rows of a page
	pageAtMost   = 5000 // where more than pageSize bounces happened in one instant
	pageBytes    = 16 << 20
	readsAtMost  = 12 // requests of one reading

	// sameInstant is how far listmonk's time of a bounce may be from ours, which it rounds.
	sameInstant = time.Millisecond
)

// readingPlace is where the last reading found what it sought: the next one begins there.
type readingPlace struct{ page, size int }

// Verifies asks whether the API user may read bounces. With `verify: on` it has to. Any endpoint may stand at a url that ends
// as listmonk's does: with `verify: auto` only listmonk's own trouble, told in JSON, is waited for.
func (l *listmonkReceiver) Verifies(ctx context.Context) (bool, error) {
	if l.verify == verifyOff {
		return false, nil
	}
	a, err := l.api(ctx, bouncesRoute, url.Values{"per_page": {"1"}, "source": {l.source}})
	switch {
	case err != nil:
		return false, err
	case a != nil && a.status == http.StatusOK && a.json:
		return true, nil
	case l.verify == verifyAuto && (a == nil || a.status < 500 || a.status == http.StatusNotImplemented || !a.json): // it may not, or is no listmonk
		return false, nil
	case a == nil:
		return false, &attemptError{text: "verify: on needs a url that ends in " + listmonkRoute}
	}
	return false, l.whyUnread(a)
}

func (l *listmonkReceiver) whyUnread(a *answer) error {
	if a.status == http.StatusForbidden {
		return a.later("the API user may not read bounces, which verify: on needs: give its role bounces:get")
	}
	if a.status/100 == 2 {
		return a.later("not listmonk's list of bounces")
	}
	return a.later("reading back what listmonk has stored")
}

// row is a stored bounce as listmonk shows it.
type row struct {
	CreatedAt time.Time       `json:"created_at"`
	Meta      json.RawMessage `json:"meta"`
}

// Stored asks listmonk for those of wanted that it has stored. It has no filter for them: they are found in pages of all
// bounces of our source, newest first. Rows of one instant come in any order, and new ones shift the pages, so that one
// page alone must reach beyond an instant on both sides to show that a bounce of it is not there.
func (l *listmonkReceiver) Stored(ctx context.Context, wanted []event.Event) (Answered, error) {
	r := Answered{Stored: map[string]bool{}}
	open := slices.Clone(wanted)
	slices.SortStableFunc(open, func(a, b event.Event) int { return b.Time.Compare(a.Time) })
	s := newSearch(l.place)
	for len(open) > 0 && r.Requests < readsAtMost {
		rows, total, err := l.page(ctx, s.page, s.size)
		if r.Requests++; err != nil {
			return r, err
		}
		p := span{newest: s.page == 1, oldest: len(rows) < s.size, rows: rows}
		ids := p.ids()
		before := len(open)
		open = slices.DeleteFunc(open, func(e event.Event) bool {
			is := ids[e.ID]
			if is || p.covers(e.Time) {
				r.Stored[e.ID] = is
				return true
			}
			return false
		})
		if len(open) < before {
			l.place = readingPlace{s.page, s.size}
			s = newSearch(l.place)
		}
		if len(open) > 0 && !s.next(p, open[0].Time, total) {
			open = open[1:] // one instant of more bounces than a page can hold: never judged
		}
	}
	return r, nil
}

// page reads one page of our bounces, newest first.
func (l *listmonkReceiver) page(ctx context.Context, page, size int) (rows []row, total int, err error) {
	a, err := l.api(ctx, bouncesRoute, url.Values{
		"source": {l.source}, "order_by": {"created_at"}, "order": {"desc"}, "page": {strconv.Itoa(page)}, "per_page": {strconv.Itoa(size)},
	})
	if err != nil {
		return nil, 0, err
	}
	var data struct {
		Results []row `json:"results"`
		Total   int   `json:"total"`
	}
	if a == nil || !a.data(&data) {
		return nil, 0, l.whyUnread(cmp.Or(a, &answer{status: http.StatusNotFound}))
	}
	return data.Results, data.Total, nil
}

// span is a page as a stretch of time.
type span struct {
	newest, oldest bool // nothing is newer, or older, than what it holds
	rows           []row
}

func (s *span) ids() map[string]bool {
	ids := map[string]bool{}
	for _, r := range s.rows {
		var meta struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(r.Meta, &meta) == nil {
			ids[meta.ID] = true
		}
	}
	return ids
}

// newer says whether rows of this instant may stand on pages before this one, older of those behind it.
func (s *span) newer(at time.Time) bool {
	return !s.newest && (len(s.rows) == 0 || !at.Before(s.rows[0].CreatedAt.Add(-sameInstant)))
}

func (s *span) older(at time.Time) bool {
	return !s.oldest && (len(s.rows) == 0 || !at.After(s.rows[len(s.rows)-1].CreatedAt.Add(sameInstant)))
}

func (s *span) covers(at time.Time) bool { return !s.newer(at) && !s.older(at) }

// search goes from page to page towards an instant, in steps that double, then halve.
type search struct {
	page, size int
	low, high  int // pages it must lie between; high 0: unknown
	step       int
}

func newSearch(from readingPlace) *search {
	return &search{page: max(1, from.page), size: max(pageSize, from.size), low: 1, step: 1}
}

// next moves on from page p. false: there is no page left to look at.
func (s *search) next(p span, at time.Time, total int) bool {
	if total > 0 {
		s.high = max(1, min(cmp.Or(s.high, total), (total+s.size-1)/s.size))
	}
	newer, older := p.newer(at), p.older(at)
	switch {
	case newer && older, newer && s.page <= s.low && s.page > 1, older && s.high > 0 && s.page >= s.high:
		// The instant crosses the page's edge: other pages, with other edges.
		if s.size >= pageAtMost {
			return false
		}
		offset := (s.page - 1) * s.size
		size := min(2*s.size+s.size/3, pageAtMost)
		*s = search{page: offset/size + 1, size: size, low: 1, step: 1}
		return true
	case newer:
		s.high = s.page - 1
		s.page = max(s.low, s.page-s.step)
	case older:
		s.low = s.page + 1
		s.page += s.step
		if s.high > 0 {
			s.page = min(s.high, s.page)
		}
	}
	if s.step *= 2; s.high > 0 && s.step > (s.high-s.low)/2 {
		s.step = max(1, (s.high-s.low)/2)
	}
	return true
}

// Trust is keep: and after_break:.
func (l *listmonkReceiver) Trust() (keep time.Duration, resend bool) { return l.keep, l.resend }

// Otherwise gives e as listmonk may know it better: by its address alone. Who was deleted and imported again has another
// UUID than the mail that failed.
func (l *listmonkReceiver) Otherwise(e event.Event) (event.Event, bool) {
	b := l.bounce(&e)
	if b.SubscriberUUID == "" || !takesAddress(b.Email) {
		return e, false
	}
	e.SubscriberUUID = ""
	return e, true
}
