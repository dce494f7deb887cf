package maillog

import (
	"bytes"

	"bouncefeed/internal/text"
)

// What the fields of several mail servers' lines are made of.

func isFieldName(b []byte) bool {
	for _, c := range b {
		if (c < 'a' || c > 'z') && c != '_' {
			return false
		}
	}
	return true
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
