package maillog

import (
	"bytes"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/parsers"
)

// postfixSkim is what a postfix parser needs to skim.
type postfixSkim struct {
	headers skimHeaders
	strange int // how much of late differed from the headers
	pause   int // lines that are parsed without a look, because nearly all do
	tags    [32]skimmedTag
	to      *parsers.Skimmed // of the Skim under way; nil: none is
	told    bool             // Pass was called for the line
	passage event.Passage
}

// Of lines that come from many hosts in turn hardly one begins as one of the last four did.
const (
	skimStrange  = 4    // lines that begin as others did make good for one that does not
	skimPatience = 64   // such lines, before it is not worth looking
	skimPause    = 4096 // lines
)

// A skimmedTag is what is known of a tag that was seen before.
type skimmedTag struct {
	tag      string
	role     postfixRole
	instance uint32
}

// Skim implements parsers.Skimmer.
func (p *postfix) Skim(lines []byte, read time.Time, s *parsers.Skimmed) {
	if p.first == 0 {
		return
	}
	if p.skim.pause > 0 {
		p.skim.pause--
		return
	}
	p.skim.to = s
	defer func() { p.skim.to = nil }()
	year, latest := read.Year(), latest(read)
	for s.Bytes < len(lines) {
		b := lines[s.Bytes:]
		end := bytes.IndexByte(b, '\n')
		if end <= 0 || end > maxSkimmed || b[end-1] == '\r' {
			return
		}
		h := p.skim.headers.find(b[:end], year)
		p.skim.strange = max(0, p.skim.strange-1)
		if h == nil {
			if p.skim.strange += skimStrange; p.skim.strange > skimPatience*skimStrange {
				p.skim.strange, p.skim.pause = 0, skimPause
				return
			}
			if !p.skim.headers.learn(b[:end:end], read, &p.clock) {
				return
			}
			h = &p.skim.headers[0]
			if !h.begins(b[:end], year) {
				return
			}
		}
		if !p.skimLine(h, b[:end:end], latest) {
			return
		}
		s.Bytes += end + 1
	}
}

// skimLine reads the line b, which begins with h. False: it has to be parsed, and nothing came of it yet.
func (p *postfix) skimLine(h *skimHeader, b []byte, latest int64) bool {
	tag, message := skimTag(b[h.tagAt:])
	if tag == nil || h.tagAt-h.stamp-1 < secondStampShows && hasSecondStamp(b[h.stamp+1:]) {
		return false
	}
	known := p.knownTag(tag)
	n := queueIDLength(message)
	if known.role == 0 || n == 0 || len(message) < n+3 || message[n] != ':' || message[n+1] != ' ' {
		p.skim.to.Other++
		return true
	}
	words := message[n+2:]
	shape := shapeOf(words)
	if shape == nil || shape.role&known.role == 0 {
		p.skim.to.Other++
		return true
	}
	l := &p.line
	l.syslogLine = syslogLine{stamp: b[:h.stamp], year: h.year, host: h.host, tag: tag, message: message}
	l.text = words
	switch shape.begins {
	case "to=<":
		return p.skimDelivery(h, b, latest, known)
	case "from=<":
		return p.skimQueue(h, b, latest, known)
	case "client=":
		p.skimBegin(h, b, latest, known)
		_ = p.readClient(l, nil) // emits nothing and refuses nothing
	case "message-id=":
		p.skimBegin(h, b, latest, known)
		_ = p.readMessageID(l, nil) // the same
	case "removed":
		return p.skimRemoved(h, b, latest, known)
	default:
		return false
	}
	p.skim.to.Other++
	return true
}

// skimBegin is begin and setKey for a line that begins with h.
func (p *postfix) skimBegin(h *skimHeader, b []byte, latest int64, known *skimmedTag) {
	l := &p.line
	l.now = h.time(b)
	p.began(l, latest)
	p.setKey(l, l.message[:len(l.message)-len(l.text)-2], known.instance)
}

// skimQueue is readQueue where the message is taken up.
func (p *postfix) skimQueue(h *skimHeader, b []byte, latest int64, known *skimmedTag) bool {
	l := &p.line
	sender, rest, err := inAngles(l.text[len("from="):])
	if err != nil {
		return false
	}
	recipients, ok := readQueueActive(rest)
	if !ok {
		return false
	}
	p.skimBegin(h, b, latest, known)
	p.takeUp(l, p.find(l), sender, recipients)
	p.skim.to.Other++
	return true
}

// skimRemoved is readRemoved where no failure is to be told any more.
func (p *postfix) skimRemoved(h *skimHeader, b []byte, latest int64, known *skimmedTag) bool {
	l := &p.line
	if len(l.text) != len("removed") {
		return false
	}
	p.skimBegin(h, b, latest, known)
	if m := p.find(l); m != nil {
		if len(m.details().failed) > 0 {
			return false
		}
		p.remove(m)
	}
	p.skim.to.Other++
	return true
}

// skimDelivery is readDelivery where a message is delivered or put off of which nothing else is to be told.
func (p *postfix) skimDelivery(h *skimHeader, b []byte, latest int64, known *skimmedTag) bool {
	l := &p.line
	d, err := scanPostfixDelivery(l.text)
	if err != nil {
		return false
	}
	status := ""
	switch string(d.status) {
	case "sent":
		status = "sent"
	case "deferred":
		status = "deferred"
	default:
		return false
	}
	p.skimBegin(h, b, latest, known)
	m := p.find(l)
	if m == nil || len(m.details().failed)+len(m.details().copies) > 0 || d.twoReadings(p.clockOf(l, m)) {
		return false
	}
	p.skim.told = false
	_ = p.tell(l, m, &d, status, nil) // of such a message it emits nothing else, and refuses nothing
	if !p.skim.told {
		p.skim.to.Other++
	}
	return true
}

// passed tells of a delivery, or of one put off.
func (p *postfix) passed(l *logLine, m *message, o *outcome, kind event.Type, emit func(event.Event)) {
	if p.skim.to == nil {
		emit(p.report(l, m, o, kind))
		return
	}
	p.skim.told = true
	recipient, original := m.named(o)
	origin := p.originOf(m)
	p.skim.passage = event.Passage{
		Type: kind, Time: l.now, QueueIDIssuer: p.host, Sender: m.sender, MessageID: loggedMessageID(m.id),
		Recipient: recipient, OriginalRecipient: original, Ours: !m.has(msgShared) && origin == ours,
		RemoteMTA: o.remote, Code: o.code, Status: o.status, Diagnostic: o.diagnostic, Transit: p.transit(l, m, o, origin),
	}
	p.skim.to.Pass(&p.skim.passage)
}

// knownTag tells what role and hashInstance do of a tag.
func (p *postfix) knownTag(tag []byte) *skimmedTag {
	at := len(tag) * 7
	if len(tag) > 2 {
		at += int(tag[len(tag)-1])*3 + int(tag[len(tag)-3])
	}
	for probe := range 4 {
		if t := &p.skim.tags[(at+probe)%len(p.skim.tags)]; t.tag == string(tag) {
			return t
		} else if t.tag == "" {
			at += probe
			break
		}
	}
	t := &p.skim.tags[at%len(p.skim.tags)]
	*t = skimmedTag{string(tag), p.role(&syslogLine{tag: tag}), hashInstance(tag)}
	return t
}
