package mail

import (
	"strings"
	"unicode/utf8"

	"bouncefeed/internal/address"
	"bouncefeed/internal/smtp"
	"bouncefeed/internal/text"
)

const (
	textLinesToRead = 400
	maxWording      = 512 // bytes before and behind an address that say what it is
)

// A candidate is an address in a text that may be the failed recipient.
type candidate struct {
	addr    string
	shape   string // the words around it
	wording int    // the weight of these words
	weight  int    // with what else is known of the address
}

// named says whether c is somebody, and neither we nor the reporter.
func (c candidate) named() bool { return c.wording >= mentioned && c.weight >= c.wording }

// Weights of an address by the words around it: how sure they make it the failed recipient.
const (
	notRecipient = 0
	mentioned    = 2
	inSentence   = 4
	afterLabel   = 6
	beforeReason = 8
	onItsOwn     = 10
)

// surroundings are a line and what stands in it before and behind an address, folded and without decoration, and the phrases
// that these two have.
type surroundings struct {
	line, before, after string
	inBefore, inAfter   sections
}

func surround(line, before, after string) surroundings {
	return surroundings{line, before, after, phrases.in(before), phrases.in(after)}
}

// wordings weigh an address by what stands around it in its line: the first that fits counts. In its sample that is
// jo@example.org.
var wordings = []struct {
	weight int
	fits   func(s surroundings) bool
	sample string
}{
	{notRecipient, func(s surroundings) bool {
		return s.inBefore.have(phrases.address.ofOther) && !s.inBefore.have(phrases.address.ofRecipient)
	}, "MAIL FROM:<jo@example.org>"},
	{notRecipient, isSender, "the following recipients take no mail from jo@example.org: dan"},
	{notRecipient, leadsToOther, "but you can write to jo@example.org"},
	{notRecipient, func(s surroundings) bool { return saysDelivered(s.after) }, "jo@example.org: sent ok"},
	{notRecipient, func(s surroundings) bool {
		return s.inAfter.have(phrases.address.senderRejected) && phrases.in(text.Cut(s.after, 40)).have(phrases.address.senderRejected)
	}, "<jo@example.org>: Sender address rejected"},
	{onItsOwn, standsAlone, "  * <jo@example.org>:"},
	{beforeReason, isAnswered, "550 <jo@example.org>... User unknown"},
	{afterLabel, isLabelled, "RCPT TO:<jo@example.org> failed"},
	{inSentence, saysOfRecipient, "your message to jo@example.org is here again"},
	{inSentence, func(s surroundings) bool { code, _ := smtp.FindReply(s.line); return code != 0 }, "the answer about jo@example.org was: 552 5.2.2"},
	{mentioned, func(surroundings) bool { return true }, "jotted down by jo@example.org at noon"},
}

// isSender knows whose mail it is that somebody doesn't take, also in a line that speaks of recipients.
func isSender(s surroundings) bool {
	before := strings.TrimRight(s.before, " <'\"")
	for _, mail := range []string{"mail from", "e-mail from", "email from", "mails from", "emails from", "messages from"} {
		if strings.HasSuffix(before, mail) {
			return true
		}
	}
	return false
}

func leadsToOther(s surroundings) bool {
	return s.inBefore.have(phrases.address.elsewhere) && !s.inBefore.have(phrases.failure.anyText) &&
		phrases.in(text.Tail(s.before, 40)).have(phrases.address.elsewhere)
}

func standsAlone(s surroundings) bool {
	return s.before == "" && (s.after == "" || s.after == "." || s.after == "," || s.after == ";" || s.after[0] == ':')
}

func isAnswered(s surroundings) bool {
	onlyReply := s.before == "" || smtp.Code(s.before) != 0 && strings.Trim(s.before, "0123456789.-# <") == ""
	return onlyReply && !s.inAfter.have(phrases.address.ofOther)
}

func isLabelled(s surroundings) bool {
	return strings.HasSuffix(strings.TrimRight(s.before, " \t<"), ":") && s.inBefore.have(phrases.address.ofRecipient) || strings.HasPrefix(s.before, "to:")
}

func saysOfRecipient(s surroundings) bool {
	return (s.inBefore | s.inAfter).have(phrases.address.ofRecipient | phrases.failure.anyText)
}

// wordingAt is the place of the wording that an address in line has.
func wordingAt(line string, a address.Span) int {
	before := text.Fold(strings.TrimLeft(withoutNumber(text.Tail(line[:a.Start], maxWording)), bullets))
	after := text.Fold(strings.TrimSpace(text.Cut(line[a.End:], maxWording)))
	s := surround(line, before, strings.TrimLeft(after, "\"')"))
	for i := range wordings {
		if wordings[i].fits(s) {
			return i
		}
	}
	return len(wordings) - 1 // it fits all
}

// fieldWeights weigh an address by the fields that have it, for each of them: half a step for one to whom the returned
// message was addressed, more than a step against one of ours or of the reporter. The sample is a field with
// jo@example.org.
var fieldWeights = []struct {
	weight   int
	returned bool // in the returned message, else in the report
	fields   []string
	sample   string
}{
	{addressed, true, []string{"To", "Cc"}, "To: Jo <jo@example.org>"},
	{-3, true, []string{"From", "Return-Path", "Sender"}, "Return-Path: <jo@example.org>"},
	{-3, false, []string{"To", "Delivered-To", "From", "Reply-To"}, "Delivered-To: jo@example.org"},
}

const (
	addressed = 1  // in the returned message
	helpDesk  = -6 // the reporter's, unless it stands on its own
)

// knownAddresses are the addresses in the headers, in lower case.
type knownAddresses []knownAddress

type knownAddress struct {
	lower  string
	weight int
}

// weight is that of all fields that have addr.
func (known knownAddresses) weight(addr string) (sum int) {
	lower := strings.ToLower(addr)
	for _, k := range known {
		if k.lower == lower {
			sum += k.weight
		}
	}
	return sum
}

func (m *message) knownAddresses() knownAddresses {
	var known knownAddresses
	for _, w := range fieldWeights {
		h := m.header
		if w.returned {
			h = m.returned.header
		}
		for _, name := range w.fields {
			for _, a := range h.addresses(name) {
				known = append(known, knownAddress{strings.ToLower(a), w.weight})
			}
		}
	}
	return known
}

// textRecipients takes the addresses with the surest wording. Where addresses stand in a list, or the same sentence is
// said of several, all of them count.
func (p *prose) textRecipients() []string {
	all := p.candidates()
	best := candidate{weight: inSentence - 1}
	for _, c := range all {
		if c.weight > best.weight {
			best = c
		}
	}
	var found []string
	for _, c := range all {
		listed := c.wording >= beforeReason || c.shape == best.shape && c.wording >= inSentence
		if c.weight == best.weight || c.wording == best.wording && listed && c.weight >= best.weight-addressed {
			found = addAddress(found, c.addr)
		}
	}
	return found
}

// candidateReader finds the candidates line by line.
type candidateReader struct {
	m     *message
	known knownAddresses
	own   *ownAddresses
	found []candidate
	owner int // indentation of the address whose lines these are; -1 outside of such lines
	other otherContact
}

func (m *message) findCandidates() []candidate {
	r := candidateReader{m: m, known: m.knownAddresses(), own: m.ownAddresses(""), owner: -1}
	r.other.may = m.folded.in().have(phrases.address.elsewhere)
	spans := m.folded.spans()
	for i, line := range m.folded.lines() {
		r.read(line, spans[i])
	}
	return r.found
}

func (r *candidateReader) read(line string, spans []address.Span) {
	indent := len(line) - len(strings.TrimLeft(line, " \t"))
	if r.owner >= 0 && indent <= r.owner || indent == len(line) {
		r.owner = -1
	}
	ofOther := r.other.open
	r.other.pass(strings.TrimSpace(line))
	if !strings.Contains(line, "@") || isIDLine(line) {
		return
	}
	ofOther = ofOther && !namesRecipient(line)
	end := 0 // of the address before
	for i, s := range spans {
		if len(r.found) > 2*maxRecipients {
			return
		}
		if address.Valid(s.Addr) && (s.Angled || address.PlausibleDomain(s.Addr[strings.LastIndexByte(s.Addr, '@')+1:])) {
			inList := i > 0 && len(r.found) > 0 && strings.Trim(line[end:s.Start], " ,;") == "" // "to: jo@…, max@…"
			r.add(line, s, indent, inList, ofOther)
		}
		end = s.End
	}
}

// add weighs an address. inList says that it follows the one before with nothing between them, ofOther that the line is of
// somebody else than the recipient.
func (r *candidateReader) add(line string, s address.Span, indent int, inList, ofOther bool) {
	c := candidate{addr: s.Addr, wording: wordings[wordingAt(line, s)].weight, shape: line[:s.Start] + text.Cut(line[s.End:], 24)}
	if inList {
		before := r.found[len(r.found)-1]
		c.wording, c.shape = max(c.wording, before.wording), before.shape
	}
	switch {
	case ofOther, c.wording > notRecipient && r.own.has(s.Addr):
		c.wording = notRecipient
	case r.owner >= 0: // "<jo@example.org>: host … said: 550\n    <bounces@example.com>: unauthorized sender"
		c.wording = min(c.wording, mentioned)
	case c.wording >= beforeReason:
		r.owner = indent
	}
	c.weight = c.wording + r.known.weight(s.Addr)
	if c.wording < onItsOwn && hasRole(c.addr, helpRoles) && r.m.ofReporter(c.addr) {
		c.weight += helpDesk
	}
	r.found = append(r.found, c)
}

// leadsElsewhere looks at the end of a clause.
func leadsElsewhere(clause string) bool {
	in := phrases.in(text.Fold(text.Tail(clause, 120)))
	return in.have(phrases.address.elsewhere) && !in.have(phrases.failure.anyText|phrases.failure.clause)
}

// namesRecipient says whether a line says itself that its address is the recipient, or what was answered.
func namesRecipient(line string) bool {
	line = text.Cut(line, maxWording)
	code, _ := smtp.FindReply(line)
	at := strings.IndexByte(line, '@')
	return code != 0 || at > 0 && phrases.in(text.Fold(line[:at])).have(phrases.address.ofRecipient)
}

// An otherContact is what a sentence opens that leads to another address than the one that failed: "Please write to:", or "For
// further assistance, forward this to" at the end of a line.
type otherContact struct {
	may        bool // the text has a phrase that leads
	open       bool
	unfinished bool   // only for the next line
	before     string // the line before
}

// pass reads a line, without the white space around it.
func (o *otherContact) pass(line string) {
	promises, names := strings.HasSuffix(line, ":"), strings.Contains(line, "@")
	if line == "" || names && !promises {
		o.open = o.open && !o.unfinished
		return
	}
	clause := line[strings.LastIndex(line, ". ")+1:]
	leads := o.may && leadsElsewhere(clause) || promises && len(clause) < 40 && leadsElsewhere(o.before+" "+clause)
	o.open = leads && (promises || strings.IndexByte(".!?;)", line[len(line)-1]) < 0)
	o.unfinished, o.before = !promises, line
}

// bullets decorate the beginning of a line.
const bullets = " \t>*-–—•·●○■□▪◦►»→|\"'(<"

// withoutNumber takes off what numbers a list's line: "1) ", "2. ", "[3] ".
func withoutNumber(s string) string {
	rest := strings.TrimLeft(s, " \t[(#")
	n := text.Digits(rest)
	if n == 0 || n > 3 || n == len(rest) || strings.IndexByte(").]:", rest[n]) < 0 {
		return s
	}
	return rest[n+1:]
}

// saysDelivered says whether what stands behind an address begins with a word of success and has none of failure.
func saysDelivered(after string) bool {
	after = strings.TrimLeft(after, " .:-=>")
	for _, word := range phrases.success.behindAddress {
		rest, found := strings.CutPrefix(after, word)
		if found && (rest == "" || !isWordByte(rest[0])) {
			code, _ := smtp.FindReply(rest)
			return code == 0 && len(strings.TrimSpace(rest)) < 24 && !phrases.in(rest).have(phrases.failure.anyText|phrases.failure.mailbox) &&
				!phrases.in(after).have(phrases.failure.clause)
		}
	}
	return false
}

func isWordByte(c byte) bool { return 'a' <= c && c <= 'z' || text.IsDigit(c) || c >= utf8.RuneSelf }
