package parsers

import (
	"bouncefeed/internal/smtp"
	"bouncefeed/internal/text"
	"slices"
	"strings"
	"unicode/utf8"
)

// failures finds who failed: what the header says, else what the text says, else to whom the returned message went if
// that was one. The last resort is a failure of nobody: a bounce to be counted.
func (p *prose) failures() ([]string, *prose) {
	var found []string
	p.header.each("X-Failed-Recipients", func(v string) {
		for _, a := range strings.Split(decodeWords(v), ",") {
			found = addAddress(found, cleanAddress(a))
		}
	})
	if len(found) == 0 || !p.names(found) {
		if named := p.textRecipients(); len(named) > 0 {
			found = named
		}
	}
	if len(found) == 0 && len(p.pages) > 0 && len(p.texts) > 0 {
		p = newProse(p.page())
		found = p.textRecipients()
	}
	if len(found) == 0 {
		found = p.localRecipients()
	}
	if len(found) == 0 && p.returned.report == nil {
		if found = p.returned.header.addresses("To"); len(found) != 1 || p.returned.header.has("Cc") || !isAddress(found[0]) {
			found = nil
		}
	}
	if len(found) == 0 {
		found = p.subjectRecipient()
	}
	if len(found) == 0 {
		found = p.onlyMention()
	}
	if len(found) == 0 {
		found = []string{p.returned.proof.recipient}
	}
	return found, p
}

// onlyMention is the one address that the text has, if it is neither ours nor of the reporter's domain.
func (p *prose) onlyMention() []string {
	var found []string
	for _, c := range p.candidates() {
		if c.named() {
			found = addAddress(found, c.addr)
		}
	}
	if len(found) != 1 || hasRole(found[0], helpRoles) || p.ofReporter(found[0]) && hasRole(found[0], officeRoles) {
		return nil
	}
	return found
}

// ofReporter says whether addr is in the domain of who sent the report.
func (m *mailMessage) ofReporter(addr string) bool {
	return slices.ContainsFunc(m.header.addresses("From"), func(from string) bool { return sameDomain(from, addr) })
}

func sameDomain(a, b string) bool {
	return sameAddress(a[strings.LastIndexByte(a, '@'):], b[strings.LastIndexByte(b, '@'):])
}

// Local parts of those whom one asks about mail (RFC 2142 and its kind), and of an office that a report may name.
var (
	helpRoles = []string{"postmaster", "hostmaster", "webmaster", "abuse", "support", "helpdesk", "help", "noreply", "no-reply",
		"mailer-daemon", "security", "noc"}
	officeRoles = []string{"admin", "administrator", "contact", "kontakt", "info", "service", "root", "mailer"}
)

func hasRole(addr string, roles []string) bool {
	return slices.Contains(roles, strings.ToLower(addr[:strings.LastIndexByte(addr, '@')]))
}

// subjectRecipient reads "Undeliverable mail for jo@example.org" and "Delivery failure (jo@example.org)". An address
// that the returned subject brought along stands behind a colon.
func (p *prose) subjectRecipient() []string {
	subject := p.header.text("Subject")
	spans := textAddresses(subject)
	if len(spans) != 1 || strings.Contains(subject[:spans[0].start], ":") {
		return nil
	}
	if from := p.from; !from.daemon && !from.null && !failureSubjects.in(text.Fold(subject[:spans[0].start])) {
		return nil
	}
	if p.knownAddresses()[strings.ToLower(spans[0].addr)] < 0 {
		return nil
	}
	return addAddress(nil, spans[0].addr)
}

// names says whether the text names one of addrs.
func (p *prose) names(addrs []string) bool {
	for _, a := range addrs {
		if strings.Contains(p.words, text.Fold(a)) {
			return true
		}
	}
	return false
}

// localRecipients reads AOL's way: "…to the following recipients could not be delivered…:" and a line with the local
// part alone. The domain is the reporter's.
func (p *prose) localRecipients() []string {
	from := p.header.addresses("From")
	if len(from) != 1 || !p.from.daemon {
		return nil
	}
	domain := from[0][strings.LastIndexByte(from[0], '@'):]
	var found []string
	listed := false
	for _, line := range strings.Split(p.body, "\n") {
		switch line = strings.TrimSpace(line); {
		case line == "":
		case strings.Contains(line, "following recipient"):
			listed = strings.HasSuffix(line, ":")
		case listed && !strings.ContainsAny(line, " \t@:/"):
			found = addAddress(found, line+domain)
		default:
			listed = false
		}
	}
	return found
}

// How sure a line's wording makes an address the failed recipient.
const (
	notRecipient = iota
	mentioned    // it just stands there
	inSentence   // "…your message to jo@example.org could not be…"
	afterLabel   // "To: jo@example.org", "RCPT TO:<jo@example.org>"
	beforeReason // "jo@example.org… User unknown", "550 <jo@example.org>… User unknown"
	onItsOwn     // a line for itself, or "<jo@example.org>:"
)

// What is known of an address weighs besides its wording, in halves of a step.
const (
	inOriginalTo = 1  // the returned message was addressed to it
	isSenders    = -3 // ours, or the reporter's
)

const textLinesToRead = 400

// A candidate is an address in a text that may be the failed recipient.
type candidate struct {
	addr          string
	shape         string // the words around it
	weight, class int
}

// named says whether c is somebody, and neither we nor the reporter.
func (c candidate) named() bool { return c.class >= mentioned && c.weight >= 2*c.class }

// textRecipients takes the addresses with the surest wording. Where addresses stand in a list, or the same sentence is
// said of several, all of them count.
func (p *prose) textRecipients() []string {
	all := p.candidates()
	best := candidate{weight: 2*inSentence - 1}
	for _, c := range all {
		if c.weight > best.weight {
			best = c
		}
	}
	var found []string
	for _, c := range all {
		listed := c.class >= beforeReason || c.shape == best.shape && c.class >= inSentence
		if c.weight == best.weight || c.class == best.class && listed && c.weight >= best.weight-inOriginalTo {
			found = addAddress(found, c.addr)
		}
	}
	return found
}

func (m *mailMessage) findCandidates() []candidate {
	var all []candidate
	known := m.knownAddresses()
	lines := strings.Split(m.body, "\n")
	owner := -1 // indentation of the address whose lines these are; -1 outside of such lines
	var aside aside
	for _, line := range lines[:min(len(lines), textLinesToRead)] {
		indent := len(line) - len(strings.TrimLeft(line, " \t"))
		if owner >= 0 && indent <= owner || indent == len(line) {
			owner = -1
		}
		elsewhere := aside.open
		aside.pass(strings.TrimSpace(line))
		if !strings.Contains(line, "@") || len(all) > 2*mailMaxRecipients {
			continue
		}
		labelled := elsewhere && namesRecipient(line)
		spans := textAddresses(line)
		for i, s := range spans {
			if len(all) > 2*mailMaxRecipients {
				break
			}
			if !isAddress(s.addr) || !s.angled && !plausibleDomain(s.addr[strings.LastIndexByte(s.addr, '@')+1:]) {
				continue
			}
			c := candidate{addr: s.addr, class: wording(line, s), shape: line[:s.start] + text.Cut(line[s.end:], 24)}
			if i > 0 && len(all) > 0 && strings.Trim(line[spans[i-1].end:s.start], " ,;") == "" { // "to: jo@…, max@…"
				c.class, c.shape = max(c.class, all[len(all)-1].class), all[len(all)-1].shape
			}
			if elsewhere && !labelled {
				c.class = notRecipient
			} else if owner >= 0 { // "<jo@example.org>: host … said: 550\n    <bounces@example.com>: unauthorized sender"
				c.class = min(c.class, mentioned)
			} else if c.class >= beforeReason {
				owner = indent
			}
			c.weight = 2*c.class + known[strings.ToLower(s.addr)]
			if c.class < onItsOwn && hasRole(c.addr, helpRoles) && m.ofReporter(c.addr) {
				c.weight += 2 * isSenders
			}
			all = append(all, c)
		}
	}
	return all
}

// leadsElsewhere looks at the end of a clause.
func leadsElsewhere(clause string) bool {
	clause = text.Fold(text.Tail(clause, 120))
	return elsewhereWords.in(clause) && !failureTexts.in(clause) && !undeliveredTexts.in(clause)
}

// namesRecipient says whether a line says itself that its address is the recipient, or what was answered.
func namesRecipient(line string) bool {
	line = text.Cut(line, mailMaxWording)
	code, _ := smtp.FindReply(line)
	at := strings.IndexByte(line, '@')
	return code != 0 || at > 0 && recipientWords.in(text.Fold(line[:at]))
}

// An aside is what a sentence opens that leads to another address than the one that failed: "Please write to:", or "For
// further assistance, forward this to" at the end of a line.
type aside struct {
	open       bool
	unfinished bool   // only for the next line
	before     string // the line before
}

// pass reads a line, without the white space around it.
func (a *aside) pass(line string) {
	promises, names := strings.HasSuffix(line, ":"), strings.Contains(line, "@")
	if line == "" || names && !promises {
		a.open = a.open && !a.unfinished
		return
	}
	clause := line[strings.LastIndex(line, ". ")+1:]
	leads := leadsElsewhere(clause) || promises && len(clause) < 40 && leadsElsewhere(a.before+" "+clause)
	a.open = leads && (promises || strings.IndexByte(".!?;)", line[len(line)-1]) < 0)
	a.unfinished, a.before = !promises, line
}

func (m *mailMessage) knownAddresses() map[string]int {
	known := map[string]int{}
	weigh := func(h mailHeader, weight int, names ...string) {
		for _, name := range names {
			for _, a := range h.addresses(name) {
				known[strings.ToLower(a)] += weight
			}
		}
	}
	weigh(m.returned.header, isSenders, "From", "Return-Path", "Sender")
	weigh(m.header, isSenders, "To", "Delivered-To", "From", "Reply-To")
	weigh(m.returned.header, inOriginalTo, "To", "Cc")
	return known
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
	for _, word := range deliveredWords {
		rest, found := strings.CutPrefix(after, word)
		if found && (rest == "" || !isWordByte(rest[0])) {
			code, _ := smtp.FindReply(rest)
			return code == 0 && !failureTexts.in(rest) && !undeliveredTexts.in(after) && !mailboxTexts.in(rest) && len(strings.TrimSpace(rest)) < 24
		}
	}
	return false
}

func isWordByte(c byte) bool { return 'a' <= c && c <= 'z' || text.IsDigit(c) || c >= utf8.RuneSelf }

func beginsWith(s string, words []string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(s, w) })
}

const mailMaxWording = 512 // bytes before and behind an address that say what it is

// wording judges an address by what stands around it in its line.
func wording(line string, s addressSpan) int {
	before := text.Fold(strings.TrimLeft(withoutNumber(text.Tail(line[:s.start], mailMaxWording)), bullets))
	after := text.Fold(strings.TrimSpace(text.Cut(line[s.end:], mailMaxWording)))
	after = strings.TrimLeft(after, "\"')")
	if senderWords.in(before) && !recipientWords.in(before) {
		return notRecipient
	}
	if before != "" && elsewhereWords.in(text.Tail(before, 40)) && !failureTexts.in(before) || saysDelivered(after) {
		return notRecipient
	}
	switch {
	case senderVerdicts.in(text.Cut(after, 40)): // "<news@example.com>: Sender address rejected"
		return notRecipient
	case before == "" && (after == "" || after == "." || after == "," || after == ";" || after[0] == ':'):
		return onItsOwn
	case (before == "" || smtp.Code(before) != 0 && strings.Trim(before, "0123456789.-# <") == "") && !senderWords.in(after):
		return beforeReason
	case strings.HasSuffix(strings.TrimRight(before, " \t<"), ":") && recipientWords.in(before), strings.HasPrefix(before, "to:"):
		return afterLabel
	case recipientWords.in(before) || recipientWords.in(after) || failureTexts.in(before) || failureTexts.in(after):
		return inSentence
	}
	if code, _ := smtp.FindReply(line); code != 0 {
		return inSentence
	}
	return mentioned
}
