// Package text holds what every reader of logs, mails and replies does with words: cut them at a rune's border, make them
// fit to be stored and shown, compare them without regard to case and accents, match them with patterns. It imports
// nothing of the program.
package text

import (
	"strings"
	"unicode/utf8"
)

// Cut is the beginning of s, at most limit bytes, cut at a rune's border.
func Cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && s[limit]&0xC0 == 0x80 {
		limit--
	}
	return s[:limit]
}

// Tail is the end of s, at most limit bytes, without the runes that are cut through.
func Tail(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[len(s)-limit:], "")
}

// Tidy is what JSON and a database can carry of s: its first limit bytes as valid UTF-8, "?" for each control character
// and for each run of bytes that is none.
func Tidy(s string, limit int) string {
	s = Cut(s, limit)
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7F {
			return strings.Map(shown, strings.ToValidUTF8(s, "?"))
		}
	}
	return s
}

func shown(r rune) rune {
	if r < ' ' || r == 0x7F || r == utf8.RuneError {
		return '?'
	}
	return r
}

// Harmless is s for people's eyes: "?" for what steers a terminal or the direction of writing, or can't be seen. Line ends and
// tabs stay.
func Harmless(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
		case r < ' ' || r >= 0x7f && r < 0xa0,
			r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2060 && r <= 0x206f || r == 0x061c || r == 0xfeff:
			return '?'
		}
		return r
	}, s)
}

// Collapse makes one blank of each run of white space, and none of those at the ends.
func Collapse(s string) string { return strings.Join(strings.Fields(s), " ") }

// HasPrefixFold is strings.HasPrefix without regard to case.
func HasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// IndexFold is strings.Index without regard to case, for a word of ASCII in lower case.
func IndexFold(s, word string) int {
	small, large := word[0], strings.ToUpper(word[:1])[0]
	for at, nextSmall, nextLarge := 0, 0, 0; at+len(word) <= len(s); at++ {
		nextSmall, nextLarge = nextByte(s, small, at, nextSmall), nextByte(s, large, at, nextLarge)
		if at = min(nextSmall, nextLarge); HasPrefixFold(s[at:], word) {
			return at
		}
	}
	return -1
}

// nextByte is where c stands in s from at on, len(s) if nowhere; known was so for an earlier place.
func nextByte(s string, c byte, at, known int) int {
	if known > at || known == at && known < len(s) && s[known] == c {
		return known
	}
	if i := strings.IndexByte(s[at:], c); i >= 0 {
		return at + i
	}
	return len(s)
}

// IsDigit says whether c is an ASCII digit.
func IsDigit(c byte) bool { return '0' <= c && c <= '9' }

// IsLetter says whether c is an ASCII letter.
func IsLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// Skip is s without the bytes of some that it begins with: strings.TrimLeft for ASCII, which is faster where there are few.
func Skip(s, some string) string {
	for len(s) > 0 && strings.IndexByte(some, s[0]) >= 0 {
		s = s[1:]
	}
	return s
}

// Lower is an ASCII letter in lower case, and any other byte as it is.
func Lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}

// Digits is how many ASCII digits s begins with.
func Digits(s string) int {
	n := 0
	for n < len(s) && IsDigit(s[n]) {
		n++
	}
	return n
}
