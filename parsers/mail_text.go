package parsers

import (
	"strings"

	"bouncefeed/internal/event"
)

// readText takes the text for humans and parts it from the copy of the returned message that many append to it.
func (m *mailMessage) readText() {
	if m.lower != "" {
		return
	}
	text := m.firstText(m.texts)
	if text == "" {
		text = m.firstText(m.pages)
	}
	m.useText(text)
}

// mailMaxWords is how much of a text is searched for words, in bytes; a report says what it has to say at the top.
const mailMaxWords = 64 << 10

func (m *mailMessage) useText(text string) {
	text = cutText(text, mailMaxWords)
	lines := strings.Split(text, "\n")
	end, header := findCopy(lines)
	m.body = strings.Join(lines[:end], "\n")
	m.lower = collapse(strings.ToLower(m.body)) + " "
	if header < len(lines) {
		m.useOriginal(strings.Join(lines[header:], "\n"), indentOf(lines[header]))
	}
	m.proof.addRaw(text)
}

// useOriginal takes the returned header from text, each of whose lines begins with indent.
func (m *mailMessage) useOriginal(text, indent string) {
	if indent != "" {
		text = strings.ReplaceAll("\n"+text, "\n"+indent, "\n")
	}
	h, _ := cutHeader([]byte(text))
	if m.original == nil {
		m.original = h
	}
	if typ, _ := mediaType(h.get("Content-Type")); typ == "multipart/report" {
		m.wrapped = []byte(text)
	}
	m.proof.addReturned(h)
}

// firstText is the first part that says something. A text that begins with a header is what some MTAs attach instead
// of a message/rfc822.
func (m *mailMessage) firstText(parts []*mimeEntity) string {
	var text string
	for _, part := range parts {
		t := part.text()
		switch _, header := findCopy(strings.SplitN(strings.TrimLeft(t, "\n"), "\n", 40)); {
		case strings.TrimSpace(t) == "":
		case text != "" && header == 0:
			m.useOriginal(t, "")
		case text == "":
			text = t
		}
	}
	return text
}

// copyFields are the fields that only a message's own header has; "Subject" and "To" also stand in summaries.
var copyFields = phrases(`
received
return-path
message-id
mime-version
dkim-signature
delivered-to
x-mailer
content-type
`)

var summaryFields = phrases(`
from
to
subject
date
sender
reply-to
cc
`)

// findCopy finds where the returned message begins in lines: end is where the report's own text ends, header where the
// returned header begins. Both are len(lines) if there is none.
func findCopy(lines []string) (end, header int) {
	end = -1
	for i, line := range lines {
		if end < 0 && isCopyMark(line) {
			end = i
		}
		if beginsHeader(lines[i:]) {
			if end < 0 {
				end = i
			}
			return end, i
		}
	}
	if end < 0 {
		end = len(lines)
	}
	return end, len(lines)
}

// isCopyMark knows a ruled line such as "--- Below this line is a copy of the message."
func isCopyMark(line string) bool {
	line = strings.TrimSpace(line)
	if len(line) < 8 || len(line) > 120 || strings.IndexByte("-=*_#+", line[0]) < 0 || line[1] != line[0] {
		return false
	}
	return containsAny(strings.ToLower(line), copyMarks)
}

// beginsHeader says whether lines begin with three fields, one of which only a message's own header has.
func beginsHeader(lines []string) bool {
	indent := indentOf(lines[0])
	fields, own := 0, 0
	for n, line := range lines[:min(len(lines), 24)] {
		line, indented := strings.CutPrefix(line, indent)
		if line == "" || !indented {
			break
		}
		if n > 0 && (line[0] == ' ' || line[0] == '\t') {
			continue
		}
		colon := fieldColon([]byte(line[:min(len(line), 80)]))
		if colon < 0 {
			break
		}
		name := strings.ToLower(strings.TrimSpace(line[:colon]))
		switch known := isOneOf(name, copyFields); {
		case known:
			own++
		case n == 0 && !isOneOf(name, summaryFields) && !strings.HasPrefix(name, "x-"):
			return false
		}
		if fields++; fields >= 3 && own > 0 {
			return true
		}
	}
	return fields == own && own > 0 && fields >= 2
}

func isOneOf(word string, list []string) bool {
	for _, w := range list {
		if w == word {
			return true
		}
	}
	return false
}

func indentOf(line string) string {
	return line[:len(line)-len(strings.TrimLeft(line, " \t>|"))]
}

// textEvents reads a bounce that no standard describes.
func (m *mailMessage) textEvents() []event.Event {
	if m.hotmailComplaint() {
		e := m.event()
		e.Type = event.Complaint
		return m.complaints(e, m.originalRecipients())
	}
	if strings.Contains(m.lower, "final-recipient:") {
		if events := m.dsnEvents(parseDSN(m.body)); len(events) > 0 {
			return events
		}
	}
	failures := m.failures()
	if m.wrapped != nil && (failures[0] == "" || m.body == "") {
		if events := m.enclosedReport(); len(events) > 0 {
			return events
		}
	}
	events := make([]event.Event, 0, len(failures))
	for _, f := range failures {
		e := m.event()
		e.Recipient = f
		e.Diagnostic = m.diagnosisFor(f, "")
		e.Expired = saysExpired(e.Diagnostic) || len(failures) == 1 && saysExpired(m.lower)
		e.RemoteMTA = remoteIn(e.Diagnostic)
		e.Diagnostic = theReply(e.Diagnostic)
		e.Code, _ = findReply(e.Diagnostic)
		e.Status = firstStatus(e.Diagnostic)
		events = append(events, m.failure(e, len(failures) == 1))
	}
	return events
}

// enclosedReport reads the report that a mail system wrapped in words of its own: what it returns is itself a report.
func (m *mailMessage) enclosedReport() []event.Event {
	if m.wrapped == nil {
		return nil
	}
	r := mimeReader{left: mailMaxParts}
	inner := &mailMessage{rec: m.rec, root: r.open(m.wrapped, 1)}
	inner.header = inner.root.header
	inner.sortParts(inner.root)
	if inner.status == nil {
		return nil
	}
	inner.readOriginal(&r)
	return inner.dsnEvents(parseDSN(inner.status.text()))
}

// A textFailure is a recipient found in a text; other is the address it was generated from or forwarded to.
type textFailure struct{ addr, other string }

// failures finds who failed: what the header says, else what the text says, else to whom the returned message went if
// that was one. The last resort is a failure of nobody: a bounce to be counted.
func (m *mailMessage) failures() []string {
	var found []string
	m.header.each("X-Failed-Recipients", func(v string) {
		for _, a := range strings.Split(decodeWords(v), ",") {
			found = addAddress(found, cleanAddress(a))
		}
	})
	if len(found) == 0 {
		found = m.textRecipients()
	}
	if len(found) == 0 && len(m.pages) > 0 && len(m.texts) > 0 {
		m.useText(m.firstText(m.pages))
		found = m.textRecipients()
	}
	if len(found) == 0 {
		found = m.localRecipients()
	}
	if len(found) == 0 && m.wrapped == nil {
		if found = m.original.addresses("To"); len(found) != 1 || m.original.has("Cc") || !isAddress(found[0]) {
			found = nil
		}
	}
	if len(found) == 0 {
		found = []string{m.proof.recipient}
	}
	return found
}

// localRecipients reads AOL's way: "…to the following recipients could not be delivered…:" and a line with the local
// part alone. The domain is the reporter's.
func (m *mailMessage) localRecipients() []string {
	from := m.header.addresses("From")
	if len(from) != 1 || !m.sender().daemon {
		return nil
	}
	domain := from[0][strings.LastIndexByte(from[0], '@'):]
	var found []string
	listed := false
	for _, line := range strings.Split(m.body, "\n") {
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

// textRecipients takes the addresses with the surest wording. Where addresses stand in a list, all of it counts.
func (m *mailMessage) textRecipients() []string {
	type candidate struct {
		addr          string
		weight, class int
	}
	known := m.knownAddresses()
	var all []candidate
	best := candidate{weight: 2*inSentence - 1}
	lines := strings.Split(m.body, "\n")
	owner := -1 // indentation of the address whose lines these are; -1 outside of such lines
	for _, line := range lines[:min(len(lines), textLinesToRead)] {
		indent := len(line) - len(strings.TrimLeft(line, " \t"))
		if owner >= 0 && indent <= owner || indent == len(line) {
			owner = -1
		}
		if !strings.Contains(line, "@") || len(all) > 2*mailMaxRecipients {
			continue
		}
		for _, s := range textAddresses(line) {
			if !isAddress(s.addr) || !s.angled && !plausibleDomain(s.addr[strings.LastIndexByte(s.addr, '@')+1:]) {
				continue
			}
			c := candidate{addr: s.addr, class: wording(line, s)}
			if owner >= 0 { // "<jo@example.org>: host … said: 550\n    <bounces@example.com>: unauthorized sender"
				c.class = min(c.class, mentioned)
			} else if c.class >= beforeReason {
				owner = indent
			}
			c.weight = 2*c.class + known[strings.ToLower(s.addr)]
			all = append(all, c)
			if c.weight > best.weight {
				best = c
			}
		}
	}
	var found []string
	for _, c := range all {
		if c.weight == best.weight || c.class == best.class && c.class >= beforeReason && c.weight >= best.weight-inOriginalTo {
			found = addAddress(found, c.addr)
		}
	}
	return found
}

func (m *mailMessage) knownAddresses() map[string]int {
	known := map[string]int{}
	note := func(h mailHeader, weight int, names ...string) {
		for _, name := range names {
			for _, a := range h.addresses(name) {
				known[strings.ToLower(a)] += weight
			}
		}
	}
	note(m.original, isSenders, "From", "Return-Path", "Sender")
	note(m.header, isSenders, "To", "Delivered-To", "From", "Reply-To")
	note(m.original, inOriginalTo, "To", "Cc")
	return known
}

// wording judges an address by what stands around it in its line.
func wording(line string, s addressSpan) int {
	before := strings.ToLower(strings.TrimLeft(line[:s.start], " \t>*-•|\"'(<"))
	after := strings.ToLower(strings.TrimSpace(line[s.end:]))
	after = strings.TrimLeft(after, "\"')")
	if containsAny(before, senderWords) && !containsAny(before, recipientWords) {
		return notRecipient
	}
	switch {
	case before == "" && (after == "" || after == "." || after == "," || after == ";" || after[0] == ':'):
		return onItsOwn
	case (before == "" || replyCode(before) != 0 && strings.Trim(before, "0123456789.-# <") == "") && !containsAny(after, senderWords):
		return beforeReason
	case strings.HasSuffix(strings.TrimRight(before, " \t<"), ":") && containsAny(before, recipientWords), strings.HasPrefix(before, "to:"):
		return afterLabel
	case containsAny(before, recipientWords) || containsAny(after, recipientWords):
		return inSentence
	}
	if code, _ := findReply(line); code != 0 {
		return inSentence
	}
	return mentioned
}
