package event

import (
	"errors"
	"net/mail"
	"strings"
	"time"
)

// MailDate reads the date of a header field (RFC 5322 §3.3) in any time zone; white space in it may be folded, a comment may follow.
func MailDate(field string) (time.Time, error) {
	date, _, _ := strings.Cut(field, "(")
	date = strings.TrimSpace(date)
	if t, ok := plainDate(date); ok {
		return t, nil
	}
	if date == "" {
		return time.Time{}, errNoDate
	}
	date = strings.Join(strings.Fields(date), " ")
	if t, err := time.Parse("Mon, _2 Jan 2006 15:04:05 -0700", date); err == nil {
		return t, nil
	}
	return mail.ParseDate(date)
}

var errNoDate = errors.New("no date")

// plainDate reads what nearly all write, in UTC: "Sun, 22 Nov 2026 08:01:02 +0100", with or without the day's name.
func plainDate(s string) (time.Time, bool) {
	if s != "" && s[0] <= '9' {
		s = dayNames[:3] + ", " + s
	}
	if len(s) == len("Sun, 2 Nov 2026 08:01:02 +0100") {
		s = s[:5] + "0" + s[5:]
	}
	if len(s) != len(dateForm) {
		return time.Time{}, false
	}
	for i := range len(dateForm) {
		if digit := '0' <= s[i] && s[i] <= '9'; dateForm[i] == '0' && !digit || dateForm[i] != '0' && dateForm[i] != 'x' && dateForm[i] != s[i] {
			return time.Time{}, false
		}
	}
	number := func(at, end int) (n int) {
		for ; at < end; at++ {
			n = 10*n + int(s[at]-'0')
		}
		return n
	}
	month := strings.Index(monthNames, s[8:11])
	day, hour, minute, second := number(5, 7), number(17, 19), number(20, 22), number(23, 25)
	east, eastMinutes := number(27, 29), number(29, 31)
	if month%3 != 0 || strings.Index(dayNames, s[:3])%3 != 0 || hour > 23 || minute > 59 || second > 59 || east > 23 || eastMinutes > 59 {
		return time.Time{}, false
	}
	t := time.Date(number(12, 16), time.Month(month/3+1), day, hour, minute, second, 0, time.UTC)
	offset := time.Duration(60*east+eastMinutes) * time.Minute
	switch s[26] {
	case '+':
		offset = -offset
	case '-':
	default:
		return time.Time{}, false
	}
	return t.Add(offset), t.Day() == day
}

const (
	dateForm   = "xxx, 00 xxx 0000 00:00:00 x0000"
	dayNames   = "MonTueWedThuFriSatSun"
	monthNames = "JanFebMarAprMayJunJulAugSepOctNovDec"
)

// ahead is how far another machine's clock may be before ours.
const ahead = 24 * time.Hour

// BelieveTime is t, what somebody else's clock said, in UTC. Where it can't be, before 1990 or long after the time when it
// was read, it is that time; a zero one bounds nothing but the year, for JSON carries four digits of it.
func BelieveTime(t, read time.Time) time.Time {
	if t = t.UTC(); t.Year() < 1990 || t.Year() > 9999 || !read.IsZero() && t.After(read.Add(ahead)) {
		return read
	}
	return t
}
