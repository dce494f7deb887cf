package address

import (
	"strings"

	"bouncefeed/internal/text"
)

// Field reads the value of a field that names one mailbox: as it is, or as a path in angle brackets (RFC 5321 §4.1.2, its
// source route ignored), with nothing but comments behind (RFC 5322 §3.2.2). "mailto:" may stand before it.
//
//	jo@example.org   <jo@example.org>   <@relay.example:jo@example.org>   jo@example.org (over quota)
func Field(value string) (m Mailbox, ok bool) {
	value = strings.TrimSpace(value)
	if text.HasPrefixFold(value, "mailto:") {
		value = value[len("mailto:"):]
	}
	mailbox, rest := value, ""
	if strings.HasPrefix(value, "<") {
		end := angleEnd(value)
		if end < 0 {
			return Mailbox{}, false
		}
		mailbox, rest = withoutRoute(value[1:end]), value[end+1:]
	} else if n := pathLength(value); n < len(value) {
		mailbox, rest = value[:n], value[n:]
	}
	if !isComment(rest) {
		return Mailbox{}, false
	}
	m, err := Parse(mailbox)
	return m, err == nil
}

// Of is the one mailbox that a field's value names, perhaps behind a display name, as it is shown; "" if it names none.
func Of(value string) string {
	if m, ok := Field(value); ok {
		return m.String()
	}
	if all := List(value); len(all) == 1 && !strings.ContainsAny(value, ",;") {
		return all[0]
	}
	return ""
}

// angleEnd is where the path ends that s begins with, at its ">"; -1: nowhere.
func angleEnd(s string) int {
	n := 1
	if route := len(s[1:]) - len(withoutRoute(s[1:])); route > 0 {
		n += route
	}
	if n < len(s) && s[n] == '"' {
		q := quotedLength(s[n:])
		if q == 0 {
			return -1
		}
		n += q
	}
	if i := strings.IndexByte(s[n:], '>'); i >= 0 {
		return n + i
	}
	return -1
}

// withoutRoute takes off a source route, "@relay.example,@other.example:".
func withoutRoute(path string) string {
	if !strings.HasPrefix(path, "@") {
		return path
	}
	if i := strings.IndexByte(path, ':'); i >= 0 && !strings.ContainsAny(path[:i], `"<> `) {
		return path[i+1:]
	}
	return path
}

// pathLength is how long a mailbox at the head of s is that white space ends.
func pathLength(s string) int {
	n := 0
	if strings.HasPrefix(s, `"`) {
		n = quotedLength(s)
	}
	if i := strings.IndexAny(s[n:], " \t("); i >= 0 {
		return n + i
	}
	return len(s)
}

// isComment says whether s is nothing, or one comment in parentheses.
func isComment(s string) bool {
	s = strings.TrimSpace(s)
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '(':
			depth++
		case ')':
			depth--
		case '\\':
			i++
		}
		if depth <= 0 {
			return depth == 0 && i == len(s)-1 && i > 0
		}
	}
	return s == ""
}

// List reads a field that holds mailboxes with commas between them, as X-Failed-Recipients and To do (RFC 5322 §3.4):
// display names, groups and comments are passed over. What is no mailbox is left out.
func List(value string) []string {
	var all []string
	for value != "" {
		var item string
		item, value = cutItem(value)
		if m, ok := inItem(item); ok {
			all = append(all, m.String())
		}
	}
	return all
}

// cutItem cuts s behind the comma, or a group's colon or semicolon, that stands outside of quotes, brackets and comments.
func cutItem(s string) (item, rest string) {
	angle, depth := false, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' && depth == 0:
			n := quotedLength(s[i:])
			if n == 0 {
				return s, ""
			}
			i += n - 1
		case c == '\\':
			i++
		case c == '(' && !angle:
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth > 0:
		case c == '<' || c == '[':
			angle = true
		case c == '>' || c == ']':
			angle = false
		case (c == ',' || c == ';') && !angle:
			return s[:i], s[i+1:]
		case c == ':' && !angle && !strings.EqualFold(strings.TrimSpace(s[:i]), "mailto"):
			return "", s[i+1:]
		}
	}
	return s, ""
}

// inItem reads one of a list: "Jo <jo@example.org>", "jo@example.org (Jo)".
func inItem(item string) (Mailbox, bool) {
	if m, ok := Field(item); ok {
		return m, true
	}
	depth := 0 // of comments
	for i := 0; i < len(item); i++ {
		switch c := item[i]; {
		case c == '\\':
			i++
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth > 0:
		case c == '"':
			n := quotedLength(item[i:])
			if n == 0 {
				return Mailbox{}, false
			}
			i += n - 1
		case c == '<':
			return Field(item[i:])
		}
	}
	return Mailbox{}, false
}

// DecodeXtext undoes RFC 3461 §4 in an address that was copied from the ORCPT parameter as it stood. Only what xtext must
// encode is decoded, in upper case as it must be: "jo+AB@example.org" and "jo+2b@example.org" are subaddresses.
func DecodeXtext(s string) string {
	if strings.IndexByte(s, '+') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '+' && i+2 < len(s) {
			if c, ok := hexByte(s[i+1], s[i+2]); ok && (c <= ' ' || c >= 0x7f || c == '+' || c == '=') {
				b = append(b, c)
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

func hexByte(high, low byte) (byte, bool) {
	const digits = "0123456789ABCDEF"
	h, l := strings.IndexByte(digits, high), strings.IndexByte(digits, low)
	return byte(h<<4 | l), h >= 0 && l >= 0
}
