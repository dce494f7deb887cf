package mail

import (
	"strings"
	"sync"

	"bouncefeed/internal/text"
)

// splitsWord says whether a line that goes on in the next one was broken in the middle of a word, as some generators break
// after so many bytes: the text for humans shows it whole, or it is a word that replies have.
func (m *message) splitsWord(before, after string) bool {
	head := before[len(before)-trailingLetters(before):]
	tail := after[:leadingLetters(after)]
	if head == "" || tail == "" {
		return false
	}
	left, right := text.Tail(before, 8), text.Cut(after, 8)
	switch {
	case strings.Contains(m.body, left+" "+right):
		return false
	case strings.Contains(m.body, left+right):
		return true
	}
	return replyWords()[strings.ToLower(head+tail)]
}

func trailingLetters(s string) int {
	n := 0
	for n < len(s) && text.IsLetter(s[len(s)-1-n]) {
		n++
	}
	return n
}

func leadingLetters(s string) int {
	n := 0
	for n < len(s) && text.IsLetter(s[n]) {
		n++
	}
	return n
}

// replyWords are the longer words of the phrases by which reports are told, and some that replies have besides.
var replyWords = sync.OnceValue(func() map[string]bool {
	known := map[string]bool{}
	for _, w := range strings.FieldsFunc(phraseFile+" "+moreReplyWords, func(r rune) bool { return r > 'z' || !text.IsLetter(byte(r)) }) {
		if len(w) >= 6 {
			known[strings.ToLower(w)] = true
		}
	}
	return known
})

const moreReplyWords = "access account action address administrator authentication blocked blacklisted connection content count delivery denied destination " +
	"disabled domain exceeded existing filtered greylisted inactive invalid listed mailbox maximum message permanently policy quota recipient refused " +
	"rejected relaying requested reputation resources sender server service storage suspended temporarily timeout transaction unavailable unknown " +
	"unrouteable unsolicited unverified virtual"
