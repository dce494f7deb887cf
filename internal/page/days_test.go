package page

import (
	"testing"
	"time"

	"bouncefeed/internal/report"
)

func TestNice(t *testing.T) {
	t.Parallel()
	for n, want := range map[uint64]uint64{0: 2, 1: 2, 2: 2, 3: 4, 7: 8, 11: 12, 13: 20, 99: 100, 101: 120, 2200: 2500, 2501: 3000, 8001: 10000, 1 << 62: 1 << 62} {
		if got := nice(n); got != want {
			t.Errorf("nice(%d) = %d, not %d", n, got, want)
		}
	}
}

// TestStack: what is there is seen, however little; the parts touch and do not leave the drawing.
func TestStack(t *testing.T) {
	t.Parallel()
	for _, f := range []report.Figures{
		{Ended: 100_000, Accepted: 99_997, Late: 3, Failed: map[string]uint64{"hard": 1, "ours": 1, "soft": 1}},
		{Ended: 3, Accepted: 3, Late: 3},
		{Ended: 5, Failed: map[string]uint64{"hard": 1, "ours": 1, "soft": 1, "gave_up": 1, "unknown": 1}},
		{},
	} {
		var b Bar
		b.stack(allHigh, nice(f.Ended), &f, 0)
		want := 0
		for _, s := range series {
			if s.of(&f) > 0 {
				want++
			}
		}
		if len(b.Parts) != want {
			t.Errorf("%+v: %d parts, not %d", f, len(b.Parts), want)
		}
		top := 0
		for _, p := range b.Parts {
			if p.H < 1 || p.Y < top || p.Y > top+1 && top > 0 || p.Y+p.H > allHigh {
				t.Errorf("%+v: a part at %d, %d high, below %d", f, p.Y, p.H, top)
			}
			top = p.Y + p.H
		}
		if want > 0 && top != allHigh {
			t.Errorf("%+v: it does not stand on the ground but at %d", f, top)
		}
	}
}

// TestChart: every day of the span has its place, also those of which nothing is known.
func TestChart(t *testing.T) {
	t.Parallel()
	until := time.Date(2026, 11, 29, 18, 0, 0, 0, time.UTC)
	for days, labels := range map[int]int{7: 7, 28: 4, 90: 6} {
		span := report.Span{Since: until.Truncate(24*time.Hour).AddDate(0, 0, 1-days), Until: until}
		c := chart("x", span, []report.Group{{ID: "2026-11-28", Figures: report.Figures{Ended: 10, Accepted: 9, Failed: map[string]uint64{"ours": 1}}}})
		if len(c.All) != days || len(c.Failed) != days || len(c.Rows) != days || len(c.Labels) != labels {
			t.Errorf("%d days: %d and %d bars, %d rows, %d labels", days, len(c.All), len(c.Failed), len(c.Rows), len(c.Labels))
		}
		if len(c.All[days-2].Parts) != 2 || len(c.All[days-1].Parts) != 0 || c.Rows[days-2].Cells[6] != "1" {
			t.Errorf("%d days: the figures do not stand at their day: %+v", days, c.Rows[days-2])
		}
		if want := "10 recipients ended in " + report.Plural(uint64(days), "day") + ", 1 of them failed (10.0%). Most failed on 28 November: 1."; c.Said != want {
			t.Errorf("%q", c.Said)
		}
	}
}
