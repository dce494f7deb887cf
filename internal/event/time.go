package event

import (
	"net/mail"
	"strings"
	"time"
)

// MailDate reads the date of a header field (RFC 5322 §3.3); white space in it may be folded, a comment may follow.
func MailDate(field string) (time.Time, error) {
	date, _, _ := strings.Cut(field, "(")
	date = strings.Join(strings.Fields(date), " ")
	if t, err := time.Parse("Mon, _2 Jan 2006 15:04:05 -0700", date); err == nil { // what nearly all write
		return t, nil
	}
	return mail.ParseDate(date)
}

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
