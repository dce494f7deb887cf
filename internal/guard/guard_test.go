package guard

import (
	"reflect"
	"testing"
	"time"
)

var (
	noon = time.Unix(1_800_000_000, 0).Truncate(time.Hour)
	rule = Rule{Hard: 50, Times: 5, Share: 0.1}
)

// fail has n mails fail at a time and counts what is in excess; that is held.
func fail(s *Scope, n int, at time.Time) (excess int) {
	for range n {
		if s.Fail(rule, at, at) {
			excess++
			s.Hold(at, at)
		}
	}
	return excess
}

// Half of the hours before had fewer: one busy hour, or ten, make no more plausible.
func TestMedian(t *testing.T) {
	t.Parallel()
	for busy, want := range map[int]int{0: 250, 10: 250, 12: 250, 13: 200, 24: 200} {
		var s Scope
		for h := range busy {
			if n := fail(&s, 20, noon.Add(time.Duration(h)*time.Hour)); n != 0 {
				t.Fatalf("%d of 20 in excess", n)
			}
		}
		s.Recent = 0
		if got := fail(&s, 300, noon.Add(time.Duration(busy+1)*time.Hour)); got != want {
			t.Errorf("after %d hours of 20 each, %d of 300 are in excess, want %d", busy, got, want)
		}
	}
}

// The limit of an hour can't be had twice around its end.
func TestWindowSlides(t *testing.T) {
	t.Parallel()
	var s Scope
	end := noon.Add(59*time.Minute + 59*time.Second)
	if n := fail(&s, 50, end); n != 0 {
		t.Errorf("%d of 50 in excess", n)
	}
	if n := fail(&s, 50, end.Add(2*time.Second)); n != 50 {
		t.Errorf("a moment later %d of 50 in excess", n)
	}
	if n := fail(&s, 50, end.Add(3*time.Hour)); n != 0 {
		t.Errorf("hours later %d of 50 in excess", n)
	}
}

// A backlog counts for its own hours, and an hour that is held makes the next no more plausible.
func TestLateHours(t *testing.T) {
	t.Parallel()
	var s Scope
	for h := range 1000 {
		if s.Fail(rule, noon.Add(time.Duration(h-3000)*time.Hour), noon) {
			t.Fatal("one an hour is in excess")
		}
	}
	if len(s.Hours) > day+keepLate+2 {
		t.Errorf("%d hours kept", len(s.Hours))
	}
	for h := range 30 {
		if n := fail(&s, 100, noon.Add(time.Duration(3*h)*time.Hour)); n != 50 {
			t.Fatalf("%d of 100 in excess", n)
		}
	}
}

func TestMarkBeginsOnce(t *testing.T) {
	t.Parallel()
	var s Scope
	for _, c := range []struct {
		after time.Duration
		begun bool
	}{{0, true}, {time.Minute, false}, {time.Hour, false}, {3 * time.Hour, true}} {
		if s.Mark(noon.Add(c.after)) != c.begun {
			t.Errorf("after %v: begun %v", c.after, !c.begun)
		}
	}
	if !s.Since.Equal(noon.Add(3*time.Hour)) || !s.Last.Equal(s.Since) {
		t.Errorf("since %v to %v", s.Since, s.Last)
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	want := &Scope{noon, time.Time{}, noon, 0.25, 7, []Hour{{500_000, 1, 2, 3}, {499_000, 1 << 40, 5, 6}}}
	for _, s := range []*Scope{want, {}} {
		b := s.Encode()
		got, err := Decode(b)
		if err != nil || !reflect.DeepEqual(got, s) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, s)
		}
		if _, err := Decode(b[:len(b)-1]); err == nil {
			t.Error("what is cut off was read")
		}
	}
}
