package maillog

import (
	"bytes"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/text"
	"bouncefeed/parsers"
)

func init() {
	registerTracker("opensmtpd", func(_ config.Env, t tracker) parsers.Parser { return &opensmtpd{t} })
}

// opensmtpd follows each message through OpenSMTPD's log. Its id is the first half of its envelopes' ids; no Message-ID
// is logged.
//
//	smtpd[378]: a7d366dc9d615ec4 smtp connected address=127.0.0.1 host=localhost
//	smtpd[378]: a7d366dc9d615ec4 smtp envelope evpid=4bba4df30d8f803b from=<bounce@example.org> to=<jo@example.net>
//	smtpd[378]: a7d366db36c577b7 mta delivery evpid=4bba4df30d8f803b from=<bounce@example.org> to=<jo@example.net> rcpt=<-> source="192.0.2.7" relay="192.0.2.1 (mx.example.net)" delay=1s result="PermFail" stat="550 5.1.1 …"
//	smtpd[379]: relay: Expire for 4bba4df30d8f803b: from=<bounce@example.org>, to=<jo@example.net>, rcpt=<->, delay=4d, stat=Envelope expired
//
// 6.0 to 6.3 write "mta event=delivery"; before that, "relay: PermFail for 4bba4df30d8f803b: session=…, from=<…>, …".
type opensmtpd struct{ tracker }

const (
	sessionIDLength  = 16
	envelopeIDLength = 16
)

// Parse implements Parser.
func (p *opensmtpd) Parse(rec event.Record, emit func(event.Event)) error {
	l := &p.line
	if !splitSyslog(&rec, &l.syslogLine) || !p.begin(l, rec.Time) {
		return nil
	}
	if string(l.tag) != "smtpd" && string(l.tag) != "opensmtpd" {
		return nil
	}
	b := l.message
	if n := hexLength(b); n != sessionIDLength || len(b) < n+2 || b[n] != ' ' {
		return p.readQueue(l, emit)
	}
	session, words := b[:sessionIDLength], b[sessionIDLength+1:]
	if at := bytes.IndexByte(words, ' '); at > 0 {
		if rest, ok := bytes.CutPrefix(words[at+1:], []byte("event=")); ok {
			return p.readEvent(l, session, words[:at], rest, emit)
		}
		return p.readEvent(l, session, words[:at], words[at+1:], emit)
	}
	return nil
}

func hexLength(b []byte) int {
	n := 0
	for n < len(b) && (text.IsDigit(b[n]) || b[n] >= 'a' && b[n] <= 'f') {
		n++
	}
	return n
}

// readEvent reads what a session says of itself.
func (p *opensmtpd) readEvent(l *logLine, session, what, words []byte, emit func(event.Event)) error {
	word, rest, _ := bytes.Cut(words, []byte(" "))
	switch string(what) + " " + string(word) {
	case "smtp connected":
		p.setKey(l, session, 0)
		if addr, ok := bytes.CutPrefix(rest, []byte("address=")); ok {
			p.opened(p.memory.open(l), p.isForeignAddress(addr))
		}
	case "smtp authentication":
		if bytes.HasSuffix(rest, []byte(" result=ok")) {
			p.setKey(l, session, 0)
			p.opened(p.memory.open(l), false)
		}
	case "smtp disconnected":
		p.forgetSession(l, session)
	case "smtp envelope":
		return p.readEnvelope(l, session, rest)
	case "mta delivery", "mda delivery":
		d, err := scanOpensmtpdDelivery(rest, []byte(" "))
		if err != nil {
			return err
		}
		return p.readDelivery(l, &d, emit)
	}
	return nil
}

// isForeignAddress reads "127.0.0.1 host=localhost", "[::1] …", "local …".
func (p *opensmtpd) isForeignAddress(b []byte) bool {
	addr, _, _ := bytes.Cut(b, []byte(" "))
	if string(addr) == "local" {
		return false
	}
	addr = bytes.TrimPrefix(bytes.Trim(addr, "[]"), []byte("IPv6:"))
	return p.isForeign([]byte("[" + string(addr) + "]"))
}

func (p *opensmtpd) forgetSession(l *logLine, session []byte) {
	p.setKey(l, session, 0)
	if m := p.find(l); m != nil {
		p.memory.forget(m)
	}
}

// readEnvelope opens a message, or adds a recipient to it:
//
//	evpid=4bba4df30d8f803b from=<bounce@example.org> to=<jo@example.net>
func (p *opensmtpd) readEnvelope(l *logLine, session, words []byte) error {
	p.setKey(l, session, 0)
	client := p.find(l)
	id, rest, ok := cutEnvelopeID(words)
	if !ok || !bytes.HasPrefix(rest, []byte(" from=<")) {
		return nil
	}
	sender, _, err := inAngles(rest[len(" from="):])
	if err != nil {
		sender = nil // nothing is reported of this message
	}
	p.setKey(l, id[:envelopeIDLength/2], 0)
	m := p.find(l)
	if m == nil || !m.has(msgQueued) {
		m = p.memory.open(l)
		p.memory.setQueued(m)
		p.setSender(m, sender)
		if client != nil {
			p.memory.setOrigin(m, client.flags&(msgBegun|msgForeign))
		}
	}
	if m.left++; m.left > 1 {
		m.flags |= msgSeveral
	}
	p.memory.touch(m, l.seen)
	return err
}

func cutEnvelopeID(b []byte) (id, rest []byte, ok bool) {
	b, ok = bytes.CutPrefix(b, []byte("evpid="))
	if n := hexLength(b); !ok || n != envelopeIDLength {
		return nil, nil, false
	}
	return b[:envelopeIDLength], b[envelopeIDLength:], true
}

// readQueue reads the lines without a session at their head.
func (p *opensmtpd) readQueue(l *logLine, emit func(event.Event)) error {
	_, rest, ok := bytes.Cut(l.message[:min(len(l.message), 48)], []byte(": "))
	result, _, isFor := bytes.Cut(rest, []byte(" for "))
	if !ok || !isFor || !isOpensmtpdResult(result) {
		return nil
	}
	words := l.message[bytes.Index(l.message, []byte(" for "))+len(" for "):]
	if n := hexLength(words); n != envelopeIDLength || !bytes.HasPrefix(words[n:], []byte(": ")) {
		return nil
	}
	d := opensmtpdDelivery{id: words[:envelopeIDLength], result: result}
	if err := d.scanFields(words[envelopeIDLength+len(": "):], []byte(", ")); err != nil {
		return err
	}
	return p.readDelivery(l, &d, emit)
}

func isOpensmtpdResult(b []byte) bool {
	switch string(b) {
	case "Ok", "TempFail", "PermFail", "Expire", "Loop", "Remove":
		return true
	}
	return false
}

// An opensmtpdDelivery is what became of one envelope. Its slices are the record's memory.
type opensmtpdDelivery struct {
	id                   []byte
	from, to, rcpt       []byte // rcpt: what the sender wrote, where an alias led to another address; else nil
	relay, delay, result []byte
	stat                 []byte
}

func scanOpensmtpdDelivery(b, between []byte) (d opensmtpdDelivery, err error) {
	id, rest, ok := cutEnvelopeID(b)
	if !ok || len(rest) == 0 {
		return d, event.Refuse(event.WhyMalformed, "a delivery line without an envelope id")
	}
	d.id = id
	return d, d.scanFields(rest[1:], between)
}

// scanFields reads "name=value" from left to right, up to stat=: that is a stranger's, to the end of the line.
func (d *opensmtpdDelivery) scanFields(b, between []byte) (err error) {
	for n := 0; n < 12; n++ {
		name, value, ok := bytes.Cut(b, []byte("="))
		if !ok || !isFieldName(name) {
			break
		}
		switch string(name) {
		case "stat":
			d.stat = trimQuotes(value)
			if d.from == nil || d.to == nil {
				return event.Refuse(event.WhyMalformed, "a delivery line without its addresses")
			}
			return nil
		case "from", "to", "rcpt":
			if value, b, err = inAngles(value); err == nil {
				err = checkAddress(value)
			}
			if err != nil {
				return err
			}
		default:
			value, b = cutOpensmtpdValue(value, between)
		}
		if b, ok = bytes.CutPrefix(b, between); !ok {
			break
		}
		d.set(string(name), value)
	}
	return event.Refuse(event.WhyTwoReadings, "not OpenSMTPD's fields in a delivery line")
}

func (d *opensmtpdDelivery) set(name string, value []byte) {
	switch name {
	case "from":
		d.from = value
	case "to":
		d.to = value
	case "rcpt":
		if string(value) != "-" {
			d.rcpt = value
		}
	case "relay":
		d.relay = value
	case "delay":
		d.delay = value
	case "result":
		d.result = value
	}
}

// cutOpensmtpdValue reads what stands in quotes, or before the next field.
func cutOpensmtpdValue(b, between []byte) (value, rest []byte) {
	if len(b) > 0 && b[0] == '"' {
		if end := bytes.IndexByte(b[1:], '"'); end >= 0 {
			return b[1 : 1+end], b[end+2:]
		}
	}
	if end := bytes.Index(b, between); end >= 0 {
		return b[:end], b[end:]
	}
	return b, nil
}

func trimQuotes(b []byte) []byte {
	if n := len(b); n > 1 && b[0] == '"' && b[n-1] == '"' {
		return b[1 : n-1]
	}
	return b
}

// readDelivery reads what became of one recipient.
func (p *opensmtpd) readDelivery(l *logLine, d *opensmtpdDelivery, emit func(event.Event)) error {
	p.setKey(l, d.id[:envelopeIDLength/2], 0)
	m := p.find(l)
	if len(d.from) == 0 || string(d.result) == "Remove" {
		return nil
	}
	if m == nil {
		if arrived := l.at - goSpan(d.delay).Microseconds(); !p.mayPredate(l, arrived) && !p.mayBeForgotten(l.at) {
			return p.unopened(l, true, emit)
		}
		m = p.memory.open(l)
		p.memory.setQueued(m)
		p.setSender(m, d.from)
	}
	err := p.tell(l, m, d, emit)
	p.memory.touch(m, l.seen)
	if p.decide(l, m, m.left <= 0, emit); m.left <= 0 && len(m.pending) == 0 {
		p.memory.setDone(m)
	}
	return err
}

// tell takes over what a delivery line says of the recipient, and emits its event.
func (p *opensmtpd) tell(l *logLine, m *message, d *opensmtpdDelivery, emit func(event.Event)) error {
	o := outcome{to: string(d.to), origTo: string(d.rcpt)}
	old, known := m.take(d.to, d.rcpt, false)
	kind, expired := event.Type(""), false
	switch string(d.result) {
	case "Ok":
		kind = event.Delivered
	case "TempFail":
		kind = event.Delayed
	case "Expire":
		expired = true
	}
	if kind != event.Delivered {
		o.remote = opensmtpdHost(d.relay)
		o.setReply(d.stat)
	}
	if expired && known {
		o = old
	}
	if o.relay, o.before = opensmtpdHost(d.relay), known; kind == event.Delayed {
		m.pending = append(m.pending, o)
	} else {
		m.left--
	}
	if kind == "" {
		return p.fail(l, m, &o, expired, emit)
	}
	if kind == event.Delivered {
		p.reached(l, m, &o, emit)
	}
	emit(p.report(l, m, &o, kind))
	return nil
}

// opensmtpdHost is the name of "192.0.2.1 (mx.example.net)", else the address.
func opensmtpdHost(relay []byte) string {
	addr, name, ok := bytes.Cut(relay, []byte(" ("))
	switch name = bytes.TrimSuffix(name, []byte(")")); {
	case bytes.ContainsAny(name, " ,<>@\""), bytes.ContainsAny(addr, " ,<>@\""):
		return ""
	case ok:
		return string(name)
	}
	return string(addr)
}

// goSpan reads "1h2m3s", also with days: "1d2h".
func goSpan(b []byte) (t time.Duration) {
	n := time.Duration(0)
	for _, c := range b[:min(len(b), 24)] {
		switch {
		case text.IsDigit(c):
			n = n*10 + time.Duration(c-'0')
			if n > 1<<20 {
				return 0
			}
			continue
		case c == 'd':
			t += n * 24 * time.Hour
		case c == 'h':
			t += n * time.Hour
		case c == 'm':
			t += n * time.Minute
		case c == 's':
			t += n * time.Second
		}
		n = 0
	}
	return t
}
