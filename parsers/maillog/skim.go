package maillog

import (
	"bytes"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/internal/text"
)

// Nearly every line of a log begins as one of the last lines did, up to the seconds and behind them. A skimmer compares
// with these instead of splitting the header: what differs, by whatever, is the parser's to read.

// A skimHeader is the header of a line as far as the program's name: "2026-11-22T06:47:", two digits, ".581177",
// "+00:00 mail ", or "Nov 22 06:47:", two digits, " mail ".
type skimHeader struct {
	minute   []byte // up to the seconds
	fraction int    // how long it is, with its point; 0: there is none
	point    byte
	rest     []byte // behind it
	stamp    int    // where the time ends
	tagAt    int    // where all ends
	base     int64  // when the minute began, Unix seconds
	read     int    // the year of reading, on which that may depend
	year     int    // as in a syslogLine
	host     []byte // as in a syslogLine
}

// skimHeaders are those of the last lines, the last one first: several hosts may share a log.
type skimHeaders [4]skimHeader

const (
	maxSkimmed  = 4 << 10 // of one line, bytes
	maxFraction = 10
	shortestTag = 8 // of a tag and what is behind it, bytes
)

// find gives the header that b begins with, nil if it is none that is known.
func (h *skimHeaders) find(b []byte, read int) *skimHeader {
	if h[0].begins(b, read) {
		return &h[0]
	}
	for i := 1; i < len(h); i++ {
		if h[i].begins(b, read) {
			h[0], h[i] = h[i], h[0]
			return &h[0]
		}
	}
	return nil
}

func (h *skimHeader) begins(b []byte, read int) bool {
	n, at := len(h.minute), h.tagAt-len(h.rest)
	if len(b) < h.tagAt+shortestTag || n == 0 || string(b[:n]) != string(h.minute) || string(b[at:h.tagAt]) != string(h.rest) ||
		!text.IsDigit(b[n]) || b[n] > '5' || !text.IsDigit(b[n+1]) || h.read != read {
		return false
	}
	if h.fraction > 0 {
		if b[n+2] != h.point {
			return false
		}
		for _, c := range b[n+3 : at] {
			if !text.IsDigit(c) {
				return false
			}
		}
	}
	return true
}

// time is the stamp's of b, which begins with h.
func (h *skimHeader) time(b []byte) time.Time {
	n := len(h.minute)
	nanos, _ := fraction(b[n+2 : n+2+h.fraction])
	return time.Unix(h.base+int64(b[n]-'0')*10+int64(b[n+1]-'0'), nanos).UTC()
}

// learn notes the header of b in place of the oldest. False: it has none that others could be compared with.
func (h *skimHeaders) learn(b []byte, read time.Time, clock *syslogClock) bool {
	var l syslogLine
	if len(b) == 0 || b[0] == 0 || b[0] == '<' || !splitSyslog(&event.Record{Time: read, Body: b}, &l) || len(l.tag) == 0 {
		return false
	}
	n := 16
	if !text.IsDigit(b[0]) {
		n = 12
	}
	n++
	stamp, tagAt := len(l.stamp), cap(b)-cap(l.tag)
	if stamp < n+2 || &b[0] != &l.stamp[0] || b[n-1] != ':' || !text.IsDigit(b[n]) || b[n] > '5' || !text.IsDigit(b[n+1]) ||
		hasSecondStamp(b[stamp+1:]) {
		return false
	}
	at, point := n+2, byte(0)
	if b[at] == '.' || b[at] == ',' {
		point = b[at]
		for at++; at < stamp && text.IsDigit(b[at]); at++ {
		}
	}
	now, ok := clock.time(&l, read)
	if !ok || at-n-2 > maxFraction || text.IsDigit(b[at]) || now.Year() < 2 || now.Year() > 9997 {
		return false
	}
	copy(h[1:], h[:len(h)-1])
	h[0] = skimHeader{
		minute: bytes.Clone(b[:n]), fraction: at - n - 2, point: point, rest: bytes.Clone(b[at:tagAt]), stamp: stamp, tagAt: tagAt,
		base: now.Unix() - int64(decimal(b[n:n+2])), read: read.Year(), year: l.year, host: bytes.Clone(l.host),
	}
	return true
}

const secondStampShows = 8 // bytes

// hasSecondStamp says whether what stands behind a stamp may begin with another one (see
// withoutSecondStamp). Its first bytes decide.
func hasSecondStamp(b []byte) bool {
	if len(b) < secondStampShows {
		return true
	}
	return b[3] == ' ' && b[6] == ' ' || b[4] == '-' && b[7] == '-' && text.IsDigit(b[0]) || bytes.HasPrefix(b, []byte("stdout ")) || bytes.HasPrefix(b, []byte("stderr "))
}

// skimTag reads "postfix/smtp[828]: " and gives the tag and what stands behind it; nil: it is for splitSyslog.
func skimTag(b []byte) (tag, message []byte) {
	n := 0
	for n < len(b) && b[n] != ' ' && b[n] != '[' {
		n++
	}
	end := n
	for end < len(b) && b[end] != ' ' {
		end++
	}
	if end < 2 || end+1 >= len(b) || b[end-1] != ':' || b[end+1] == '[' {
		return nil, nil
	}
	return b[:min(n, end-1)], b[end+1:]
}
