package event

import (
	"net/mail"
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

// The short way gives what the long way gives.
func TestPlainDate(t *testing.T) {
	short := 0
	for _, s := range []string{
		"Sun, 22 Nov 2026 08:01:02 +0100", "Sun, 2 Nov 2026 08:01:02 -0530", "Thu, 29 Feb 2024 23:59:59 +0000", "Thu, 29 Feb 2023 23:59:59 +0000",
		"Sun, 31 Nov 2026 08:01:02 +0100", "Sun, 00 Nov 2026 08:01:02 +0100", "Sun, 22 Nov 2026 24:01:02 +0100", "Sun, 22 Nov 2026 08:60:02 +0100",
		"Sun, 22 Nov 2026 08:01:60 +0100", "Sun, 22 Nov 2026 08:01:02 +2500", "Sun, 22 Nov 2026 08:01:02 +0160", "sun, 22 nov 2026 08:01:02 +0100",
		"Xyz, 22 Nov 2026 08:01:02 +0100", "onT, 22 Nov 2026 08:01:02 +0100", "Sun, 22 anF 2026 08:01:02 +0100", "Sun, 22 Nov 2026 08:01:02 x0100",
		"Sun, 22 Nov 2026 08:01:02 -0000", "Sun, 22 Nov 0000 08:01:02 +0100", "Sun, x2 Nov 2026 08:01:02 +0100", "Sun, 22 Nov 2026 08:01:02 GMT+1",
		"Sun, 22 Nov 2026  8:01:02 +0100", "Sun,  2 Nov 2026 08:01:02 +0100",
		"22 Nov 2026 08:01:02 +0100", "2 Nov 2026 08:01:02 -0100", "31 Nov 2026 08:01:02 +0100", "22 Nov 26 08:01:02 +0100",
	} {
		got, ok := plainDate(s)
		want, err := time.Parse("Mon, _2 Jan 2006 15:04:05 -0700", s)
		if s[0] <= '9' {
			want, err = mail.ParseDate(s)
		}
		if ok {
			short++
		}
		if ok && (err != nil || !got.Equal(want) || got.Location() != time.UTC) {
			t.Errorf("%q: %v, expected %v, %v", s, got, want, err)
		}
	}
	if short != 7 {
		t.Errorf("%d were read the short way", short)
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
