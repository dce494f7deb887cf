package address

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"bouncefeed/internal/event"
)

// MaxLogged is how long an address in a log may be, in bytes: RFC 5321 allows 64 + 1 + 255, mail servers more.
const MaxLogged = 512

// InAngles reads "<address>" and gives what stands behind it. A quoted local part (RFC 5321 §4.1.2) may hold anything,
// also ">". Where it holds what ends an address, or an address of its own, two readers may see two addresses: refused.
func InAngles(b []byte) (address, rest []byte, err error) {
	if len(b) < 2 || b[0] != '<' {
		return nil, nil, event.Refuse(event.WhyMalformed, "no address in angle brackets")
	}
	b = b[1:]
	local := 0
	if b[0] == '"' {
		if local = QuotedLength(b); local == 0 {
			return nil, nil, event.Refuse(event.WhyTwoReadings, "a quoted local part without its end")
		}
		if bytes.Contains(b[:local], []byte(">, ")) {
			return nil, nil, event.Refuse(event.WhyTwoReadings, "a local part that holds the end of an address")
		}
	}
	end := bytes.IndexByte(b[local:], '>')
	if end < 0 {
		return nil, nil, event.Refuse(event.WhyMalformed, "an address without its end")
	}
	address, rest = b[:local+end], b[local+end+1:]
	return address, rest, Check(address)
}

// QuotedLength is the length of the quoted string b begins with, if "@" or ">" follows it.
func QuotedLength(b []byte) int {
	for i := 1; i+1 < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			if b[i+1] == '@' || b[i+1] == '>' {
				return i + 1
			}
			return 0
		}
	}
	return 0
}

// Check refuses what a later reader could take for something else: control and format characters, and a local
// part that is a text with an address in it.
func Check(a []byte) error {
	plain := true
	for _, c := range a {
		if c <= ' ' || c >= 0x7f {
			plain = false
			break
		}
	}
	switch {
	case len(a) > MaxLogged:
		return event.Refuse(event.WhyTooLong, "an address of %d bytes", len(a))
	case plain:
		return nil
	case !utf8.Valid(a):
		return event.Refuse(event.WhyMalformed, "an address that is not UTF-8")
	case bytes.ContainsFunc(a, IsUnseen):
		return event.Refuse(event.WhyControlChars, "an address with control characters")
	case bytes.IndexByte(a, ' ') >= 0 && bytes.IndexByte(a, '@') != bytes.LastIndexByte(a, '@'):
		return event.Refuse(event.WhyTwoReadings, "an address inside a local part")
	}
	return nil
}

// IsUnseen knows controls, format characters (zero width, bidirectional), line and paragraph separators.
func IsUnseen(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
}

// CheckRecipient refuses what Check does, and a local part with what could be the rest of a line.
func CheckRecipient(a []byte) error {
	if bytes.IndexByte(a, ' ') >= 0 && bytes.ContainsAny(a, "<>") {
		return event.Refuse(event.WhyTwoReadings, "a local part that holds words in angle brackets")
	}
	return Check(a)
}
