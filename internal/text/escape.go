package text

import (
	"strings"
	"unicode/utf8"
)

// Unescape undoes how MTAs log replies of several lines and bytes that are not ASCII: `\n`, `\r` and `\t` become a
// space, `\303\244` these two bytes, whatever they are.
//
//	550-5.1.1 No such user\n550 Bo\303\256te inconnue                (Exim, Sendmail)
func Unescape(s string) string { return unescape(s, decodeBytes) }

// UnescapeLetters is Unescape for what is shown and stored: numbers that are no letters in UTF-8 stay as they were
// written. Nothing is lost to who unescapes the result: that gives what Unescape gives of s.
func UnescapeLetters(s string) string { return unescape(s, decodeLetters) }

// unescape takes octal numbers off s with decode, which appends what they stand for and says how much of s that was.
func unescape(s string, decode func(out []byte, s string) ([]byte, int)) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		if s[i] == '\\' && i+1 < len(s) {
			if c := s[i+1]; c == 'n' || c == 'r' || c == 't' {
				out = append(out, ' ')
				i += 2
				continue
			}
			var n int
			if out, n = decode(out, s[i:]); n > 0 {
				i += n
				continue
			}
		}
		out = append(out, s[i])
		i++
	}
	return string(out)
}

func decodeBytes(out []byte, s string) ([]byte, int) {
	c, ok := octal(s)
	if !ok {
		return out, 0
	}
	return append(out, c), len(`\303`)
}

func decodeLetters(out []byte, s string) ([]byte, int) {
	from, n := len(out), 0
	for c, ok := octal(s); ok && c >= utf8.RuneSelf; c, ok = octal(s[n:]) {
		out = append(out, c)
		n += len(`\303`)
	}
	if !utf8.Valid(out[from:]) {
		out = append(out[:from], s[:n]...)
	}
	return out, n
}

// octal reads the byte `\303`.
func octal(s string) (byte, bool) {
	if len(s) < 4 || s[0] != '\\' || s[1] > '3' {
		return 0, false
	}
	var c byte
	for _, digit := range []byte(s[1:4]) {
		if digit < '0' || digit > '7' {
			return 0, false
		}
		c = c<<3 | (digit - '0')
	}
	return c, true
}
