package mail

import (
	_ "embed"
	"strings"

	"bouncefeed/internal/text"
)

// phraseFile has the words by which mails that no standard marks are told apart, in the languages of the world's mail
// servers.
//
//go:embed phrases.txt
var phraseFile string

// phrases are those words by what they are about. Without another word they are looked for in folded text, those called
// subject in a Subject, those called text in a body, those called clause in both: pairs of phrases, looser than the others.
var phrases = readPhrases()

type phraseBook struct {
	failure struct {
		subject     *phraseSet   // a bounce
		anySubject  *phraseSet   // that, or a report that is of failure if it says no more
		text        *phraseSet   // a message was not delivered, also as subjects say it
		anyText     *phraseSet   // that, or the name of any report
		clause      *phrasePairs // a message did not arrive
		mailbox     *phrasePairs // what is the matter with a mailbox: a clause of a reason, or of a notice
		expired     *phraseSet   // a server gave up after trying for long
		reasonLabel *phraseSet   // before the reply or the reason, in lower case only: its place in the line matters
	}
	delay struct {
		subject  *phraseSet   // the server still tries (RFC 3464 "delayed")
		text     *phraseSet   // the same
		clause   *phrasePairs // the same
		span     *phraseSet   // in the Subject of a warning: for how long
		final    *phraseSet   // it is not about a delay after all
		negation *phraseSet   // right before a final phrase: its opposite
	}
	success struct {
		subject       *phraseSet // RFC 3464 "delivered", "relayed"
		text          *phraseSet // the same
		behindAddress []string   // of somebody who got the message
	}
	autoreply struct {
		subject *phraseSet // RFC 3834 asks for "Auto:"
		text    *phraseSet // the same
	}
	challenge *phraseSet // the sender is to prove something
	// Whom a text speaks to.
	audience struct {
		sender     *phraseSet // of a message: "your message"
		reader     *phraseSet // the mail system's own user, of mail that came or could not come to him
		member     *phraseSet // of a list
		moderator  *phraseSet // of a list, or who gave it commands: in a Subject
		postmaster *phraseSet // of somebody else's mail
	}
	// Names in From, without blanks, dashes, dots, underscores and quotes.
	from struct {
		daemon *phraseSet // of mail systems
		robot  []string   // beginnings of local parts that belong to no person
	}
	// Around an address in a line.
	address struct {
		ofRecipient    *phraseSet // it is the failed recipient
		ofOther        *phraseSet // before it: it is not
		elsewhere      *phraseSet // before it: another to use, or somebody to ask
		senderRejected *phraseSet // behind it: what a server thought of the sender
	}
	// What lines are for.
	layout struct {
		copyMark    *phraseSet // a rule or a heading: the copy of the returned message follows
		advice      *phraseSet // for the reader, no reason
		boilerplate *phraseSet // of every report of a mail system, no reason
	}
}

func readPhrases() *phraseBook {
	var b phraseBook
	b.failure.subject = phraseSection("failure.subject")
	b.failure.anySubject = phraseSection("failure.subject", "report.subject")
	b.failure.text = phraseSection("failure.text", "failure.subject")
	b.failure.anyText = phraseSection("failure.text", "failure.subject", "report.subject")
	b.failure.clause = pairSection("failure.clause")
	b.failure.mailbox = pairSection("failure.mailbox")
	b.failure.expired = phraseSection("failure.expired")
	b.failure.reasonLabel = newPhraseSet(phraseLines("failure.reasonLabel"), 0, asWritten)
	b.delay.subject = phraseSection("delay.subject")
	b.delay.text = phraseSection("delay.text")
	b.delay.clause = pairSection("delay.clause")
	b.delay.span = phraseSection("delay.span")
	b.delay.final = phraseSection("delay.final")
	b.delay.negation = phraseSection("delay.negation")
	b.success.subject = phraseSection("success.subject")
	b.success.text = phraseSection("success.text")
	b.success.behindAddress = foldedLines("success.behindAddress")
	b.autoreply.subject = phraseSection("autoreply.subject")
	b.autoreply.text = phraseSection("autoreply.text")
	b.challenge = phraseSection("challenge")
	b.audience.sender = phraseSection("audience.sender")
	b.audience.reader = phraseSection("audience.reader")
	b.audience.member = phraseSection("audience.member")
	b.audience.moderator = phraseSection("audience.moderator")
	b.audience.postmaster = phraseSection("audience.postmaster")
	b.from.daemon = phraseSection("from.daemon")
	b.from.robot = foldedLines("from.robot")
	b.address.ofRecipient = phraseSection("address.ofRecipient")
	b.address.ofOther = phraseSection("address.ofOther")
	b.address.elsewhere = phraseSection("address.elsewhere")
	b.address.senderRejected = phraseSection("address.senderRejected")
	b.layout.copyMark = phraseSection("layout.copyMark")
	b.layout.advice = phraseSection("layout.advice")
	b.layout.boilerplate = phraseSection("layout.boilerplate")
	return &b
}

// phraseSection reads the named sections of the file.
func phraseSection(names ...string) *phraseSet { return newPhraseSet(phraseLines(names...), 0, folded) }

func folded(s string) []string { return []string{text.Fold(s)} }

func asWritten(s string) []string { return []string{s} }

func foldedLines(names ...string) []string {
	lines := phraseLines(names...)
	for i, line := range lines {
		lines[i] = text.Fold(line)
	}
	return lines
}

func phraseLines(names ...string) []string {
	var all []string
	for _, name := range names {
		_, after, found := strings.Cut(phraseFile, "\n["+name+"]\n")
		if !found {
			panic("phrases.txt has no section " + name)
		}
		section, _, _ := strings.Cut(after, "\n\n")
		all = append(all, strings.Split(strings.TrimSpace(section), "\n")...)
	}
	return all
}

// A phraseSet finds any of its phrases in a text.
type phraseSet struct{ *text.Index }

// newPhraseSet reads phrases as text.ParsePhrase has them.
func newPhraseSet(lines []string, gap int, fold func(string) []string) *phraseSet {
	var all []text.Phrase
	for _, line := range lines {
		some, err := text.ParsePhrase(line, gap, fold)
		if err != nil {
			panic("the phrases of mails: " + err.Error()) // they are part of the program and tested with it
		}
		all = append(all, some...)
	}
	return &phraseSet{text.NewIndex(all)}
}

// in says whether one of the phrases stands in s.
func (p *phraseSet) in(s string) bool { return p.In(s) }

// find gives the place and the words of the first of the phrases in s; the place is -1 if there is none.
func (p *phraseSet) find(s string) (at int, phrase string) {
	at, n := p.First(s)
	return at, s[max(at, 0) : max(at, 0)+n]
}

// A phrasePairs finds two phrases near each other, as "could not" and "deliver": what a language says in a hundred ways.
type phrasePairs struct{ set *phraseSet }

const (
	pairGap  = 72       // bytes between the two: a clause
	pairText = 16 << 10 // bytes of a text that are searched for pairs
)

// pairSection reads phrases with a * in them.
func pairSection(name string) *phrasePairs {
	return &phrasePairs{newPhraseSet(phraseLines(name), pairGap, folded)}
}

// in says whether one of the pairs stands in the beginning of s.
func (p *phrasePairs) in(s string) bool { return p.set.in(text.Cut(s, pairText)) }
