package classify

import (
	"bouncefeed/internal/text"
	"slices"
	"strconv"
	"strings"
)

// maxText is how many bytes of a diagnostic are looked at.
const maxText = 4 << 10

// status is an enhanced status code (RFC 3463): class, subject, detail; the zero value is unknown.
type status [3]int

func (s status) known() bool { return s[0] != 0 }

// vague is a status that tells the class only: a server that has no better word, or an MTA that saw none.
func (s status) vague() bool { return s[1] == 0 && s[2] == 0 }

// facts are what a Reply says, made ready for the rules.
type facts struct {
	code   int
	status status
	text   string // folded
	remote string
	buf    []byte
}

func (f *facts) read(r Reply) {
	prefix, words := splitReporter(unescape(r.Text[:min(len(r.Text), maxText)]))
	f.code = r.Code
	headCode, headStatus := head(words)
	if !failure(f.code) {
		f.code = headCode
	}
	f.status = parseStatus(r.Status)
	if !f.status.known() || f.status.vague() {
		if !headStatus.known() {
			headStatus = statusIn(words)
		}
		if headStatus.known() {
			f.status = headStatus
		}
	}
	f.remote = foldHost(r.Remote)
	if f.remote == "" {
		f.remote = hostIn(prefix)
	}
	f.buf = append(f.buf[:0], ' ')
	f.buf = fold(f.buf, withoutHosts(prefix), f.code)
	if prefix == "" && f.code == 0 {
		words = withoutHosts(words)
	}
	f.buf = fold(f.buf, words, f.code)
	f.text = string(append(f.buf, ' '))
}

func failure(code int) bool { return code >= 400 && code <= 599 }

// temporary says that only temporary replies tell of the failure: 4xx or 4.x.x, and no 5.x.x that says something. A
// reply that calls itself temporary ("550 user temporarily locked") is believed too.
func (f *facts) temporary() bool {
	if slices.ContainsFunc(temporaryWords, func(word string) bool { return strings.Contains(f.text, word) }) {
		return true
	}
	if f.code/100 == 4 {
		return f.status[0] != 5 || f.status.vague()
	}
	return f.code == 0 && f.status[0] == 4
}

// temporaryWords say "for now" in many languages, as texts are folded.
var temporaryWords = func() (words []string) {
	for _, word := range []string{
		"temporar", "temporair", "temporalment", "tijdelijk", "vorübergehend", "voruebergehend", "momentan", "derzeit", "midlertidig", "tillfällig",
		"tilapäis", "tymczasow", "chwilow", "dočasn", "dočasne", "átmeneti", "geçici", "временн", "тимчасов", "προσωριν", "一時", "暂时", "暫時", "일시", "ชั่วคราว", "tạm thời", "sementara",
	} {
		words = append(words, foldPhrase(word))
	}
	return words
}()

// foldHost takes "mx.example.net[192.0.2.7]:25" too.
func foldHost(h string) string {
	h, _, _ = strings.Cut(h, "[")
	return strings.TrimSuffix(strings.ToLower(strings.TrimSpace(h)), ".")
}

// splitReporter parts what our own side or a gateway says of a reply from the reply:
//
//	host mx.example.net[192.0.2.1] said: 550 5.1.1 …                                          (Postfix)
//	SMTP error from remote mail server after RCPT TO:<jo@example.net>: host mx.example.net [192.0.2.1]: 550 5.1.1 …  (Exim)
//	smtp; 550 5.1.1 …                                                                        (RFC 3464 §2.3.6)
//	5.1.0 - Unknown address error 550-'5.7.1 …'                                              (IronPort: its own words say nothing)
func splitReporter(text string) (prefix, words string) {
	text = strings.TrimLeft(text, " \t\r\n")
	if kind, rest, ok := strings.Cut(text, ";"); ok && len(kind) < 16 && diagnosticType(kind) {
		text = strings.TrimLeft(rest, " \t\r\n")
	}
	if code, _ := head(text); failure(code) {
		return "", text
	}
	for i := 1; i+4 <= len(text); i++ {
		if quotesReply(text[:i], text[i:]) {
			if text[i+3] == '-' && i+4 < len(text) && text[i+4] == '\'' {
				return "", text[i:]
			}
			return text[:i], text[i:]
		}
	}
	return "", text
}

// quotesReply says whether a reply begins at s: a code with a status, a code of a first line ("550-"), or a code
// behind "said: " and its like.
func quotesReply(before, s string) bool {
	if s[0] != '4' && s[0] != '5' || !strings.ContainsRune(" \n<:'\"", rune(before[len(before)-1])) {
		return false
	}
	code, st := head(s)
	if !failure(code) {
		return false
	}
	return st.known() || s[3] == '-' || strings.HasSuffix(strings.TrimRight(before, " \n"), ":") || strings.HasSuffix(before, "<")
}

func diagnosticType(s string) bool {
	s = strings.ToLower(strings.TrimSpace(s))
	return s == "smtp" || s == "dns" || s == "unix" || s == "lmtp" || strings.HasPrefix(s, "x-") || strings.HasPrefix(s, "smtp ")
}

// hostIn finds the server's name in a prefix.
func hostIn(prefix string) string {
	start, end := cutName(prefix, "host ", "[ ")
	return foldHost(prefix[start:end])
}

// withoutHosts takes host and domain names out of our own side's words: that a server is called "spamfilter" or a
// domain "full.example" says nothing of why it refused.
func withoutHosts(s string) string {
	for _, m := range [][2]string{{"host ", "["}, {"onnect to ", "["}, {"onnection with ", "["}, {"onversation with ", "["}, {"ession with ", "["}, {"for name=", " "}, {"ame server: ", ":"}, {"mail for ", " "}} {
		start, end := cutName(s, m[0], m[1])
		s = s[:start] + s[end:]
	}
	return s
}

// cutName finds the word behind marker that one of the bytes of next follows, white space between them or not.
func cutName(s, marker, next string) (start, end int) {
	at := strings.Index(s, marker)
	if at < 0 {
		return 0, 0
	}
	start = at + len(marker)
	end = start + strings.IndexAny(s[start:]+" ", " [:\n,")
	if rest := strings.TrimLeft(s[end:], "\n"); rest == "" || strings.IndexByte(next, rest[0]) < 0 && (!strings.HasPrefix(rest, " [") || next[0] != '[') {
		return 0, 0
	}
	return start, end
}

// head reads "550 5.1.1 …", "550-5.1.1 …", "550 #5.1.1 …" or "5.1.1 …" at the start of a reply.
func head(words string) (code int, st status) {
	words = strings.TrimLeft(words, " \t\r\n<>\"'`(")
	if len(words) >= 3 && words[0] >= '2' && words[0] <= '5' && text.IsDigit(words[1]) && text.IsDigit(words[2]) &&
		(len(words) == 3 || !text.IsDigit(words[3]) && !text.IsLetter(words[3]) && (words[3] != '.' || len(words) == 4 || !text.IsDigit(words[4]))) {
		code, _ = strconv.Atoi(words[:3])
		words = words[3:]
	}
	words = strings.TrimLeft(words, " \t\r\n-:#[(<.,")
	st, _ = statusAt(words)
	return code, st
}

// statusIn finds the first enhanced status code anywhere: "… (#5.1.1)", "[5.7.1]", "Error: 5.1.1". Addresses
// (192.0.2.1) have four parts, and a version ("Postfix 3.7.2", "version 4.9.1") stands behind a name.
func statusIn(text string) status {
	for i := 0; i+5 <= len(text); i++ {
		if text[i+1] != '.' || text[i] != '4' && text[i] != '5' {
			continue
		}
		if i > 0 && !strings.ContainsRune(" \t\r\n#([<:=-\"'", rune(text[i-1])) {
			continue
		}
		st, n := statusAt(text[i:])
		if n > 0 && !isVersion(text[:i]) {
			return st
		}
	}
	return status{}
}

// isVersion says whether a number behind before would be a program's version.
func isVersion(before string) bool {
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

// statusAt reads class.subject.detail at the start of s and gives its length; 0: there is none.
func statusAt(s string) (st status, n int) {
	for i := range st {
		digits := 0
		for n < len(s) && text.IsDigit(s[n]) && digits < 3 {
			st[i] = st[i]*10 + int(s[n]-'0')
			n++
			digits++
		}
		if digits == 0 || i == 0 && (digits > 1 || st[0] != 2 && st[0] != 4 && st[0] != 5) {
			return status{}, 0
		}
		if i < 2 {
			if n >= len(s) || s[n] != '.' {
				return status{}, 0
			}
			n++
		}
	}
	if n < len(s) && (text.IsDigit(s[n]) || text.IsLetter(s[n]) || s[n] == '.' && n+1 < len(s) && text.IsDigit(s[n+1])) {
		return status{}, 0
	}
	return st, n
}

// parseStatus reads a source's status field, which may say more behind the code: "5.1.1 (bad destination)".
func parseStatus(s string) status {
	st, _ := statusAt(strings.TrimLeft(s, " \t#("))
	return st
}
