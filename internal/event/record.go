package event

import (
	"net/netip"
	"net/textproto"
	"time"
)

// Record is one raw thing read: a log line, a message, a webhook request.
type Record struct {
	Route     string    // which of an input's parsers reads it, where it has several; empty: its only one
	Time      time.Time // when it was read or, if the source knows, when it happened
	Body      []byte    // valid until Commit returns
	Truncated bool      // the source holds more of it than Body

	Request *Request // a webhook request's; nil of anything else
	Syslog  *Syslog  // of a log message whose header does not stand in Body

	File string // the message's own, where it was found among others (in a Maildir)
	Line int    // where it begins in File, from 1 (its From_ line in an mbox); 0 unknown
}

// Request is what a parser may know of a webhook request beside its body. No login is among it.
type Request struct {
	Method string
	Target string     // path and query as sent
	Remote netip.Addr // the sender's; behind proxies that are trusted, what they say of it. Invalid: a unix socket's
	// Header are the fields by their canonical names, Host among them, the values of several of one name joined by ", ".
	Header map[string]string
}

// Field is a header field's value, whatever the case of name; "" if there is none, or r is nil.
func (r *Request) Field(name string) string {
	if r == nil {
		return ""
	}
	return r.Header[textproto.CanonicalMIMEHeaderKey(name)]
}

// Syslog is the header of a log message, as the journal keeps it apart.
type Syslog struct {
	Tag  string // the program: SYSLOG_IDENTIFIER
	Host string
	PID  string
}
