package parsers

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"bouncefeed/internal/event"
	"bouncefeed/internal/text"
)

// What the fields of several mail servers' lines are made of.

const maxAddress = 512 // bytes; RFC 5321 allows 64 + 1 + 255, Postfix more

func isFieldName(b []byte) bool {
	for _, c := range b {
		if (c < 'a' || c > 'z') && c != '_' {
			return false
		}
	}
	return true
}

// scanAngle reads "<address>" and gives what stands behind it. A quoted local part (RFC 5321 §4.1.2) may hold anything,
// also ">". Where it holds what ends an address, or an address of its own, two readers may see two addresses: refused.
func scanAngle(b []byte) (address, rest []byte, err error) {
	if len(b) < 2 || b[0] != '<' {
		return nil, nil, event.Refuse(WhyMalformed, "no address in angle brackets")
	}
	b = b[1:]
	local := 0
	if b[0] == '"' {
		if local = quotedLength(b); local == 0 {
			return nil, nil, event.Refuse(WhyTwoReadings, "a quoted local part without its end")
		}
		if bytes.Contains(b[:local], []byte(">, ")) {
			return nil, nil, event.Refuse(WhyTwoReadings, "a local part that holds the end of an address")
		}
	}
	end := bytes.IndexByte(b[local:], '>')
	if end < 0 {
		return nil, nil, event.Refuse(WhyMalformed, "an address without its end")
	}
	address, rest = b[:local+end], b[local+end+1:]
	return address, rest, checkAddress(address)
}

// quotedLength is the length of the quoted string b begins with, if "@" or ">" follows it.
func quotedLength(b []byte) int {
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

// checkAddress refuses what a later reader could take for something else: control and format characters, and a local
// part that is a text with an address in it.
func checkAddress(a []byte) error {
	plain := true
	for _, c := range a {
		if c <= ' ' || c >= 0x7f {
			plain = false
			break
		}
	}
	switch {
	case len(a) > maxAddress:
		return event.Refuse(WhyTooLong, "an address of %d bytes", len(a))
	case plain:
		return nil
	case !utf8.Valid(a):
		return event.Refuse(WhyMalformed, "an address that is not UTF-8")
	case bytes.ContainsFunc(a, isUnseen):
		return event.Refuse(WhyControlChars, "an address with control characters")
	case bytes.IndexByte(a, ' ') >= 0 && bytes.IndexByte(a, '@') != bytes.LastIndexByte(a, '@'):
		return event.Refuse(WhyTwoReadings, "an address inside a local part")
	}
	return nil
}

// isUnseen knows controls, format characters (zero width, bidirectional), line and paragraph separators.
func isUnseen(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
}

func isNumber(b []byte) bool {
	dots := 0
	for _, c := range b {
		if c == '.' {
			dots++
		} else if !text.IsDigit(c) {
			return false
		}
	}
	return len(b) > 0 && dots <= 1 && len(b) < 16
}

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

// checkRecipient refuses what checkAddress does, and a local part with what could be the rest of a line.
func checkRecipient(a []byte) error {
	if bytes.IndexByte(a, ' ') >= 0 && bytes.ContainsAny(a, "<>") {
		return event.Refuse(WhyTwoReadings, "a local part that holds words in angle brackets")
	}
	return checkAddress(a)
}
