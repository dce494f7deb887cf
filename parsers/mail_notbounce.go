package parsers

import (
	"slices"
	"strings"

	"bouncefeed/internal/event"
	"bouncefeed/internal/smtp"
	"bouncefeed/internal/text"
)

// mailSender is who wrote a message, as far as it can be told.
type mailSender struct {
	daemon bool // a mail system, by its From
	robot  bool // no person, by its From
	mailer bool // MAILER-DAEMON, which no postmaster signs with
	null   bool // no return path (RFC 5321 §4.5.5)
	path   bool // a return path
}

// undecorated takes out what a name may be written with or without.
var undecorated = strings.NewReplacer(" ", "", "-", "", ".", "", "_", "", `"`, "", "'", "", "\t", "")

func readSender(header mailHeader) mailSender {
	from := header.text("From")
	if from == "" {
		from = header.text("Sender")
	}
	name := undecorated.Replace(text.Fold(from))
	s := mailSender{daemon: daemonNames.in(name) || name == "<>", mailer: strings.Contains(name, "mailerdaemon")}
	if addrs := headerAddresses(from); len(addrs) > 0 {
		local, _, _ := strings.Cut(undecorated.Replace(text.Fold(addrs[0])), "@")
		s.robot = beginsWith(local, robotNames)
	}
	if path := strings.TrimSpace(header.get("Return-Path")); path != "" {
		path = strings.ToLower(strings.Trim(path, "<> "))
		s.path = path != ""
		s.null = path == "" || strings.HasPrefix(path, "mailer-daemon") || strings.HasPrefix(path, "postmaster@")
	}
	return s
}

// isHuman knows a reply to a bounce, or a bounce that somebody forwarded: it has the words of one and is none.
func (m *mailMessage) isHuman() bool {
	if m.typ == "multipart/report" {
		return false
	}
	if s := m.from; s.daemon || s.null {
		return false
	}
	subject := text.Fold(m.header.text("Subject"))
	if !replyPrefix(subject) {
		return false
	}
	if !failureSubjects.in(subject) || m.header.has("In-Reply-To") || m.header.has("References") || forwardPrefix(subject) {
		return true
	}
	return strings.Contains(m.body, "\n>")
}

func forwardPrefix(subject string) bool {
	return !text.HasPrefixFold(subject, "re") && !text.HasPrefixFold(subject, "aw")
}

func replyPrefix(subject string) bool {
	for _, p := range []string{"re:", "fwd:", "fw:", "aw:", "wg:", "tr:", "rv:", "sv:", "vs:", "vb:", "vl:", "fs:", "rif:", "enc:", "res:", "ynt:", "ilt:", "doorst:", "pd:", "atb:", "r:", "i:", "odp:", "antw:", "回复:", "回覆:", "转发:", "轉寄:", "re[", "re :", "fwd :"} {
		if strings.HasPrefix(subject, p) {
			return true
		}
	}
	return false
}

// kind gives the kind of a message without a delivery status, or "" for a bounce to be read as text.
func (p *prose) kind() event.Type {
	subject := p.subject
	from := p.from
	failing := failureSubjects.in(subject)
	subject = p.ownSubject
	// A report whose status part was cut off or lost is still one.
	report := p.typ == "multipart/report" && strings.EqualFold(p.params["report-type"], "delivery-status")
	switch {
	case p.isComplaint():
		return ""
	case !failing && !from.daemon && challengeTexts.in(p.words) && (report || p.autoSubmitted() || replyPrefix(subject)):
		return event.Challenge
	case p.isReport(subject), p.isHuman(), !failing && listSubjects.in(subject), postmasterTexts.in(p.words):
		return event.Ordinary
	case !report && !from.daemon && !from.null && p.header.has("List-Unsubscribe"):
		return event.Ordinary // a newsletter about bounces
	case p.isAutoreply(subject, from.daemon && failing):
		return event.Autoreply
	case (from.daemon || from.null || failing || report) && p.isDelay(subject, failing):
		return event.Delayed
	case (from.daemon || from.null || report) && p.isSuccess(subject, failing):
		return event.Delivered
	case report, p.isBounce(from, failing, subject), (from.daemon || from.null) && p.isTrouble(from, failing, subject):
		return ""
	case challengeTexts.in(p.words) && challengeTexts.in(subject):
		return event.Challenge
	}
	return event.Ordinary
}

// ownSubject takes off what a report quotes: in "Undeliverable: Holidays in Italy" nobody is on holiday.
func ownSubject(subject string) string {
	if at, _ := undelivered.find(subject); at >= 0 {
		if colon := strings.IndexByte(subject[at:], ':'); colon >= 0 {
			return subject[:at+colon]
		}
	}
	return subject
}

// isBounce asks for two signs of three: a mail system sent it, the subject names a failure, the text tells of one.
func (p *prose) isBounce(from mailSender, failing bool, subject string) bool {
	telling := p.header.has("X-Failed-Recipients") || failureTexts.in(p.words)
	if p.isForReader(from, subject) || p.isSigned(from, failing) {
		return false
	}
	if from.daemon || from.null {
		return p.header.has("X-Failed-Recipients") || telling && p.returnsSomething(afterLabel) || from.daemon && p.answersMail(telling) ||
			failing && (from.daemon || yourMessage.in(p.words) || p.returnsSomething(mentioned))
	}
	if from.path && !p.returnsMessage() && (!yourMessage.in(p.words) || !from.robot && len(p.texts) == 0) {
		return false // an article about bounces has an envelope sender, a bounce should have none
	}
	if !from.path && yourMessage.in(p.words) {
		return failing && telling && p.returnsSomething(inSentence)
	}
	if from.robot && yourMessage.in(p.words) {
		return failing && (telling || undeliveredTexts.in(p.words)) && p.returnsSomething(afterLabel)
	}
	return failing && telling && p.returnsSomething(beforeReason)
}

// isTrouble asks less of the words of a mail system, the least of one that says so. A message without a return path may
// also be anybody's autoreply.
func (p *prose) isTrouble(from mailSender, failing bool, subject string) bool {
	if p.isSigned(from, failing) || !from.daemon && p.autoReplied() || autoreplyTexts.in(p.words) || incomingTexts.in(p.words) || listTexts.in(p.words) {
		return false
	}
	machine := from.daemon || from.robot
	permanent := p.saysPermanent() || strings.HasPrefix(smtp.FindStatus(subject, "245"), "5")
	heading := failing || undeliveredTexts.in(subject) || from.daemon && mailboxTexts.in(subject)
	telling := undeliveredTexts.in(p.words) && (heading || permanent || yourMessage.in(p.words) || from.robot && strings.Contains(subject, "fail"))
	if !machine && !permanent {
		return telling && p.returnsSomething(inSentence)
	}
	somebody := p.returnsSomething(mentioned) || len(p.subjectRecipient()) > 0 || p.returned.proof.recipient != ""
	return (heading || telling || permanent && mailboxTexts.in(p.words)) && somebody || heading && telling && from.daemon
}

// isSigned says whether somebody may have written a message himself: it has a return path, and nothing but words.
func (m *mailMessage) isSigned(from mailSender, failing bool) bool {
	return from.path && !from.null && !from.mailer && !failing && !m.saysPermanent() && !m.returnsMessage()
}

func (m *mailMessage) returnsMessage() bool { return len(m.enclosed) > 0 || m.returned.header != nil }

// isForReader knows what a mail system tells its own user, or pretends to: of mail that waits for him, of his full mailbox,
// of his place on a list. It names nobody else, or it comes from somewhere.
func (p *prose) isForReader(from mailSender, subject string) bool {
	if p.returnsMessage() || p.header.has("X-Failed-Recipients") {
		return false
	}
	if !incomingTexts.in(p.words) && !incomingTexts.in(subject) && !listTexts.in(p.words) {
		return false
	}
	return from.path || !slices.ContainsFunc(p.candidates(), candidate.named)
}

// answersMail says whether a mail system speaks to the sender of a message about somebody: in words of failure, or in
// any language with the reply that it got.
func (p *prose) answersMail(telling bool) bool {
	if p.saysPermanent() && p.names(p.returned.header.addresses("To")) {
		return true
	}
	return (telling || p.saysPermanent()) && yourMessage.in(p.words) && p.returnsSomething(inSentence)
}

// saysPermanent finds a reply or a status of failure, which speaks every language.
func (m *mailMessage) saysPermanent() bool {
	code, _ := smtp.FindReply(m.body)
	return code >= 500 || strings.HasPrefix(smtp.FindStatus(m.body, "245"), "5")
}

// isSuccess knows a report of success whose status part was cut off or never was. One that also shows a reply of failure
// is none.
func (p *prose) isSuccess(subject string, failing bool) bool {
	code, _ := smtp.FindReply(p.body)
	if code != 0 || failureWords.in(p.words) && (failing || !successSubjects.in(subject)) {
		return false
	}
	return successSubjects.in(subject) || successTexts.in(p.words)
}

// returnsSomething says whether a message has more of a bounce than its words: the returned message, an SMTP reply, a
// recipient, none of our own addresses, in wording of at least that class. "Your parcel could not be delivered" and "Your mailbox is full" have not.
func (p *prose) returnsSomething(class int) bool {
	if p.returnsMessage() {
		return true
	}
	code, _ := smtp.FindReply(p.body)
	return code != 0 || slices.ContainsFunc(p.candidates(), func(c candidate) bool { return c.class >= class && c.named() })
}

// isDelay knows notices that the server still tries. A subject that warns of a delay is worth more than any word in the
// text, which often says both what is and what will be; so is the one that Postfix gives to final failures only.
func (p *prose) isDelay(subject string, failing bool) bool {
	switch {
	case delaySubjects.in(subject), strings.Contains(subject, "warning") && (!failing || delaySpans.in(subject)):
		return !saysFinal(subject)
	case strings.Contains(subject, "undelivered mail returned to sender"):
		return false
	}
	return (delayTexts.in(p.words) || delayPairs.in(p.words)) && !saysFinal(p.words)
}

// saysFinal says whether folded text tells that nothing more will be tried: "no es un error definitivo" does not.
func saysFinal(text string) bool {
	final := false
	finalTexts.each(text, func(at int, _ string) bool {
		final = !negations.in(" " + text[max(0, at-20):at])
		return !final
	})
	return final
}

// isAutoreply looks for RFC 3834 and what was there before it. Exim and Gmail mark their bounces auto-replied too, so
// a mail system that names a failure is not believed to be on vacation.
func (p *prose) isAutoreply(subject string, failing bool) bool {
	if failing || p.header.has("X-Failed-Recipients") {
		return false
	}
	if autoreplySubjects.in(subject) {
		return true
	}
	for _, name := range []string{"X-Autoreply", "X-Autorespond", "X-Autoresponder", "X-Auto-Reply", "X-AutoReply-From", "X-Mail-Autoreply", "X-Autogenerated-Reply"} {
		if p.header.has(name) {
			return true
		}
	}
	precedence := strings.ToLower(p.header.get("Precedence") + " " + p.header.get("Preference"))
	if strings.Contains(precedence, "auto_reply") || strings.Contains(precedence, "auto-reply") {
		return true
	}
	return (p.autoReplied() || replyPrefix(subject) || p.header.has("In-Reply-To")) && autoreplyTexts.in(p.words) && !failureSubjects.in(subject)
}

// autoReplied is what RFC 3834 §5 has for replies.
func (m *mailMessage) autoReplied() bool {
	return text.HasPrefixFold(m.header.get("Auto-Submitted"), "auto-replied")
}

func (m *mailMessage) autoSubmitted() bool {
	v := strings.ToLower(m.header.get("Auto-Submitted"))
	return v != "" && v != "no" || m.header.has("X-Auto-Response-Suppress") || m.header.has("Precedence") || m.header.has("In-Reply-To") || m.header.has("References")
}

// isPostmasterCopy knows what Postfix sends to the postmaster besides what it tells the sender. Sendmail's "Postmaster
// notify" is none: where a list's sender has no mailbox, it is all there is.
func (m *mailMessage) isPostmasterCopy() bool {
	subject := m.header.get("Subject")
	return text.HasPrefixFold(subject, "Postmaster Copy:") || text.HasPrefixFold(subject, "Postmaster Warning:")
}

// isChallenge knows a challenge dressed up as a delivery status: no mail system sent it, and it asks for something.
func (m *mailMessage) isChallenge() bool {
	if s := m.from; s.daemon || s.null {
		return false
	}
	return challengeTexts.in(m.foldedText())
}

// isReport knows DMARC aggregate (RFC 7489 §7.2.1.1) and TLS reports (RFC 8460 §5.3).
func (m *mailMessage) isReport(subject string) bool {
	return m.archives > 0 && strings.Contains(subject, "report") && strings.Contains(subject, "domain")
}
