package maillog

import (
	"bytes"
	"strings"

	"bouncefeed/internal/address"
	"bouncefeed/internal/event"
	"bouncefeed/internal/text"
)

// What the fields of several mail servers' lines are made of.

// isFieldName knows "delay", "orig_to".
func isFieldName(b []byte) bool {
	for _, c := range b {
		if (c < 'a' || c > 'z') && c != '_' {
			return false
		}
	}
	return true
}

// withoutPort is "name[address]" of "name[address]:port".
func withoutPort(relay []byte) []byte {
	if i := bytes.LastIndexByte(relay, ']'); i >= 0 {
		return relay[:i+1]
	}
	return relay
}

// beforeBracket is the name of "name[address]:port", or the address where there is no name.
func beforeBracket(b []byte) []byte {
	if i := bytes.IndexByte(b, '['); i > 0 {
		return b[:i]
	}
	return bytes.Trim(withoutPort(b), "[]")
}

// decimal reads digits only; -1: there is something else, or nothing.
func decimal(b []byte) int {
	if len(b) == 0 || len(b) > 9 {
		return -1
	}
	n := 0
	for _, c := range b {
		if !text.IsDigit(c) {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// isBase62 says whether c is a digit of Exim's and Sendmail's ids: 0-9, A-Z, a-z.
func isBase62(c byte) bool { return text.IsDigit(c) || text.IsLetter(c) }

// plainAddressLength is the length of the mailbox (RFC 5321 §4.1.2) at the head of b; 0: there is none.
func plainAddressLength(b []byte) int {
	at := 0
	if len(b) > 0 && b[0] == '"' {
		at = address.QuotedLength(b[:min(len(b), address.MaxLength)])
	} else {
		for at < len(b) && isAddressByte[b[at]] {
			at++
		}
	}
	if at == 0 || at == len(b) || b[at] != '@' {
		return 0
	}
	from := at + 1
	for at = from; at < len(b) && (isAddressByte[b[at]] || b[at] == '[' || b[at] == ']' || b[at] == ':' && at+1 < len(b) && b[at+1] != ' '); at++ {
	}
	if at == from {
		return 0
	}
	return at
}

// isAddressByte holds the bytes of a dot-string (RFC 5321 §4.1.2, RFC 6531 §3.3).
var isAddressByte = func() (table [256]bool) {
	for c := range table {
		table[c] = c > ' ' && c != 0x7f && strings.IndexByte(`"(),:;<>@[\]`, byte(c)) < 0
	}
	return table
}()

// feedbackType is what an ARF report's type says (RFC 5965 §7.3, RFC 6591).
func feedbackType(s string) event.Type {
	switch strings.ToLower(s) {
	case "not-spam":
		return event.NotSpamReport
	case "auth-failure":
		return event.AuthFailureReport
	}
	return event.Complaint
}
