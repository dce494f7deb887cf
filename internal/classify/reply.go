package classify

import (
	"strings"

	"bouncefeed/internal/smtp"
	"bouncefeed/internal/text"
)

// maxText is how many bytes of a diagnostic are looked at.
const maxText = 4 << 10

// facts are what a Reply says, made ready for the rules.
type facts struct {
	code   int
	status smtp.Status
	text   string // folded
	remote string
	buf    []byte
}

func (f *facts) read(r Reply) {
	// The parsers of logs have unescaped the letters already, for those who read the diagnostic: then there is little to do.
	prefix, words := splitReporter(text.Unescape(r.Text[:min(len(r.Text), maxText)]))
	f.code = r.Code
	headCode, headStatus := head(words)
	if !failure(f.code) {
		f.code = headCode
	}
	f.status = parseStatus(r.Status)
	if !f.status.Known() || f.status.Vague() {
		if !headStatus.Known() {
			headStatus = firstStatus(words)
		}
		if headStatus.Known() {
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
// reply that calls itself temporary ("550 user temporarily locked") is believed too, see temporaryWords.
func (f *facts) temporary() bool {
	if f.code/100 == 4 {
		return f.status[0] != 5 || f.status.Vague()
	}
	return f.code == 0 && f.status[0] == 4
}

// temporaryWords say "for now" in many languages.
var temporaryWords = []string{
	"temporar", "temporair", "temporalment", "tijdelijk", "vorübergehend", "voruebergehend", "momentan", "derzeit", "midlertidig", "tillfällig",
	"tilapäis", "tymczasow", "chwilow", "dočasn", "átmeneti", "geçici", "временн", "тимчасов", "προσωριν", "一時", "暂时", "暫時", "일시", "ชั่วคราว", "tạm thời", "sementara",
}

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
func splitReporter(s string) (prefix, words string) {
	s = text.Skip(s, " \t\r\n")
	if kind, rest, ok := strings.Cut(s, ";"); ok && len(kind) < 16 && diagnosticType(kind) {
		s = text.Skip(rest, " \t\r\n")
	}
	if code, _ := head(s); failure(code) {
		return "", s
	}
	for i := 1; i+4 <= len(s); i++ {
		if (s[i] == '4' || s[i] == '5') && quotesReply(s[:i], s[i:]) {
			if s[i+3] == '-' && i+4 < len(s) && s[i+4] == '\'' {
				return "", s[i:]
			}
			return s[:i], s[i:]
		}
	}
	return "", s
}

// quotesReply says whether a reply begins at s: a code with a status, a code of a first line ("550-"), or a code
// behind "said: " and its like.
func quotesReply(before, s string) bool {
	if strings.IndexByte(" \n<:'\"", before[len(before)-1]) < 0 {
		return false
	}
	code, st := head(s)
	if !failure(code) {
		return false
	}
	return st.Known() || s[3] == '-' || strings.HasSuffix(strings.TrimRight(before, " \n"), ":") || strings.HasSuffix(before, "<")
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
	if rest := text.Skip(s[end:], "\n"); rest == "" || strings.IndexByte(next, rest[0]) < 0 && (!strings.HasPrefix(rest, " [") || next[0] != '[') {
		return 0, 0
	}
	return start, end
}

// head reads "550 5.1.1 …", "550-5.1.1 …", "550 #5.1.1 …" or "5.1.1 …" at the start of a reply.
func head(words string) (code int, st smtp.Status) {
	words = text.Skip(words, " \t\r\n<>\"'`(")
	if code = smtp.Code(words); code != 0 {
		words = words[3:]
	}
	words = text.Skip(words, " \t\r\n-:#[(<.,")
	st, _ = smtp.ParseStatus(words)
	return code, st
}

// firstStatus finds the first status of a failure anywhere: "… (#5.1.1)", "[5.7.1]", "Error: 5.1.1".
func firstStatus(words string) smtp.Status {
	st, _ := smtp.ParseStatus(smtp.FindStatus(words, "45"))
	return st
}

// parseStatus reads a source's status field, which may say more behind the code: "5.1.1 (bad destination)".
func parseStatus(s string) smtp.Status {
	st, _ := smtp.ParseStatus(text.Skip(s, " \t#("))
	return st
}
