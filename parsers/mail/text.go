package mail

import (
	"slices"
	"strings"
	"sync"

	"bouncefeed/internal/address"
	"bouncefeed/internal/event"
	"bouncefeed/internal/smtp"
	"bouncefeed/internal/text"
)

// maxWords is how much of a text is searched for words, in bytes; a report says what it has to say at the top.
const maxWords = 64 << 10

// readText parts the text for humans from the copy of the returned message that many append to it, or show within it.
func (t *returnedMail) readText(whole string) (body string) {
	whole = text.Cut(whole, maxWords)
	lines := strings.Split(whole, "\n")
	end, start := findCopy(lines)
	if next := resumes(lines, start); next > 0 {
		t.addCopy(strings.Join(lines[start:next], "\n"), indentOf(lines[start]))
		lines = slices.Concat(lines[:end], lines[next:])
		end, start = findCopy(lines)
		body = strings.Join(withoutGreeting(lines[:end]), "\n")
	} else {
		greeting := end - len(withoutGreeting(lines[:end]))
		stop := max(size(lines[:end])-1, 0)
		body = whole[min(size(lines[:greeting]), stop):stop]
	}
	if start < len(lines) {
		t.addCopy(strings.Join(lines[start:], "\n"), indentOf(lines[start]))
	}
	t.proof.AddRaw(whole)
	t.to = t.header.addresses("To")
	return body
}

// size is that of lines with their line ends.
func size(lines []string) int {
	n := len(lines)
	for _, line := range lines {
		n += len(line)
	}
	return n
}

// A foldedBody is a text as phrases are compared with it, read when it is first needed.
type foldedBody struct {
	body, folded string
	found        sections
	searched     bool
	cut          []string
	addresses    [][]address.Span
}

func (m *message) setBody(body string) { m.body, m.folded = body, &foldedBody{body: body} }

// words are the text; a phrase may end with a blank, so it does.
func (f *foldedBody) words() string {
	if f.folded == "" {
		f.folded = text.FoldCollapse(f.body, " ")
	}
	return f.folded
}

// lines are its first lines, as they stand.
func (f *foldedBody) lines() []string {
	if f.cut == nil {
		f.cut = strings.Split(f.body, "\n")
		f.cut = f.cut[:min(len(f.cut), textLinesToRead)]
	}
	return f.cut
}

// spans are the addresses in each of the lines.
func (f *foldedBody) spans() [][]address.Span {
	if f.addresses == nil {
		f.addresses = make([][]address.Span, len(f.lines()))
		for i, line := range f.cut {
			if strings.IndexByte(line, '@') >= 0 {
				f.addresses[i] = address.Find(line)
			}
		}
	}
	return f.addresses
}

// in are the sections of which it has a phrase.
func (f *foldedBody) in() sections {
	if !f.searched {
		f.found, f.searched = phrases.in(f.words()), true
	}
	return f.found
}

// withoutGreeting takes off a letter's salutation: "Dear sender," says nothing of the sender.
func withoutGreeting(lines []string) []string {
	at := blankLines(lines)
	if at == len(lines) {
		return lines
	}
	line := strings.TrimSpace(lines[at])
	if len(line) > 64 || strings.ContainsAny(line, "@0123456789:") || !strings.HasSuffix(line, ",") && !strings.HasSuffix(line, "!") && !strings.HasSuffix(line, "，") || saysFailure(line) {
		return lines
	}
	return lines[at+1:]
}

// addCopy takes the returned header from a copy in the text, each of whose lines begins with indent.
func (t *returnedMail) addCopy(lines, indent string) {
	if indent != "" {
		lines = strings.ReplaceAll("\n"+lines, "\n"+indent, "\n")
	}
	h, _ := cutHeader([]byte(lines))
	if t.header == nil {
		t.header = h
	}
	if typ, _ := mediaType(h.get("Content-Type")); typ == "multipart/report" {
		t.report = []byte(lines)
	}
	t.proof.addReturned(h)
}

// firstText is the first part that says something. A text that begins with a header is what some MTAs attach instead
// of a message/rfc822.
func (t *returnedMail) firstText(parts []*mimeEntity) string {
	var text string
	for _, part := range parts {
		switch s := part.text(); {
		case strings.TrimSpace(s) == "":
		case text == "":
			text = s
		default:
			if _, start := findCopy(strings.SplitN(strings.TrimLeft(s, "\n"), "\n", 40)); start == 0 {
				t.addCopy(s, "")
			}
		}
	}
	return text
}

// copyFields are the fields that only a message's own header has; "Subject" and "To" also stand in summaries.
var copyFields = []string{"received", "return-path", "message-id", "mime-version", "dkim-signature", "delivered-to", "x-mailer", "content-type"}

var summaryFields = []string{"from", "to", "subject", "date", "sender", "reply-to", "cc"}

// findCopy finds where the returned message begins in lines: end is where the report's own text ends, start where
// the returned header begins. Both are len(lines) if there is none.
func findCopy(lines []string) (end, start int) {
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
func resumes(lines []string, start int) int {
	if start == len(lines) || strings.Trim(indentOf(lines[start]), " \t") != "" || indentOf(lines[start]) == "" {
		return 0
	}
	for i := start; i < len(lines); i++ {
		if strings.TrimSpace(lines[i]) != "" && !strings.HasPrefix(lines[i], indentOf(lines[start])) {
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
	return (ruled || len(line) < 48 && line[len(line)-1] == ':') && phrases.in(text.Fold(line)).have(phrases.layout.copyMark)
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
		colon := fieldColon(line[:min(len(line), 80)])
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

// prose is a message that is judged by its words.
type prose struct {
	*message
	subject    string // folded
	ownSubject string // without the subject that a report quotes
	// The phrases that these have.
	inSubject, inOwnSubject sections
	// candidates are the addresses in the text, in their order.
	candidates func() []candidate
	signs      signMemo
}

func newProse(m *message) *prose {
	p := &prose{message: m, subject: text.FoldCollapse(m.header.text("Subject"), "")}
	p.inSubject = phrases.in(p.subject)
	p.ownSubject, p.inOwnSubject = p.subject, p.inSubject
	if p.inSubject.have(phrases.failure.subject) {
		p.ownSubject = ownSubject(p.subject)
		p.inOwnSubject = phrases.in(p.ownSubject)
	}
	p.candidates = sync.OnceValue(m.findCandidates)
	p.signs.tests = &signTests
	return p
}

// bounces reads a bounce that no standard describes.
func (p *prose) bounces() ([]event.Event, error) {
	if strings.Contains(p.folded.words(), "final-recipient:") {
		if events, err := p.dsnEvents(parseDSN(p.body, p.splitsWord)); len(events) > 0 || err != nil {
			return events, err
		}
	}
	failures, p := p.failures()
	if p.returned.report != nil && (failures[0].failed == "" || p.body == "") {
		if events, err := p.enclosedReport(); len(events) > 0 || err != nil {
			return events, err
		}
	}
	said := p.said()
	events := make([]event.Event, 0, len(failures))
	for _, f := range failures {
		e := p.event()
		e.Recipient, e.OriginalRecipient = f.failed, f.other
		of := said.of(len(failures) == 1, f.failed, f.other)
		if e.Diagnostic = of.find(); e.Diagnostic == "" {
			e.Diagnostic = of.excerpt()
		}
		e.NeverHard = saysExpired(e.Diagnostic) || of.alone && p.folded.in().have(phrases.failure.expired)
		e.RemoteMTA = remoteIn(e.Diagnostic)
		e.Diagnostic = withoutWarning(onlyReply(e.Diagnostic))
		e.Code, _ = smtp.FindReply(e.Diagnostic)
		e.Status = smtp.FindStatus(e.Diagnostic, "245")
		events = addFailure(events, e)
	}
	return p.prove(events), nil
}

// enclosedReport reads the report that a mail system wrapped in words of its own: what it returns is itself a report.
func (m *message) enclosedReport() ([]event.Event, error) {
	r := mimeReader{left: maxParts}
	inner := takeApart(r.open(m.returned.report, 1), &r, m.read)
	if inner.status == nil {
		return nil, nil
	}
	return inner.dsnEvents(parseDSN(inner.status.text(), inner.splitsWord))
}
