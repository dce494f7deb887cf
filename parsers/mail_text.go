package parsers

import (
	"slices"
	"strings"

	"bouncefeed/internal/event"
	"bouncefeed/internal/smtp"
	"bouncefeed/internal/text"
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

func (m *mailMessage) useText(words string) {
	words = text.Cut(words, mailMaxWords)
	lines := strings.Split(words, "\n")
	end, header := findCopy(lines)
	if next := resumes(lines, header); next > 0 {
		m.useOriginal(strings.Join(lines[header:next], "\n"), indentOf(lines[header]))
		lines = slices.Concat(lines[:end], lines[next:])
		end, header = findCopy(lines)
	}
	m.body, m.searched = strings.Join(withoutGreeting(lines[:end]), "\n"), false
	m.lower = text.FoldCollapse(m.body) + " "
	if header < len(lines) {
		m.useOriginal(strings.Join(lines[header:], "\n"), indentOf(lines[header]))
	}
	m.proof.addRaw(words)
}

// withoutGreeting takes off a letter's salutation: "Dear sender," says nothing of the sender.
func withoutGreeting(lines []string) []string {
	at := blankLines(lines)
	if at == len(lines) {
		return lines
	}
	line := strings.TrimSpace(lines[at])
	if len(line) > 64 || strings.ContainsAny(line, "@0123456789:") || !strings.HasSuffix(line, ",") && !strings.HasSuffix(line, "!") && !strings.HasSuffix(line, "，") || tells(line) {
		return lines
	}
	return lines[at+1:]
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
		switch t := part.text(); {
		case strings.TrimSpace(t) == "":
		case text == "":
			text = t
		default:
			if _, header := findCopy(strings.SplitN(strings.TrimLeft(t, "\n"), "\n", 40)); header == 0 {
				m.useOriginal(t, "")
			}
		}
	}
	return text
}

// copyFields are the fields that only a message's own header has; "Subject" and "To" also stand in summaries.
var copyFields = []string{"received", "return-path", "message-id", "mime-version", "dkim-signature", "delivered-to", "x-mailer", "content-type"}

var summaryFields = []string{"from", "to", "subject", "date", "sender", "reply-to", "cc"}

// findCopy finds where the returned message begins in lines: end is where the report's own text ends, header where the
// returned header begins. Both are len(lines) if there is none.
func findCopy(lines []string) (end, header int) {
	end = -1
	for i, line := range lines {
		if end < 0 && isCopyMark(line) {
			end = i
			if next := i + 1 + blankLines(lines[i+1:]); next < len(lines) && summaryBegins(lines[next:]) {
				return end, next
			}
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

// resumes finds where a report goes on behind the returned header that it shows indented between its own words, as PMDF
// and X.400 gateways do: the first line that is not indented. 0: nowhere.
func resumes(lines []string, header int) int {
	if header == len(lines) || strings.Trim(indentOf(lines[header]), " \t") != "" || indentOf(lines[header]) == "" {
		return 0
	}
	for i := header; i < len(lines); i++ {
		if strings.TrimSpace(lines[i]) != "" && !strings.HasPrefix(lines[i], indentOf(lines[header])) {
			return i
		}
	}
	return 0
}

// isCopyMark knows a ruled line such as "--- Below this line is a copy of the message.", or a short heading.
func isCopyMark(line string) bool {
	line = strings.TrimSpace(line)
	if len(line) < 8 || len(line) > 120 {
		return false
	}
	ruled := strings.IndexByte("-=*_#+|", line[0]) >= 0 && strings.IndexByte("-=*_#+", line[1]) >= 0
	return (ruled || len(line) < 48 && line[len(line)-1] == ':') && copyMarks.in(text.Fold(line))
}

func blankLines(lines []string) int {
	n := 0
	for n < len(lines) && strings.TrimSpace(lines[n]) == "" {
		n++
	}
	return n
}

// summaryBegins says whether lines begin with two fields of a message's summary: "From:", "To:", "Subject:".
func summaryBegins(lines []string) bool {
	for _, line := range lines[:min(len(lines), 2)] {
		name, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(line)), ":")
		if !slices.Contains(summaryFields, name) && !slices.Contains(copyFields, name) {
			return false
		}
	}
	return len(lines) > 1
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
		switch known := slices.Contains(copyFields, name); {
		case known:
			own++
		case n == 0 && !slices.Contains(summaryFields, name) && !strings.HasPrefix(name, "x-"):
			return false
		}
		if fields++; fields >= 3 && own > 0 {
			return true
		}
	}
	return fields == own && own > 0 && fields >= 2
}

func indentOf(line string) string {
	return line[:len(line)-len(strings.TrimLeft(line, " \t>|"))]
}

// textEvents reads a bounce that no standard describes.
func (m *mailMessage) textEvents() []event.Event {
	if m.isComplaint() {
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
		e.Diagnostic = m.diagnosisFor(f)
		e.Expired = saysExpired(e.Diagnostic) || len(failures) == 1 && saysExpired(m.lower)
		e.RemoteMTA = remoteIn(e.Diagnostic)
		e.Diagnostic = theReply(e.Diagnostic)
		e.Code, _ = smtp.FindReply(e.Diagnostic)
		e.Status = smtp.FindStatus(e.Diagnostic, "245")
		events = append(events, m.failure(e, len(failures) == 1))
	}
	return events
}

// enclosedReport reads the report that a mail system wrapped in words of its own: what it returns is itself a report.
func (m *mailMessage) enclosedReport() []event.Event {
	r := mimeReader{left: mailMaxParts}
	inner := &mailMessage{rec: m.rec, root: r.open(m.wrapped, 1)}
	inner.header = inner.root.header
	inner.sortParts(inner.root)
	if inner.status == nil {
		return nil
	}
	inner.readOriginal(&r)
	inner.readText()
	return inner.dsnEvents(parseDSN(inner.status.text()))
}
