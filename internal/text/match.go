package text

import "strings"

// Match says whether s has the form of pattern, in which "*" stands for any text, also none. Case is ignored.
func Match(pattern, s string) bool {
	head, rest, star := strings.Cut(strings.ToLower(pattern), "*")
	s, found := strings.CutPrefix(strings.ToLower(s), head)
	if !found || !star {
		return found && s == ""
	}
	for {
		part, next, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(s, part)
		}
		at := strings.Index(s, part)
		if at < 0 {
			return false
		}
		s, rest = s[at+len(part):], next
	}
}
