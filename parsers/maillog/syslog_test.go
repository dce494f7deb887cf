package maillog

import (
	"testing"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/parsers/parsertest"
)

func TestSyslogTime(t *testing.T) {
	local := time.Local
	time.Local = time.FixedZone("CET", 3600)
	t.Cleanup(func() { time.Local = local })
	read := time.Date(2027, 1, 1, 0, 30, 0, 0, time.Local)
	for _, c := range []struct{ stamp, want string }{
		{"Jan  1 00:29:59", "2026-12-31T23:29:59Z"},
		{"Dec 31 23:59:59", "2026-12-31T22:59:59Z"},
		{"Jan  1 23:00:00", "2027-01-01T22:00:00Z"}, // a clock some hours ahead
		{"Jan  3 00:00:00", "2026-01-02T23:00:00Z"},
		{"Feb 29 12:00:00", "2024-02-29T11:00:00Z"},
		{"Dec  5 01:02:03 2019", "2019-12-05T00:02:03Z"},
		{"2026-03-01T10:00:00.5+05:30", "2026-03-01T04:30:00.5Z"},
		{"2026-03-01T10:00:00.123456-0800", "2026-03-01T18:00:00.123456Z"},
		{"2026-03-01T10:00:00Z", "2026-03-01T10:00:00Z"},
		{"2026-03-01 10:00:00,25", "2026-03-01T09:00:00.25Z"},
		{"2026-03-01T10:00:60Z", "2026-03-01T10:01:00Z"},
		{"2026-02-30T25:00:00Z", ""},
		{"2026-03-01T10:00:00+5", ""},
		{"2026-03-01T10:00:00nowhere", ""},
		{"Foo  1 00:00:00", ""},
		{"Feb 30 00:00:00", ""},
	} {
		var clock syslogClock
		var l syslogLine
		rec := event.Record{Time: read, Body: []byte(c.stamp + " mx1 postfix/smtp[1]: x")}
		if !splitSyslog(&rec, &l) {
			t.Errorf("%q: no header", c.stamp)
			continue
		}
		for range 2 { // anew, and from what the clock remembers
			got := ""
			if when, ok := clock.time(&l, read); ok {
				got = when.Format(time.RFC3339Nano)
			}
			if got != c.want {
				t.Errorf("%q is %q, expected %q", c.stamp, got, c.want)
			}
		}
	}
}

func TestSyslogClockGoesOn(t *testing.T) {
	var clock syslogClock
	for _, stamp := range []string{
		"2026-03-01T10:00:59.9Z", "2026-03-01T10:00:59.9+01:00", "2026-03-01T11:00:59.9+01:00", "2026-03-01T10:01:00.0Z",
	} {
		rec := event.Record{Time: parsertest.Time, Body: []byte(stamp + " mx1 postfix/smtp[1]: x")}
		var l syslogLine
		want, err := time.Parse(time.RFC3339Nano, stamp)
		if got, ok := clock.time(&l, parsertest.Time); ok {
			t.Errorf("no stamp gives %v", got)
		}
		if got, ok := true, splitSyslog(&rec, &l); got != ok || err != nil {
			t.Fatal(stamp, err)
		}
		if got, ok := clock.time(&l, parsertest.Time); !ok || !got.Equal(want) {
			t.Errorf("%s is %v", stamp, got)
		}
	}
}

func TestSyslogHeader(t *testing.T) {
	for _, c := range []struct{ line, host, tag, message string }{
		{"Nov 22 06:47:42 mx1 postfix/smtp[1]: A: b", "mx1", "postfix/smtp", "A: b"},
		{"Nov 22 06:47:42 mx1 exim[77]: x", "mx1", "exim", "x"},
		{"Nov 22 06:47:42 2026 mx1 sendmail: x", "mx1", "sendmail", "x"},
		{"2026-11-22T06:47:42Z   WARN    smtpd[9]:  x", "", "smtpd", " x"},
		{"Nov 22 06:47:42 mx1 mail.info smtpd[9]: x", "mx1", "smtpd", "x"},
		{"Nov 22 06:47:42 mail.info postfix/smtp[1]: x", "", "postfix/smtp", "x"},
		{"<22>1 2026-11-22T06:47:42Z mx1 postfix 5 ID7 [a b=\"]\"] x: y", "mx1", "postfix", "x: y"},
		{"Nov 22 06:47:42 mx1 mx1 postfix/smtp[1]: x", "", "", ""},
		{"Nov 22 06:47:42 mx1 said postfix/smtp[1]: x", "", "", ""},
		{"<22>1 2026-11-22T06:47:42Z mx1 postfix 5 - [a b=\"]", "", "", ""},
		{"<2222222>Nov 22 06:47:42 mx1 a: x", "", "", ""},
		{"Nov 22", "", "", ""},
		{"\x00\x00", "", "", ""},
		{"", "", "", ""},
	} {
		var l syslogLine
		rec := event.Record{Time: parsertest.Time, Body: []byte(c.line + "\r\n")}
		ok := splitSyslog(&rec, &l)
		if ok != (c.tag != "") {
			t.Errorf("%q: header %v", c.line, ok)
		} else if ok && (string(l.host) != c.host || string(l.tag) != c.tag || string(l.message) != c.message) {
			t.Errorf("%q: host %q, tag %q, message %q", c.line, l.host, l.tag, l.message)
		}
	}
}
