package smtp

import (
	"strings"

	"bouncefeed/internal/text"
)

// Status is an enhanced status code: class, subject, detail. The zero value is unknown.
type Status [3]int

// Known says whether s is a status at all.
func (s Status) Known() bool { return s[0] != 0 }

// Vague says whether s tells the class only, x.0.0: a server that has no better word, or an MTA that saw none.
func (s Status) Vague() bool { return s[1] == 0 && s[2] == 0 }

// ParseStatus reads the status that s begins with and gives its length; 0: there is none.
func ParseStatus(s string) (st Status, n int) {
	n = StatusLength(s)
	part := 0
	for i := range n {
		if s[i] == '.' {
			part++
		} else {
			st[part] = st[part]*10 + int(s[i]-'0')
		}
	}
	return st, n
}

// StatusLength is the length of the enhanced status code that s begins with: class 2, 4 or 5, subject and detail of one to
// three digits, and no letter, digit or further number behind it. 0: there is none.
func StatusLength[S ~string | ~[]byte](s S) int {
	if len(s) < 5 || s[0] != '2' && s[0] != '4' && s[0] != '5' || s[1] != '.' {
		return 0
	}
	i := 2
	for part := range 2 {
		from := i
		for i < len(s) && i-from < 3 && text.IsDigit(s[i]) {
			i++
		}
		if i == from {
			return 0
		}
		if part == 0 {
			if i == len(s) || s[i] != '.' {
				return 0
			}
			i++
		}
	}
	if i < len(s) && (text.IsDigit(s[i]) || text.IsLetter(s[i]) || s[i] == '.' && i+1 < len(s) && text.IsDigit(s[i+1])) {
		return 0
	}
	return i
}

// FindStatus is the first enhanced status code in s of one of the classes ("45"), "" if there is none. It does not take a piece of an IP address for one, nor a program's version:
// "Postfix 3.7.2", "version 4.9.1".
func FindStatus(s, classes string) string {
	for i := 0; i+5 <= len(s); i++ {
		if s[i+1] != '.' || strings.IndexByte(classes, s[i]) < 0 || i > 0 && joined(s[i-1]) {
			continue
		}
		if n := StatusLength(s[i:]); n > 0 && !endsInProgram(s[:i]) {
			return s[i : i+n]
		}
	}
	return ""
}

// joined says whether c makes one word with a digit behind it.
func joined(c byte) bool {
	return text.IsDigit(c) || text.IsLetter(c) || c == '.' || c == '/' || c == '_' || c == '@'
}

// endsInProgram says whether a number behind before would be a program's version.
func endsInProgram(before string) bool {
	if !strings.HasSuffix(before, " ") {
		return false
	}
	word := strings.ToLower(before[strings.LastIndexByte(strings.TrimRight(before, " "), ' ')+1:])
	switch strings.Trim(word, " (,") {
	case "version", "v", "ver", "release", "exim", "postfix", "opensmtpd", "spamassassin", "mimedefang", "smtpd", "qpsmtpd", "mailscanner":
		return true
	}
	return false
}

// ReplyStatus is the enhanced status code behind the reply code that words begin with, or at their head: "550 5.1.1 …",
// "550-5.1.1 …", "5.1.1 …". "": there is none.
func ReplyStatus(words string) string {
	if len(words) > 4 && text.Digits(words[:3]) == 3 {
		words = words[4:]
	}
	return words[:StatusLength(words)]
}
