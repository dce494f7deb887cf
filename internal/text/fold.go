package text

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Fold is s in lower case, Latin, Greek and Cyrillic letters without their accents, which many mail systems leave out,
// typographic quotes, dashes and blanks as the plain ones.
func Fold(s string) string {
	upper := false
	for i := range len(s) {
		if c := s[i]; c >= utf8.RuneSelf {
			return foldForeign(s)
		} else if 'A' <= c && c <= 'Z' {
			upper = true
		}
	}
	if upper {
		return strings.ToLower(s)
	}
	return s
}

// foldForeign is Fold of more than ASCII.
func foldForeign(s string) string {
	lower := strings.ToLower(s)
	at := strings.IndexFunc(lower, func(r rune) bool { return r >= utf8.RuneSelf })
	if at < 0 {
		return lower
	}
	var b strings.Builder
	b.Grow(len(lower))
	b.WriteString(lower[:at])
	for i, r := range lower[at:] {
		if r < utf8.RuneSelf {
			b.WriteByte(byte(r))
		} else {
			foldRune(&b, r, lower[at+i:])
		}
	}
	return b.String()
}

// foldRune writes r, with which rest begins.
func foldRune(b *strings.Builder, r rune, rest string) {
	if r >= 0x300 && r < 0x370 { // a combining accent
		return
	}
	if plain, known := Plain(r); known {
		b.WriteString(plain)
		return
	}
	if r < 0x530 || r >= 0x1E00 && r < 0x2000 {
		if base := norm.NFD.PropertiesString(rest).Decomposition(); len(base) > 0 {
			r, _ = utf8.DecodeRune(base)
		}
	}
	b.WriteRune(r)
}

// Plain is the ASCII spelling of a letter or mark that Unicode's decomposition leaves as it is; known is false for any
// other rune. A soft hyphen is spelt as nothing.
func Plain(r rune) (spelling string, known bool) {
	spelling, known = plain[r]
	return spelling, known
}

var plain = map[rune]string{
	'ß': "ss", 'ł': "l", 'ø': "o", 'đ': "d", 'æ': "ae", 'œ': "oe", 'ı': "i", 'ς': "σ",
	'‘': "'", '’': "'", '‚': "'", 'ʼ': "'", '′': "'", '“': `"`, '”': `"`, '„': `"`, '«': `"`, '»': `"`,
	'\u00a0': " ", '\u2009': " ", '\u202f': " ", '\u3000': " ", '‐': "-", '‑': "-", '–': "-", '—': "-", '\u00ad': "",
}

// FoldCollapse is s folded, each run of white space one blank and none at the ends, with end behind it.
func FoldCollapse(s, end string) string {
	var small [1 << 10]byte
	b := small[:0]
	if len(s)+len(end) > len(small) {
		b = make([]byte, 0, len(s)+len(end))
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= utf8.RuneSelf:
			return Collapse(Fold(s)) + end
		case c == ' ' || '\t' <= c && c <= '\r':
			if len(b) > 0 && b[len(b)-1] != ' ' {
				b = append(b, ' ')
			}
		default:
			b = append(b, Lower(c))
		}
	}
	if len(b) > 0 && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return string(append(b, end...))
}
