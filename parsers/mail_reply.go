package parsers

import (
	"bouncefeed/internal/text"
	"strings"
)

// firstStatus is the first enhanced status code (RFC 3463) in s: class 2, 4 or 5, subject and detail of up to three
// digits. It does not take a piece of an IP address or of a version for one.
func firstStatus(s string) string {
	for i := 0; i+5 <= len(s); i++ {
		if c := s[i]; (c == '2' || c == '4' || c == '5') && s[i+1] == '.' && (i == 0 || !isNumberByte(s[i-1])) {
			if n := statusLength(s[i:]); n > 0 {
				return s[i : i+n]
			}
		}
	}
	return ""
}

func statusLength(s string) int {
	subject := text.Digits(s[2:])
	dot := 2 + subject
	if subject == 0 || subject > 3 || dot >= len(s) || s[dot] != '.' {
		return 0
	}
	detail := text.Digits(s[dot+1:])
	end := dot + 1 + detail
	if detail == 0 || detail > 3 || end+1 < len(s) && s[end] == '.' && text.IsDigit(s[end+1]) {
		return 0
	}
	return end
}

func isNumberByte(c byte) bool { return text.IsDigit(c) || c == '.' }

// replyCode is the SMTP reply code that s begins with: 4yz or 5yz and then a blank, a dash, a colon or the end.
func replyCode(s string) int {
	if len(s) < 3 || s[0] != '4' && s[0] != '5' || s[1] < '0' || s[1] > '5' || !text.IsDigit(s[2]) {
		return 0
	}
	if len(s) > 3 && strings.IndexByte(" -:\t#;,<])", s[3]) < 0 {
		return 0
	}
	return int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0')
}

// findReply finds the first SMTP reply in s: a code at a word's beginning with a status, an address or words behind.
// at is -1 if there is none.
func findReply(s string) (code, at int) {
	for i := 0; i+3 <= len(s); i++ {
		if s[i] != '4' && s[i] != '5' || i > 0 && !strings.ContainsRune(" \t\"'(<[:;,|>=-#\n", rune(s[i-1])) {
			continue
		}
		if code := replyCode(s[i:]); code != 0 && speaksLikeReply(s, i) {
			return code, i
		}
	}
	return 0, -1
}

// speaksLikeReply tells "550 5.1.1 <jo@…" from "500 recipients" and "port 465".
func speaksLikeReply(s string, i int) bool {
	rest := strings.TrimLeft(s[i+3:], " -:\t#;,")
	if firstStatus(rest[:min(len(rest), 9)]) != "" || i == 0 {
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

// joinLines makes one line of several, as long as it fits in limit.
func joinLines(lines []string, limit int) string {
	var b strings.Builder
	for _, line := range lines {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if b.Len()+len(line) > limit {
			break
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(line)
	}
	return b.String()
}
