// Package address reads mail addresses (RFC 5321 §4.1.2, RFC 6531): those of structured fields, which must be one, and those
// that running text has somewhere.
package address

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// An Span is an address found in running text.
type Span struct {
	Addr       string
	Start, End int // with angle brackets, if it had them
	Angled     bool
}

// MaxLength of an address, in bytes: RFC 5321 §4.5.3.1 allows 64 before and 255 after the @.
const MaxLength = 320

const maxInLine = 100 // addresses

// Find finds the addresses in a line. It looks around each @, so its time is bounded by the line's length
// times MaxLength, and a line has few.
func Find(line string) []Span {
	var spans []Span
	for from := 0; len(spans) < maxInLine; {
		i := strings.IndexByte(line[from:], '@')
		if i < 0 {
			return spans
		}
		at := from + i
		start, end := localStart(line, from, at), domainEnd(line, at+1)
		from = max(end, at+1)
		if start == at || end == at+1 {
			continue
		}
		s := Span{Addr: line[start:end], Start: start, End: end}
		if start > 0 && line[start-1] == '<' && end < len(line) && line[end] == '>' {
			s.Start, s.End, s.Angled = start-1, end+1, true
		}
		spans = append(spans, s)
	}
	return spans
}

func localStart(line string, from, at int) int {
	lowest := max(from, at-MaxLength)
	if at > lowest && line[at-1] == '"' { // "quoted local part"@
		if open := strings.LastIndexByte(line[lowest:at-1], '"'); open >= 0 {
			return lowest + open
		}
	}
	start := at
	for start > lowest && isLocalByte(line[start-1]) {
		start--
	}
	if start > lowest && line[start-1] >= utf8.RuneSelf { // a UTF-8 local part, or CJK text that leans on the address
		wide := start
		for wide > lowest && (isLocalByte(line[wide-1]) || line[wide-1] >= utf8.RuneSelf) {
			wide--
		}
		if wide > 0 && line[wide-1] == '<' || start == at && (wide == 0 || line[wide-1] == ' ') {
			start = wide
		}
	}
	for start < at && strings.IndexByte("'`.=*|/{", line[start]) >= 0 && !strings.HasPrefix(line[start:], "=?") {
		start++
	}
	return start
}

func isLocalByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-/=?^_`{|}~.", c) >= 0
}

func domainEnd(line string, start int) int {
	end := start
	if end < len(line) && line[end] == '[' { // address literal
		if i := strings.IndexByte(line[end:min(len(line), end+64)], ']'); i > 0 {
			return end + i + 1
		}
		return start
	}
	for end < len(line) && end-start < 255 && IsDomainByte(line[end]) {
		end++
	}
	for end > start && (line[end-1] == '.' || line[end-1] == '-') {
		end--
	}
	if end < len(line) && line[end] >= utf8.RuneSelf { // an IDN label, when something delimits it
		wide := end
		for wide < len(line) && wide-start < 255 && (IsDomainByte(line[wide]) || line[wide] >= utf8.RuneSelf) {
			wide++
		}
		if wide < len(line) && line[wide] == '>' {
			return wide
		}
	}
	return end
}

// IsDomainByte says whether c may stand in a domain of ASCII letters; "_" is in host names that nobody checks.
func IsDomainByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_'
}

// InField lists the addresses of an address header; display names that look like one do not count when the
// real one stands in angle brackets.
func InField(v string) []string {
	spans := Find(v)
	angled := false
	for _, s := range spans {
		angled = angled || s.Angled
	}
	var all []string
	for _, s := range spans {
		if !angled || s.Angled || !strings.Contains(v[s.End:], "<") {
			all = append(all, s.Addr)
		}
	}
	return all
}

// Clean takes an address out of what a report wrote around it: angle brackets, "mailto:", a source route
// (RFC 5321 §4.1.1.3), a trailing dot.
func Clean(s string) string {
	s = strings.TrimSpace(s)
	if open := strings.LastIndexByte(s, '<'); open >= 0 {
		if end := strings.IndexByte(s[open:], '>'); end > 0 {
			s = s[open+1 : open+end]
		}
	}
	s = strings.Trim(s, "<> \t\"'(),;")
	if strings.Contains(s, "\"@") && !strings.HasPrefix(s, "\"") {
		s = "\"" + s
	}
	if len(s) > 7 && strings.EqualFold(s[:7], "mailto:") {
		s = s[7:]
	}
	if strings.HasPrefix(s, "@") {
		if colon := strings.IndexByte(s, ':'); colon > 0 {
			s = s[colon+1:]
		}
	}
	return Unquote(strings.TrimRight(s, "."))
}

// Unquote takes off quotes that a local part does not need (RFC 5321 §4.1.2), as log lines have it.
func Unquote(addr string) string {
	local, domain, found := strings.Cut(addr, "\"@")
	if !found || len(local) < 2 || local[0] != '"' {
		return addr
	}
	local = local[1:]
	for i := range len(local) {
		if !isLocalByte(local[i]) || local[i] == '.' && (i == 0 || i == len(local)-1 || local[i-1] == '.') {
			return addr
		}
	}
	return local + "@" + domain
}

// Valid says whether s can be an address at all; a report may name "undisclosed" or a program instead.
func Valid(s string) bool {
	at := strings.LastIndexByte(s, '@')
	for i := range len(s) {
		if s[i] < ' ' || s[i] == 0x7F {
			return false
		}
	}
	return at > 0 && at < len(s)-1 && len(s) <= MaxLength && !strings.ContainsAny(s[at:], " \t,;|/()<>") &&
		(s[0] == '"' || !strings.ContainsAny(s[:at], " \t<>()|,;@")) && utf8.ValidString(s)
}

// DecodeXtext undoes RFC 3461 §4 in an address that was copied from the ORCPT parameter as it stood. Only what xtext
// must escape is decoded: "jo+AB@example.org" is a subaddress.
func DecodeXtext(s string) string {
	if !strings.Contains(s, "+") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '+' && i+2 < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil && (v == '+' || v == '=' || v == '@' && !strings.Contains(s, "@")) {
				b.WriteByte(byte(v))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
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

// Same compares without regard to case, and to the dot that ends a fully qualified domain.
func Same(a, b string) bool {
	return strings.EqualFold(strings.TrimSuffix(a, "."), strings.TrimSuffix(b, "."))
}

// SameDomain compares the domains of two addresses.
func SameDomain(a, b string) bool {
	return Same(a[strings.LastIndexByte(a, '@'):], b[strings.LastIndexByte(b, '@'):])
}
