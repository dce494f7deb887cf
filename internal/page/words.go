package page

import (
	"html/template"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"bouncefeed/internal/event"
	"bouncefeed/internal/report"
	"bouncefeed/internal/text"
)

// words are the templates' functions.
var words = template.FuncMap{
	"bytes":  Size,
	"moment": func(t time.Time) string { return t.UTC().Format("Mon 2 Jan 15:04") },
	"plural": func(n int, what string) string { return report.Plural(uint64(n), what) },
	"short":  short,
}

// short is at most a few lines.
func short(s string) string {
	if cut := text.Cut(s, 400); cut != s {
		return cut + "…"
	}
	return s
}

func itoa(n int) string { return strconv.Itoa(n) }

// sentence begins with a capital letter and ends with a stop.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

// Size is a number of bytes in a unit that fits.
func Size(n int64) string {
	switch {
	case n >= 1<<30:
		return strconv.FormatFloat(float64(n)/(1<<30), 'f', 1, 64) + " GiB"
	case n >= 1<<20:
		return strconv.FormatFloat(float64(n)/(1<<20), 'f', 1, 64) + " MiB"
	}
	return strconv.FormatInt((n+1023)/1024, 10) + " KiB"
}

// means is what a reason says, for who does not know the words. A test holds that each has its meaning.
var means = map[event.Reason]string{
	event.UserUnknown:       "nobody has this mailbox",
	event.DomainUnknown:     "the domain does not exist, or has no mail server",
	event.NullMX:            "the domain says that it takes no mail",
	event.MailboxDisabled:   "the mailbox is closed or suspended",
	event.Moved:             "the mailbox has moved elsewhere",
	event.BadAddress:        "the address can't be one",
	event.MailboxFull:       "the mailbox is full",
	event.RecipientFiltered: "the recipient's own filter refuses it",
	event.MessageTooBig:     "the message is too big",
	event.Spam:              "the content was judged spam",
	event.Content:           "a virus, an attachment or a malformed message",
	event.Blocklisted:       "our address or domain is on a blocklist",
	event.AuthFailed:        "SPF, DKIM or DMARC does not hold",
	event.ReverseDNS:        "our host's name does not fit its address",
	event.SenderRejected:    "our envelope sender is refused",
	event.RelayDenied:       "that server does not take mail for the domain",
	event.Policy:            "the receiver's rules forbid it",
	event.Protocol:          "something is wrong with how the mail was sent",
	event.RateLimited:       "too many or too fast",
	event.Greylisted:        "strangers are asked to come again",
	event.Expired:           "put off until it expired",
	event.Network:           "no connection, or it broke",
	event.RoutingLoop:       "the mail goes round in circles",
	event.RemoteSystem:      "the other system has trouble of its own",
	event.TLS:               "no encrypted connection could be made",
	event.Undetermined:      "the reply tells nothing that is known",
}
