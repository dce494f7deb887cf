// Package smtp reads what servers answer: reply codes (RFC 5321 §4.2) and enhanced status codes (RFC 3463 §2), at the head
// of a text or somewhere in it.
package smtp

import (
	"strings"

	"bouncefeed/internal/text"
)

// Code is the reply code that s begins with, 200 to 599, where no letter, digit or further number follows. 0: there is none.
func Code(s string) int {
	if len(s) < 3 || s[0] < '2' || s[0] > '5' || text.Digits(s[:3]) < 3 {
		return 0
	}
	if len(s) > 3 && (text.IsDigit(s[3]) || text.IsLetter(s[3]) || s[3] == '.' && len(s) > 4 && text.IsDigit(s[4])) {
		return 0
	}
	return int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0')
}

// FindReply finds the first reply of failure in running text: a code 4yz or 5yz, y from 0 to 5 as RFC 5321 has them, at a
// word's beginning, with a status, an address or words behind. at is -1 if there is none.
func FindReply(s string) (code, at int) {
	for i := 0; i+3 <= len(s); i++ {
		if s[i] != '4' && s[i] != '5' || s[i+1] > '5' || i > 0 && !strings.ContainsRune(" \t\"'(<[:;,|>=-#\n", rune(s[i-1])) {
			continue
		}
		if code := Code(s[i:]); code != 0 && speaksLikeReply(s, i) {
			return code, i
		}
	}
	return 0, -1
}

// speaksLikeReply tells "550 5.1.1 <jo@…" from "500 recipients" and "port 465".
func speaksLikeReply(s string, i int) bool {
	rest := strings.TrimLeft(s[i+3:], " -:\t#;,")
	if FindStatus(rest[:min(len(rest), 9)], "245") != "" || i == 0 {
		return true
	}
	before := strings.ToLower(strings.TrimRight(s[max(0, i-24):i], " \t\"'(<["))
	for _, word := range []string{"said:", "error:", "error", "code:", "code", "response:", "reply:", "reason:", "returned", "<<<", ">>>", "<--", "<-", "smtp;", "smtp", "server:", "message:", "was:", "status:", "status", ":", "：", "|", "with", "\n", "]", "#"} {
		if strings.HasSuffix(before, word) {
			return true
		}
	}
	return before == ""
}
