package report

import (
	"regexp"
	"strings"

	"bouncefeed/internal/event"
	"bouncefeed/internal/text"
)

const maxExample = 300 // bytes

var (
	// <jo@example.net>, jo@[192.0.2.1]
	addressLike = regexp.MustCompile(`[^\s<>()\[\]",;:=]*(?:"[^"]*")?@[^\s<>(),;:"']+`)
	uuidLike    = regexp.MustCompile(`(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	// a queue id or a token of some system: letters and digits mixed, longer than a word. Host names, addresses and URLs have dots or
	// slashes, and stay: our own address is what the reader is after.
	tokenLike = regexp.MustCompile(`[A-Za-z0-9+_=-]{10,}`)
)

// aboutRecipient are the reasons of which a reply names the recipient more often than not.
var aboutRecipient = map[event.Reason]bool{
	event.UserUnknown: true, event.MailboxDisabled: true, event.Moved: true, event.MailboxFull: true, event.RecipientFiltered: true,
}

// redact takes out of a reply what could tell who the recipient is. Not safe: it is not to be shown at all.
func redact(f *Fact) (shown string, safe bool) {
	shown = text.Tidy(f.Text, 4*maxExample)
	local, _, _ := strings.Cut(f.Recipient, "@")
	local = strings.Trim(local, `"`)
	named := local != "" && holdsWord(shown, local)
	if aboutRecipient[f.Reason] && (named || strings.Contains(shown, "@")) {
		return "", false
	}
	shown = WithoutAddresses(shown)
	if named {
		shown = replaceWord(shown, local, "address")
	}
	shown = uuidLike.ReplaceAllString(shown, "…")
	shown = replaceTokens(shown)
	return text.Cut(shown, maxExample), true
}

// WithoutAddresses takes the local parts out of what looks like addresses.
func WithoutAddresses(s string) string {
	return addressLike.ReplaceAllStringFunc(s, func(a string) string {
		return "address" + a[strings.LastIndexByte(a, '@'):]
	})
}

// replaceTokens shortens what is no word, a URL's own parts excepted: they lead to what the receiver has to say.
func replaceTokens(s string) string {
	var b strings.Builder
	at := 0
	for _, span := range tokenLike.FindAllStringIndex(s, -1) {
		token := s[span[0]:span[1]]
		word := s[:span[0]]
		word = word[strings.LastIndexByte(word, ' ')+1:]
		if !isToken(token) || strings.Contains(word, "://") {
			continue
		}
		b.WriteString(s[at:span[0]])
		b.WriteString("…")
		at = span[1]
	}
	b.WriteString(s[at:])
	return b.String()
}

// isToken: "8F7BAA2E332" and "d9443c01a7336-20a1b2c3d4e", not "authentication" nor "2026-11-29".
func isToken(s string) bool {
	digits, letters := 0, 0
	for i := range len(s) {
		switch {
		case text.IsDigit(s[i]):
			digits++
		case text.IsLetter(s[i]):
			letters++
		}
	}
	return digits >= 2 && letters >= 2
}

func holdsWord(s, word string) bool { return indexWord(s, word, 0) >= 0 }

// indexWord finds word, whatever its case, where no letter or digit touches it.
func indexWord(s, word string, from int) int {
	for at := from; at+len(word) <= len(s); at++ {
		if text.HasPrefixFold(s[at:], word) && (at == 0 || !isWordByte(s[at-1])) && (at+len(word) == len(s) || !isWordByte(s[at+len(word)])) {
			return at
		}
	}
	return -1
}

func isWordByte(c byte) bool { return text.IsDigit(c) || text.IsLetter(c) || c >= 0x80 }

func replaceWord(s, word, by string) string {
	for from := 0; ; {
		at := indexWord(s, word, from)
		if at < 0 {
			return s
		}
		s = s[:at] + by + s[at+len(word):]
		from = at + len(by)
	}
}
