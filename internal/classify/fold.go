package classify

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"bouncefeed/internal/smtp"
	"bouncefeed/internal/text"

	"golang.org/x/text/unicode/norm"
)

// fold appends text as the rules compare it: lower case, without accents, quotes and apostrophes; runs of white space,
// hyphens and underscores as one space; a mail address as "@", so that nobody's name decides anything; without
// the reply code and status that begin every line of a multi-line reply. Invalid UTF-8 becomes "?".
func fold(out []byte, words string, code int) []byte {
	word := len(out)  // where the atom that might be a local part begins
	quote := len(out) // where the last quoted string began
	for i := 0; i < len(words); {
		c := words[i]
		if plain := plainAtom[c]; plain != 0 {
			out = append(out, plain)
			i++
			continue
		}
		switch {
		case c >= utf8.RuneSelf:
			n := foreign(words[i:])
			out = foldForeign(out, words[i:i+n])
			i += n
			continue
		case c == '@':
			if n := domainLength(words[i+1:]); n > 0 && len(out) > word {
				out, i = append(closeAddress(out[:word], words, &n, i), '@'), i+1+n
				word = len(out)
				continue
			}
			out = append(out, '@')
		case c == '"' && strings.HasPrefix(words[i+1:], "@"):
			word = quote
			i++
			continue
		case c == '"':
			quote = len(out)
		case c == '\'' || c == '`' || c == 0:
		case c <= ' ' || c == '_' || c == '-' || c == 0x7f:
			if c <= ' ' {
				i += repeatedHead(words[i+1:], code)
			}
			if len(out) == 0 || out[len(out)-1] != ' ' {
				out = append(out, ' ')
			}
			if c == '_' || c == '-' {
				i++
				continue
			}
		default:
			out = append(out, c)
		}
		if !isAtom(c) {
			word = len(out)
		}
		i++
	}
	return out
}

// closeAddress takes the bracket before an address off out and counts the one behind it into n.
func closeAddress(out []byte, words string, n *int, at int) []byte {
	end := at + 1 + *n
	if len(out) == 0 || end >= len(words) {
		return out
	}
	switch pair := string([]byte{out[len(out)-1], words[end]}); pair {
	case "<>", "()", "[]":
		*n++
		return out[:len(out)-1]
	}
	return out
}

// plainAtom has what fold makes of the bytes of an atom that stand for themselves, 0 for all others.
var plainAtom = func() (plain [256]byte) {
	for c := range utf8.RuneSelf {
		if c := byte(c); isAtom(c) && strings.IndexByte("-_'`", c) < 0 {
			plain[c] = text.Lower(c)
		}
	}
	return plain
}()

// isAtom says whether c may stand in an unquoted local part (RFC 5322 §3.2.3), without the "/" of URLs.
func isAtom(c byte) bool {
	return text.IsLetter(c) || text.IsDigit(c) || c >= utf8.RuneSelf || strings.IndexByte("!#$%&*+-=?^_`{|}~.'", c) >= 0
}

// domainLength is how many bytes at the start of s are a domain.
func domainLength(s string) int {
	n := 0
	for n < len(s) && (text.IsLetter(s[n]) || text.IsDigit(s[n]) || s[n] == '.' || s[n] == '-' || s[n] >= utf8.RuneSelf) {
		n++
	}
	return len(strings.TrimRight(s[:n], ".-"))
}

// repeatedHead is the length of the "550-5.1.1 " that begins a further line of the same reply.
func repeatedHead(s string, code int) int {
	if code == 0 || len(s) < 4 || !text.IsDigit(s[0]) || !text.IsDigit(s[1]) || !text.IsDigit(s[2]) || s[3] != '-' && s[3] != ' ' {
		return 0
	}
	if int(s[0]-'0')*100+int(s[1]-'0')*10+int(s[2]-'0') != code {
		return 0
	}
	n := 4
	if _, m := smtp.ParseStatus(s[n:]); m > 0 {
		n += m
	}
	return n
}

// foreign is the length of the run at the start of s that is not ASCII.
func foreign(s string) int {
	n := 0
	for n < len(s) && s[n] >= utf8.RuneSelf {
		n++
	}
	return n
}

func foldForeign(out []byte, s string) []byte {
	var it norm.Iter
	it.InitString(norm.NFKD, s)
	for !it.Done() {
		for _, r := range string(it.Next()) {
			r = unicode.ToLower(r)
			if plain, known := text.Plain(r); known {
				out = foldPlain(out, plain)
			} else if r == utf8.RuneError {
				out = append(out, '?')
			} else if unicode.IsSpace(r) {
				out = append(out, ' ')
			} else if !unicode.In(r, unicode.Mn, unicode.Cf, unicode.Cc) {
				out = utf8.AppendRune(out, r)
			}
		}
	}
	return out
}

// foldPlain appends a letter's spelling; quotes go and a hyphen is a space, as where they are ASCII.
func foldPlain(out []byte, spelling string) []byte {
	switch spelling {
	case "'", `"`:
		return out
	case "-":
		return append(out, ' ')
	}
	return append(out, spelling...)
}

// foldPhrase folds a piece of a rule's phrase the same way. Most are written as they are compared.
func foldPhrase(s string) string {
	for i := range len(s) {
		if c := s[i]; plainAtom[c] != c && (c != ' ' || i > 0 && s[i-1] == ' ') || c == 0 {
			return string(fold(make([]byte, 0, len(s)), s, 0))
		}
	}
	return s
}
