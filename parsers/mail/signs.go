package mail

import (
	"slices"
	"strings"

	"bouncefeed/internal/smtp"
	"bouncefeed/internal/text"
)

// A sign is something that a message shows or does not, of those by which the kind of a mail is told that no standard marks.
type sign uint

const (
	// Who sent it, by its From and its Return-Path.
	fromDaemon    sign = iota // a mail system, by its name
	fromSystem                // a mail system, by its name or by the null return path
	fromRobot                 // no person, by its name
	hasReturnPath             // an envelope sender, if only a mail system's own

	// What its header marks.
	complains
	aggregateReport
	statusReport       // a report whose status part was cut off or lost
	failedHeader       // X-Failed-Recipients
	listHeader         // List-Unsubscribe
	autoReplied        // RFC 3834 §5, of replies
	autoreplyHeader    // what there was before RFC 3834
	automatic          // written by a machine, or an answer
	answers            // In-Reply-To
	repliesForSomebody // autoReplied, by none that calls itself a mail system
	fromPerson         // a reply to a bounce, or a bounce that somebody forwarded: it has the words of one and is none

	// What its subject says, without what a report quotes.
	subjectFails    // with what it quotes
	ownSubjectFails // without
	daemonFails     // fromDaemon with subjectFails
	subjectDelays
	subjectIsFinal
	subjectOfPostfix // the one that Postfix gives to final failures only
	subjectSucceeds
	subjectAutoreplies
	subjectChallenges
	subjectOfList
	subjectOfTrouble // failure in looser words, from a mail system also those of a mailbox
	replySubject     // "Re:", in any language

	// What its text says.
	textFails         // X-Failed-Recipients says it as well
	textFailsByItself // not counting what names any report
	textUndelivered   // in looser words
	textOfMailbox     // what is the matter with a mailbox
	textDelays
	textIsFinal // nothing more will be tried
	textSucceeds
	textAutoreplies
	textChallenges
	textToPostmaster // of somebody else's mail
	textToSender     // "your message"
	textIncoming     // of mail that came for the reader
	textOfList       // of the reader's place on a list
	textIsPermanent  // a reply or a status of failure, which speaks every language
	permanent        // the same, in the subject too
	showsReply       // an SMTP reply of failure, passing or not
	mailUndelivered  // textUndelivered, and more than a word tells that it is about mail

	// More than words: the returned message, an SMTP reply, or a recipient, none of our own addresses, whose wording is that
	// sure. "Your parcel could not be delivered" and "Your mailbox is full" have none of them.
	returnsMail // the message, whatever the text says
	returnsMentioned
	returnsInSentence
	returnsLabelled
	returnsBeforeReason
	textNamesRecipient // of the returned message
	namesSomebody      // returnsMentioned, also in the subject or in the address to which it came

	// What speaks against a bounce.
	forReader // its own user, not the sender of a message
	personal  // somebody may have written it himself
	article   // about bounces

	signCount
)

const _ = uint(64 - signCount) // signMemo has a bit for each

// signTests say whether a message shows a sign. They are asked once, and only if a rule needs them.
var signTests = [signCount]func(*prose) bool{
	fromDaemon:    func(p *prose) bool { return p.from.daemon },
	fromSystem:    func(p *prose) bool { return p.from.daemon || p.from.null },
	fromRobot:     func(p *prose) bool { return p.from.robot },
	hasReturnPath: func(p *prose) bool { return p.from.path },

	complains:       func(p *prose) bool { return p.isComplaint() },
	aggregateReport: (*prose).isAggregateReport,
	statusReport: func(p *prose) bool {
		return p.typ == "multipart/report" && strings.EqualFold(p.params.get("report-type"), "delivery-status")
	},
	failedHeader:       func(p *prose) bool { return p.header.has("X-Failed-Recipients") },
	listHeader:         func(p *prose) bool { return p.header.has("List-Unsubscribe") },
	autoReplied:        func(p *prose) bool { return text.HasPrefixFold(p.header.get("Auto-Submitted"), "auto-replied") },
	autoreplyHeader:    func(p *prose) bool { return p.hasAutoreplyHeader() },
	automatic:          func(p *prose) bool { return p.isAutomatic() },
	answers:            func(p *prose) bool { return p.header.has("In-Reply-To") },
	repliesForSomebody: func(p *prose) bool { return !p.from.daemon && p.shows(autoReplied) },
	fromPerson:         func(p *prose) bool { return p.isHuman() },

	subjectFails:       func(p *prose) bool { return p.inSubject.have(phrases.failure.anySubject) },
	ownSubjectFails:    func(p *prose) bool { return p.inOwnSubject.have(phrases.failure.anySubject) },
	daemonFails:        func(p *prose) bool { return p.from.daemon && p.shows(subjectFails) },
	subjectDelays:      (*prose).subjectDelays,
	subjectIsFinal:     func(p *prose) bool { return p.inOwnSubject.have(phrases.delay.final) && saysFinal(p.ownSubject) },
	subjectOfPostfix:   func(p *prose) bool { return strings.Contains(p.ownSubject, "undelivered mail returned to sender") },
	subjectSucceeds:    func(p *prose) bool { return p.inOwnSubject.have(phrases.success.subject) },
	subjectAutoreplies: func(p *prose) bool { return p.inOwnSubject.have(phrases.autoreply.subject) },
	subjectChallenges:  func(p *prose) bool { return p.inOwnSubject.have(phrases.challenge) },
	subjectOfList:      func(p *prose) bool { return p.inOwnSubject.have(phrases.audience.moderator) },
	subjectOfTrouble:   (*prose).subjectOfTrouble,
	replySubject:       func(p *prose) bool { return replyPrefix(p.ownSubject) },

	textFails:         func(p *prose) bool { return p.shows(failedHeader) || p.folded.in().have(phrases.failure.anyText) },
	textFailsByItself: func(p *prose) bool { return p.folded.in().have(phrases.failure.text) },
	textUndelivered:   func(p *prose) bool { return p.folded.in().have(phrases.failure.clause) },
	textOfMailbox:     func(p *prose) bool { return p.folded.in().have(phrases.failure.mailbox) },
	textDelays:        func(p *prose) bool { return p.folded.in().have(phrases.delay.text | phrases.delay.clause) },
	textIsFinal:       func(p *prose) bool { return p.folded.in().have(phrases.delay.final) && saysFinal(p.folded.words()) },
	textSucceeds:      func(p *prose) bool { return p.folded.in().have(phrases.success.text) },
	textAutoreplies:   func(p *prose) bool { return p.folded.in().have(phrases.autoreply.text) },
	textChallenges:    func(p *prose) bool { return p.folded.in().have(phrases.challenge) },
	textToPostmaster:  func(p *prose) bool { return p.folded.in().have(phrases.audience.postmaster) },
	textToSender:      func(p *prose) bool { return p.folded.in().have(phrases.audience.sender) },
	textIncoming:      func(p *prose) bool { return p.folded.in().have(phrases.audience.reader) },
	textOfList:        func(p *prose) bool { return p.folded.in().have(phrases.audience.member) },
	textIsPermanent:   (*prose).textIsPermanent,
	permanent: func(p *prose) bool {
		return p.shows(textIsPermanent) || strings.HasPrefix(smtp.FindStatus(p.ownSubject, "245"), "5")
	},
	showsReply:      func(p *prose) bool { code, _ := smtp.FindReply(p.body); return code != 0 },
	mailUndelivered: (*prose).mailUndelivered,

	returnsMail:         func(p *prose) bool { return p.returnsMessage() },
	returnsMentioned:    func(p *prose) bool { return p.returns(mentioned) },
	returnsInSentence:   func(p *prose) bool { return p.returns(inSentence) },
	returnsLabelled:     func(p *prose) bool { return p.returns(afterLabel) },
	returnsBeforeReason: func(p *prose) bool { return p.returns(beforeReason) },
	textNamesRecipient:  func(p *prose) bool { return p.textNames(p.returned.to) },
	namesSomebody: func(p *prose) bool {
		return p.shows(returnsMentioned) || len(p.subjectRecipient()) > 0 || p.returned.proof.Recipient != ""
	},

	forReader: (*prose).isForReader,
	personal:  (*prose).isPersonal,
	article:   (*prose).isArticle,
}

// signMemo remembers which signs were looked for and which were found.
type signMemo struct {
	tests        *[signCount]func(*prose) bool // signTests, which as a variable could not ask for other signs
	asked, shown uint64
}

func (p *prose) shows(s sign) bool {
	bit := uint64(1) << s
	if p.signs.asked&bit == 0 {
		p.signs.asked |= bit
		if p.signs.tests[s](p) {
			p.signs.shown |= bit
		}
	}
	return p.signs.shown&bit != 0
}

func (p *prose) showsAll(all []sign) bool {
	return !slices.ContainsFunc(all, func(s sign) bool { return !p.shows(s) })
}

func (p *prose) showsOne(some []sign) bool { return slices.ContainsFunc(some, p.shows) }

// ownSubject takes off what a report quotes: in "Undeliverable: Holidays in Italy" nobody is on holiday.
func ownSubject(subject string) string {
	if at, _ := phrases.places.failure.First(subject); at >= 0 {
		if colon := strings.IndexByte(subject[at:], ':'); colon >= 0 {
			return subject[:at+colon]
		}
	}
	return subject
}

// returnsMessage says whether the message brings back more than words: parts with the returned message, or a copy of its
// header in the text.
func (m *message) returnsMessage() bool { return len(m.enclosed) > 0 || m.returned.header != nil }

// saysFinal says whether folded text tells that nothing more will be tried: "no es un error definitivo" does not.
func saysFinal(text string) bool {
	final := false
	phrases.places.final.Each(text, func(_, at, _ int) bool {
		final = !phrases.in(" " + text[max(0, at-20):at]).have(phrases.delay.negation)
		return !final
	})
	return final
}

// returns says whether the message has more of a bounce than its words, a recipient in wording of at least that weight.
func (p *prose) returns(weight int) bool {
	return p.returnsMessage() || p.shows(showsReply) ||
		slices.ContainsFunc(p.candidates(), func(c candidate) bool { return c.wording >= weight && c.named() })
}

// isAggregateReport knows DMARC aggregate (RFC 7489 §7.2.1.1) and TLS reports (RFC 8460 §5.3).
func (p *prose) isAggregateReport() bool {
	return p.archives > 0 && strings.Contains(p.ownSubject, "report") && strings.Contains(p.ownSubject, "domain")
}

func (m *message) hasAutoreplyHeader() bool {
	for _, name := range []string{"X-Autoreply", "X-Autorespond", "X-Autoresponder", "X-Auto-Reply", "X-AutoReply-From", "X-Mail-Autoreply", "X-Autogenerated-Reply"} {
		if m.header.has(name) {
			return true
		}
	}
	precedence := strings.ToLower(m.header.get("Precedence") + " " + m.header.get("Preference"))
	return strings.Contains(precedence, "auto_reply") || strings.Contains(precedence, "auto-reply")
}

func (m *message) isAutomatic() bool {
	v := strings.ToLower(m.header.get("Auto-Submitted"))
	return v != "" && v != "no" || m.header.has("X-Auto-Response-Suppress") || m.header.has("Precedence") || m.header.has("In-Reply-To") || m.header.has("References")
}

// subjectDelays knows "Warning: could not send message for past 4 hours" besides what tells of a delay in words.
func (p *prose) subjectDelays() bool {
	return p.inOwnSubject.have(phrases.delay.subject) ||
		strings.Contains(p.ownSubject, "warning") && (!p.shows(subjectFails) || p.inOwnSubject.have(phrases.delay.span))
}

func (p *prose) subjectOfTrouble() bool {
	return p.shows(subjectFails) || p.inOwnSubject.have(phrases.failure.clause) || p.from.daemon && p.inOwnSubject.have(phrases.failure.mailbox)
}

func (p *prose) textIsPermanent() bool {
	code, _ := smtp.FindReply(p.body)
	return code >= 500 || strings.HasPrefix(smtp.FindStatus(p.body, "245"), "5")
}

func (p *prose) mailUndelivered() bool {
	return p.shows(textUndelivered) && (p.shows(subjectOfTrouble) || p.shows(permanent) || p.shows(textToSender) ||
		p.from.robot && strings.Contains(p.ownSubject, "fail"))
}

// isForReader knows what a mail system tells its own user, or pretends to: of mail that waits for him, of his full mailbox,
// of his place on a list. It names nobody else, or it comes from somewhere.
func (p *prose) isForReader() bool {
	if p.returnsMessage() || p.shows(failedHeader) {
		return false
	}
	if !p.shows(textIncoming) && !p.inOwnSubject.have(phrases.audience.reader) && !p.shows(textOfList) {
		return false
	}
	return p.from.path || !slices.ContainsFunc(p.candidates(), candidate.named)
}

// isPersonal says whether somebody may have written a message himself: it has a return path, and nothing but words.
func (p *prose) isPersonal() bool {
	return p.from.path && !p.from.null && !p.from.mailer && !p.shows(subjectFails) && !p.shows(textIsPermanent) && !p.returnsMessage()
}

// isArticle knows what is written about bounces: it has an envelope sender, which a bounce should not have.
func (p *prose) isArticle() bool {
	return p.from.path && !p.returnsMessage() && (!p.shows(textToSender) || !p.from.robot && len(p.texts) == 0)
}
