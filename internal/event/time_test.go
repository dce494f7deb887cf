package event

import (
	"testing"
	"time"
)

func TestMailDate(t *testing.T) {
	want := time.Date(2026, 11, 22, 7, 1, 2, 0, time.UTC)
	for _, s := range []string{
		"Sun, 22 Nov 2026 08:01:02 +0100", "22 Nov 2026 07:01:02 +0000", "Sun, 22 Nov 2026 08:01:02 +0100 (CET)",
		"Sun,\n\t22 Nov 2026 07:01:02 GMT", " Sun, 22 Nov 2026 08:01:02 +0100 ",
	} {
		if got, err := MailDate(s); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "yesterday", "(comment)", "2026-11-22"} {
		if got, err := MailDate(s); err == nil {
			t.Errorf("%q is %v", s, got)
		}
	}
}

func TestBelieveTime(t *testing.T) {
	read := time.Date(2026, 11, 22, 7, 1, 2, 0, time.UTC)
	for _, c := range []struct {
		t        time.Time
		read     time.Time
		believed bool
	}{
		{read.Add(-time.Hour), read, true},
		{read.Add(23 * time.Hour), read, true},
		{read.Add(25 * time.Hour), read, false},
		{time.Date(1989, 12, 31, 0, 0, 0, 0, time.UTC), read, false},
		{time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), time.Time{}, true},
		{time.Date(9999, 12, 31, 23, 0, 0, 0, time.FixedZone("", -8*3600)), time.Time{}, false}, // the year 10000 in UTC
	} {
		want := c.read
		if c.believed {
			want = c.t
		}
		if got := BelieveTime(c.t, c.read); !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("%v, read %v: %v", c.t, c.read, got)
		}
	}
}
