package address

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Span is an address found in running text.
type Span struct {
	Addr       string
	Start, End int // with angle brackets, if it had them
	Angled     bool
}

const maxInLine = 100 // addresses

// Find finds the addresses in a line of running text. What stands in angle brackets and is a mailbox is one, whatever is in it;
// elsewhere it looks around each @, and guesses. Its time is bounded by the line's length times MaxLength.
func Find(line string) []Span {
	var spans []Span
	for from := 0; len(spans) < maxInLine; {
		i := strings.IndexByte(line[from:], '@')
		if i < 0 {
			return spans
		}
		s, ok := angled(line, from, from+i)
		if !ok {
			s, ok = around(line, from, from+i)
		}
		if from = max(s.End, from+i+1); ok {
			spans = append(spans, s)
		}
	}
	return spans
}

// angled reads a mailbox in angle brackets that begins before the @.
func angled(line string, from, at int) (Span, bool) {
	lowest := max(from, at-MaxLength)
	for open := lowest; ; open++ {
		i := strings.IndexByte(line[open:at], '<')
		if i < 0 {
			return Span{}, false
		}
		open += i
		rest := line[open:min(len(line), open+2*MaxLength)]
		if end := angleEnd(rest); end > at-open {
			if m, err := Parse(rest[1:end]); err == nil {
				return Span{m.String(), open, open + end + 1, true}, true
			}
		}
	}
}

// around reads as much before and behind the @ as an address may have.
func around(line string, from, at int) (Span, bool) {
	start := localStart(line, from, at)
	end, clear := domainEnd(line, at+1)
	if start == at || end == at+1 || !clear {
		return Span{End: end}, false
	}
	start = undecorated(line, start, at, end)
	s := Span{Addr: line[start:end], Start: start, End: end}
	if m, err := Parse(s.Addr); err == nil {
		s.Addr = m.String()
	}
	if start > 0 && line[start-1] == '<' && end < len(line) && line[end] == '>' {
		s.Start, s.End, s.Angled = start-1, end+1, true
	}
	return s, start < at
}

func localStart(line string, from, at int) int {
	lowest := max(from, at-MaxLength)
	if at > lowest && line[at-1] == '"' { // "quoted local part"@
		for open := lowest; open < at-1; open++ {
			if line[open] == '"' && quotedLength(line[open:]) == at-open {
				return open
			}
		}
	}
	start := at
	for start > lowest {
		r, n := utf8.DecodeLastRuneInString(line[lowest:start])
		if r < utf8.RuneSelf && !isLocalByte(byte(r)) || r >= utf8.RuneSelf && (!isLetter(r) || isUnspaced(r)) {
			break
		}
		start -= n
	}
	if start > lowest && line[start-1] >= utf8.RuneSelf && start == at { // a local part in a script without blanks
		wide := start
		for wide > lowest && (isLocalByte(line[wide-1]) || line[wide-1] >= utf8.RuneSelf) {
			wide--
		}
		if wide == 0 || line[wide-1] == ' ' {
			start = wide
		}
	}
	return start
}

// undecorated is start behind what only decorates an address: dots, and marks that stand on both sides of it.
func undecorated(line string, start, at, end int) int {
	for start < at {
		switch i := strings.IndexByte("'`*|/{=", line[start]); {
		case line[start] == '.':
		case i >= 0 && end < len(line) && line[end] == "'`*|/}="[i]:
		default:
			return start
		}
		start++
	}
	return start
}

// isLetter says whether r may stand in a word.
func isLetter(r rune) bool { return unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsDigit(r) }

// isUnspaced says whether r is of a script that puts no blanks between words: text may lean on an address on either side.
func isUnspaced(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar) || r == 'ー'
}

func isLocalByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-/=?^_`{|}~.", c) >= 0
}

// domainEnd is where the domain ends that begins at start. clear is false where it may go on in letters that may as well be the
// words behind it.
func domainEnd(line string, start int) (end int, clear bool) {
	end = start
	if end < len(line) && line[end] == '[' { // address literal
		if i := strings.IndexByte(line[end:min(len(line), end+64)], ']'); i > 0 {
			return end + i + 1, true
		}
		return start, true
	}
	limit := min(len(line), start+255)
	unspaced := -1
	for end < limit {
		r, n := utf8.DecodeRuneInString(line[end:])
		if r < utf8.RuneSelf && !IsDomainByte(byte(r)) || r >= utf8.RuneSelf && (!isLetter(r) || r == utf8.RuneError) {
			break
		}
		if unspaced < 0 && isUnspaced(r) {
			unspaced = end
		}
		end += n
	}
	for end > start && (line[end-1] == '.' || line[end-1] == '-') {
		end--
	}
	if unspaced < 0 || unspaced == start {
		return end, true
	}
	if strings.IndexByte(line[unspaced:end], '.') >= 0 {
		return end, false
	}
	for unspaced > start && (line[unspaced-1] == '.' || line[unspaced-1] == '-') {
		unspaced--
	}
	return unspaced, true
}

// IsDomainByte says whether c may stand in a domain of ASCII letters; "_" is in host names that nobody checks.
func IsDomainByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_'
}

// DecodeUTF8 undoes the escapes of utf-8-addr-xtext and utf-8-addr-unitext (RFC 6533 §3): \x{1F408}.
func DecodeUTF8(s string) string {
	if len(s) > 4*MaxLength {
		return s
	}
	for from := 0; ; {
		open := strings.Index(s[from:], `\x{`)
		if open < 0 {
			return s
		}
		open += from
		end := strings.IndexByte(s[open:], '}')
		if end < 0 {
			return s
		}
		v, err := strconv.ParseUint(s[open+3:open+end], 16, 32)
		from = open + 1
		if err == nil && v > ' ' && utf8.ValidRune(rune(v)) {
			s = s[:open] + string(rune(v)) + s[open+end+1:]
		}
	}
}
