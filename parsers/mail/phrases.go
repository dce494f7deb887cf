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

// typicalText is what reports and answers say most: phrases are looked for by what is rarer.
//
//go:embed typical.txt
var typicalText string

// phrases are those words by what they are about. Without another word they are looked for in folded text, those called
// subject in a Subject, those called text in a body, those called clause in both: pairs of phrases, looser than the others.
var phrases = readPhrases()

// sections are some of the file's, a bit for each; of a text those that it has a phrase of, see phraseBook.in.
type sections uint64

// have says whether one of some is among s.
func (s sections) have(some sections) bool { return s&some != 0 }

type phraseBook struct {
	failure struct {
		subject    sections // a bounce
		anySubject sections // that, or a report that is of failure if it says no more
		text       sections // a message was not delivered, also as subjects say it
		anyText    sections // that, or the name of any report
		clause     sections // a message did not arrive
		mailbox    sections // what is the matter with a mailbox: a clause of a reason, or of a notice
		expired    sections // a server gave up after trying for long
	}
	delay struct {
		subject  sections // the server still tries (RFC 3464 "delayed")
		text     sections // the same
		clause   sections // the same
		span     sections // in the Subject of a warning: for how long
		final    sections // it is not about a delay after all
		negation sections // right before a final phrase: its opposite
	}
	success struct {
		subject       sections // RFC 3464 "delivered", "relayed"
		text          sections // the same
		behindAddress []string // of somebody who got the message
	}
	autoreply struct {
		subject sections // RFC 3834 asks for "Auto:"
		text    sections // the same
	}
	challenge sections // the sender is to prove something
	// Whom a text speaks to.
	audience struct {
		sender     sections // of a message: "your message"
		reader     sections // the mail system's own user, of mail that came or could not come to him
		member     sections // of a list
		moderator  sections // of a list, or who gave it commands: in a Subject
		postmaster sections // of somebody else's mail
	}
	// Names in From, without blanks, dashes, dots, underscores and quotes.
	from struct {
		robot []string // beginnings of local parts that belong to no person
	}
	// Around an address in a line.
	address struct {
		ofRecipient    sections // it is the failed recipient
		ofOther        sections // before it: it is not
		elsewhere      sections // before it: another to use, or somebody to ask
		senderRejected sections // behind it: what a server thought of the sender
	}
	// What lines are for.
	layout struct {
		copyMark    sections // a rule or a heading: the copy of the returned message follows
		advice      sections // for the reader, no reason
		boilerplate sections // of every report of a mail system, no reason
	}
	// What is looked for by itself, or whose place in a text matters.
	places struct {
		failure     *text.Index // failure.subject
		final       *text.Index // delay.final
		expired     *text.Index // failure.expired, looked for in many short texts
		daemon      *text.Index // from.daemon, where nothing else is looked for
		reasonLabel *text.Index // before the reply or the reason, in lower case only
	}

	groups [][]text.Phrase // of each section
	index  *text.Index     // of the groups
	pairs  sections        // those of pairs
}

func readPhrases() *phraseBook {
	var b phraseBook
	b.failure.subject = b.section("failure.subject")
	report := b.section("report.subject")
	b.failure.anySubject = b.failure.subject | report
	b.failure.text = b.section("failure.text") | b.failure.subject
	b.failure.anyText = b.failure.text | report
	b.failure.clause = b.pairSection("failure.clause")
	b.failure.mailbox = b.pairSection("failure.mailbox")
	b.failure.expired = b.section("failure.expired")
	b.delay.subject = b.section("delay.subject")
	b.delay.text = b.section("delay.text")
	b.delay.clause = b.pairSection("delay.clause")
	b.delay.span = b.section("delay.span")
	b.delay.final = b.section("delay.final")
	b.delay.negation = b.section("delay.negation")
	b.success.subject = b.section("success.subject")
	b.success.text = b.section("success.text")
	b.success.behindAddress = foldedLines("success.behindAddress")
	b.autoreply.subject = b.section("autoreply.subject")
	b.autoreply.text = b.section("autoreply.text")
	b.challenge = b.section("challenge")
	b.audience.sender = b.section("audience.sender")
	b.audience.reader = b.section("audience.reader")
	b.audience.member = b.section("audience.member")
	b.audience.moderator = b.section("audience.moderator")
	b.audience.postmaster = b.section("audience.postmaster")
	b.from.robot = foldedLines("from.robot")
	b.address.ofRecipient = b.section("address.ofRecipient")
	b.address.ofOther = b.section("address.ofOther")
	b.address.elsewhere = b.section("address.elsewhere")
	b.address.senderRejected = b.section("address.senderRejected")
	b.layout.copyMark = b.section("layout.copyMark")
	b.layout.advice = b.section("layout.advice")
	b.layout.boilerplate = b.section("layout.boilerplate")
	b.index = text.NewGroups(b.groups, text.Fold(typicalText))
	b.places.failure = text.NewIndex(parsePhrases(phraseLines("failure.subject"), 0, folded))
	b.places.final = text.NewIndex(parsePhrases(phraseLines("delay.final"), 0, folded))
	b.places.expired = text.NewIndex(parsePhrases(phraseLines("failure.expired"), 0, folded))
	b.places.daemon = text.NewIndex(parsePhrases(phraseLines("from.daemon"), 0, folded))
	b.places.reasonLabel = text.NewIndex(parsePhrases(phraseLines("failure.reasonLabel"), 0, asWritten))
	return &b
}

const (
	pairGap  = 72       // bytes between the two phrases of a pair: a clause
	pairText = 16 << 10 // bytes of a text that are searched for pairs
)

// section reads the named section of the file.
func (b *phraseBook) section(name string) sections { return b.add(name, 0) }

// pairSection reads one whose phrases have a * in them, as "could not * deliver": what a language says in a hundred ways.
func (b *phraseBook) pairSection(name string) sections {
	pairs := b.add(name, pairGap)
	b.pairs |= pairs
	return pairs
}

func (b *phraseBook) add(name string, gap int) sections {
	b.groups = append(b.groups, parsePhrases(phraseLines(name), gap, folded))
	return 1 << (len(b.groups) - 1)
}

// in reads s once and gives the sections of which it has a phrase; pairs count in its beginning only.
func (b *phraseBook) in(s string) sections {
	found := b.mark(s)
	if len(s) > pairText && found.have(b.pairs) {
		found = found&^b.pairs | b.mark(text.Cut(s, pairText))&b.pairs
	}
	return found
}

func (b *phraseBook) mark(s string) sections {
	var found [1]uint64 // as many as there are sections
	b.index.Mark(s, found[:])
	return sections(found[0])
}

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

// parsePhrases reads phrases as text.ParsePhrase has them.
func parsePhrases(lines []string, gap int, fold func(string) []string) (all []text.Phrase) {
	for _, line := range lines {
		some, err := text.ParsePhrase(line, gap, fold)
		if err != nil {
			panic("the phrases of mails: " + err.Error()) // they are part of the program and tested with it
		}
		all = append(all, some...)
	}
	return all
}
