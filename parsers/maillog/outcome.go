package maillog

import (
	"strings"

	"bouncefeed/internal/smtp"
	"bouncefeed/internal/text"
)

// An outcome is what remains of a failed delivery: kept for each recipient that was deferred, until the message expires
// or the recipient is done with.
type outcome struct {
	to, origTo string
	remote     string // host name of the server that answered
	code       int
	status     string
	diagnostic string
	noMailbox  bool   // to is a pipe or a file
	neverHard  bool   // given up after deferrals
	at         int64  // when, Unix microseconds
	returnPath string // under which it was sent, where that is another than the sender's

	relay  string // of Transit: not remembered
	before bool   // was pending already
}

const (
	maxDiagnostic = 1 << 10 // bytes
	maxMessageID  = 998     // bytes; RFC 5322 §2.1.1
)

// isHard says of a pending recipient that it was refused for good, and only the MTA's own settings (Postfix's
// soft_bounce=yes) kept it from being returned.
func (o *outcome) isHard() bool { return strings.HasPrefix(o.status, "5") }

// take removes a recipient from those still pending and gives what was last said of it. With exactly, the log names a
// recipient alike in all lines; else a later line may name it in other letters, or by another of its addresses.
func (m *message) take(to, origTo []byte, exactly bool) (o outcome, pending bool) {
	at := -1
	for i := range m.pending {
		p := &m.pending[i]
		if p.to == string(to) && p.origTo == string(origTo) {
			at = i
			break
		}
		if exactly {
			continue
		}
		same := strings.EqualFold(p.to, string(to))
		if same && strings.EqualFold(p.origTo, string(origTo)) {
			at = i
			break
		}
		if at < 0 && (same || strings.EqualFold(p.to, string(origTo))) {
			at = i
		}
	}
	if at < 0 {
		return outcome{}, false
	}
	o = m.pending[at]
	m.pending = append(m.pending[:at], m.pending[at+1:]...)
	return o, true
}

// isSilent: the null sender's mail is a bounce or another notice, the double-bounce sender's a bounce of one. Neither
// is mail to a subscriber.
func (m *message) isSilent() bool {
	return m.has(msgNotice) || m.has(msgSender) && (m.sender == "" || strings.HasPrefix(m.sender, "double-bounce@"))
}

// setReply takes over a server's words, or the MTA's own: a status counts unless it contradicts the reply code.
func (o *outcome) setReply(words []byte) {
	o.diagnostic = text.Cut(strings.ToValidUTF8(text.UnescapeLetters(string(words)), "\uFFFD"), maxDiagnostic)
	o.code = smtp.Code(o.diagnostic)
	if s := smtp.ReplyStatus(o.diagnostic); s != "" && (o.code == 0 || s[0] == o.diagnostic[0]) {
		o.status = s
	}
}
