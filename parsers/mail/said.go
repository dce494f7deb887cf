package mail

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"bouncefeed/internal/address"
	"bouncefeed/internal/smtp"
	"bouncefeed/internal/text"
)

// said is the text for humans, and whose its lines are; it is read when it is first needed.
type said struct {
	m    *message
	read func() saidLines
}

type saidLines struct {
	lines  []string
	spans  [][]address.Span // the addresses in each
	groups []*addressGroup  // of whom it speaks; nil: of nobody, or of all
}

// An addressGroup is the addresses below which the same lines stand.
type addressGroup struct{ addrs []string }

func (g *addressGroup) has(addr string) bool {
	return addr != "" && slices.ContainsFunc(g.addrs, func(a string) bool { return address.Same(a, addr) })
}

func (m *message) said() *said {
	return &said{m, sync.OnceValue(func() saidLines {
		lines := m.folded.lines()
		spans := m.folded.spans()
		return saidLines{lines, spans, findGroups(lines, spans)}
	})}
}

// of is what was said of the recipient addr, also under the address other, which became of it. alone: nobody else failed.
func (s *said) of(alone bool, addr, other string) saidOf {
	read := s.read()
	of := saidOf{m: s.m, lines: read.lines, spans: read.spans, alone: alone, addr: addr, other: other}
	of.whose = of.findWhose(read.groups)
	return of
}

// saidOf is what was said of one recipient.
type saidOf struct {
	m           *message
	lines       []string
	spans       [][]address.Span
	alone       bool
	addr, other string
	whose       []owner // of each line
}

// An owner is whom a line speaks of, as seen by one of the recipients.
type owner byte

const (
	nobodys owner = iota // it may be of anybody
	his                  // it stands below his address, or in the sentence that names him
	theirs               // it is common to those who are written of, and he is one of them
	others
)

// findWhose judges each line. Where one failed and one is written of, it is he, by another of his addresses.
func (s saidOf) findWhose(groups []*addressGroup) []owner {
	whose := make([]owner, len(groups))
	var first *addressGroup
	several, written := false, false
	for _, g := range groups {
		if g != nil {
			several = several || first != nil && g != first
			written = written || g.has(s.addr) || g.has(s.other)
			first = cmp.Or(first, g)
		}
	}
	sentence, lead := false, written
	for i, g := range groups {
		line := s.lines[i]
		switch {
		case s.names(line):
			sentence = true
		case strings.TrimSpace(line) == "" || strings.Contains(line, "@"):
			sentence = false
		}
		lead = lead && g == nil
		switch {
		case s.isReplyOf(line):
			whose[i] = his
		case g != nil && isReplyOfAny(line, groups):
			whose[i] = others
		case g != nil && (g.has(s.addr) || g.has(s.other) || s.alone && !several && !written):
			whose[i] = his
		case g != nil:
			whose[i] = others
		case sentence:
			whose[i] = his
		case lead:
			whose[i] = theirs
		}
	}
	return whose
}

// repliesAbout is the address of whom a reply speaks: "550 5.1.1 <jo@example.org>... User unknown".
func repliesAbout(line string) string {
	line = strings.TrimLeft(line, " \t<>")
	if smtp.Code(line) == 0 || strings.IndexByte(line, '@') < 0 {
		return ""
	}
	if spans := address.Find(line); len(spans) > 0 && strings.Trim(line[:spans[0].Start], "0123456789.- <") == "" {
		return spans[0].Addr
	}
	return ""
}

func (s saidOf) isReplyOf(line string) bool {
	a := repliesAbout(line)
	return a != "" && (address.Same(a, s.addr) || address.Same(a, s.other))
}

// isReplyOfAny says whether a reply speaks of an address below which lines stand.
func isReplyOfAny(line string, groups []*addressGroup) bool {
	a := repliesAbout(line)
	return a != "" && slices.ContainsFunc(groups, func(g *addressGroup) bool { return g != nil && g.has(a) })
}

// names says whether a line has the recipient's address.
func (s saidOf) names(line string) bool {
	in := strings.IndexByte(s.addr, '@')
	if in < 0 {
		return s.addr != "" && strings.Contains(line, s.addr)
	}
	for from := 0; ; {
		at := strings.IndexByte(line[from:], '@')
		if at < 0 {
			return false
		}
		start := from + at - in
		if end := start + len(s.addr); start >= 0 && end <= len(line) && strings.EqualFold(line[start:end], s.addr) {
			return true
		}
		from += at + 1
	}
}

// may says whether a line may speak of the recipient.
func (s saidOf) may(line int) bool {
	whose := s.whose[line]
	return whose == his || whose == theirs || whose == nobodys && s.alone
}

// own are the lines from there on that may speak of the recipient.
func (s saidOf) own(from int) []string {
	var own []string
	for i := from; i < len(s.lines); i++ {
		if s.may(i) {
			own = append(own, s.lines[i])
		}
	}
	return own
}

// excerpt is the text without what says nothing of a failure, and without what it says of others; with the subject before it
// if only that one tells of the only failure.
func (s saidOf) excerpt() string {
	words := text.Cut(text.Collapse(strings.Join(withoutBoilerplate(s.own(0)), "\n")), 600)
	if subject := s.m.header.text("Subject"); s.alone && !saysFailure(words) && saysFailure(subject) {
		return text.Cut(text.Collapse(subject+" "+words), 600)
	}
	return words
}

// withoutBoilerplate leaves out the sentences that every report of a mail system has, and the lines that give one of its ids.
func withoutBoilerplate(lines []string) []string {
	var left []string
	for _, line := range lines {
		if isIDLine(line) {
			continue
		}
		if phrases.in(text.Fold(text.Cut(line, maxWording))).have(phrases.layout.boilerplate) {
			sentences := slices.DeleteFunc(strings.SplitAfter(line, ". "), func(s string) bool { return phrases.in(text.Fold(s)).have(phrases.layout.boilerplate) })
			line = strings.Join(sentences, "")
		}
		left = append(left, line)
	}
	return left
}

// isIDLine knows "Original Message ID: 20261122.1@lists.example.com" in any language: a label with the word ID and one word
// behind it.
func isIDLine(line string) bool {
	label, value, found := strings.Cut(strings.TrimSpace(line), ":")
	value = strings.TrimSpace(value)
	if !found || len(label) > 48 || len(value) < 8 || strings.ContainsAny(value, " \t") {
		return false
	}
	at := text.IndexFold(label, "id")
	for at >= 0 && (at > 0 && text.IsLetter(label[at-1]) || at+2 < len(label) && text.IsLetter(label[at+2])) {
		next := text.IndexFold(label[at+2:], "id")
		if next < 0 {
			return false
		}
		at += 2 + next
	}
	return at >= 0
}

// findGroups finds for each line of whom it speaks: of the address that stands first in a line above it, up to the next such
// address that is not further indented, or to a ruled line. Addresses with nothing said between them share what follows.
func findGroups(lines []string, spans [][]address.Span) []*addressGroup {
	groups := make([]*addressGroup, len(lines))
	var b block
	for i, line := range lines {
		b.read(line, spans[i])
		groups[i] = b.group
	}
	return groups
}

// A block is the lines of a text that speak of the same recipients.
type block struct {
	group  *addressGroup
	indent int
	said   bool // more than addresses
	deeper bool // what was said is further indented than the addresses
}

func (b *block) read(line string, spans []address.Span) {
	words := strings.TrimSpace(line)
	if words == "" {
		return
	}
	if isRule(words) {
		*b = block{}
		return
	}
	indent := len(indentOf(line))
	if from, ok := originIn(words); ok {
		if b.group == nil {
			*b = block{group: &addressGroup{}, indent: indent}
		}
		b.group.addrs = append(b.group.addrs, from)
		return
	}
	heads, more := headsOf(line, spans)
	switch {
	case len(heads) > 0 && (b.group == nil || indent <= b.indent || !b.said):
		if b.said || b.group == nil {
			*b = block{group: &addressGroup{}, indent: indent}
		}
		b.group.addrs = append(b.group.addrs, heads...)
		b.said = more
	case b.group == nil:
	case b.said && b.deeper && indent <= b.indent: // "an undisclosed address"
		*b = block{}
	default:
		b.said, b.deeper = true, b.deeper || indent > b.indent
	}
}

// headsOf are the addresses that a line puts above what it says of them: at its beginning, or behind words that say that they
// failed, with nothing more. more says that it goes on.
func headsOf(line string, spans []address.Span) (heads []string, more bool) {
	end := 0
	for i, s := range spans {
		if i > 0 && strings.Trim(line[end:s.Start], " ,;") != "" {
			break
		}
		heads, end = append(heads, s.Addr), s.End
	}
	if len(heads) == 0 {
		return nil, false
	}
	rest := withoutMailto(line[end:])
	if before := line[:spans[0].Start]; !standsFirst(before) && !isHeading(before, rest) {
		return nil, false
	}
	_, isOrigin := originIn(strings.TrimLeft(rest, ">: \t"))
	return heads, !isOrigin && !isVague(rest)
}

// isHeading knows "- Recipient: jo@example.org" and "Failed to deliver to 'jo@example.org'" by what stands before and behind the
// addresses.
func isHeading(before, rest string) bool {
	before = text.Fold(before)
	if code, _ := smtp.FindReply(before); code != 0 || len(before) > 96 || strings.Trim(rest, "'\">:;,. \t") != "" {
		return false
	}
	in := phrases.in(before)
	return in.have(phrases.address.ofRecipient|phrases.failure.anyText) && !in.have(phrases.address.ofOther)
}
