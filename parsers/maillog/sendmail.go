package maillog

import (
	"bytes"
	"strings"
	"time"

	"bouncefeed/internal/address"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/smtp"
	"bouncefeed/internal/text"
	"bouncefeed/parsers"
)

func init() {
	registerTracker("sendmail", func(_ config.Env, t tracker) parsers.Parser { return &sendmail{t} })
}

// sendmail follows each message through Sendmail's log:
//
//	sm-mta[2152]: 6AM76LxF002152: from=<bounce@example.org>, size=767, class=0, nrcpts=1, msgid=<p9W7q9G1j@example.org>, proto=ESMTP, daemon=MTA-v4, relay=localhost [127.0.0.1]
//	sm-mta[2154]: 6AM76LxF002152: to=<jo@example.net>, delay=00:00:00, xdelay=00:00:00, mailer=esmtp, pri=30767, relay=mx.example.net. [192.0.2.1], dsn=5.1.1, reply=550 5.1.1 …, stat=User unknown
//	sm-mta[2154]: 6AM76LxF002152: 6AM76LxF002154: DSN: User unknown
//
// Nothing tells that a message is done with; nrcpts says how many recipients it has.
type sendmail struct{ tracker }

// Parse implements Parser.
func (p *sendmail) Parse(rec event.Record, emit func(event.Event)) error {
	l := &p.line
	if !splitSyslog(&rec, &l.syslogLine) || !p.begin(l, rec.Time) {
		return nil
	}
	if !bytes.HasPrefix(l.tag, []byte("sendmail")) && !bytes.HasPrefix(l.tag, []byte("sm-")) {
		return nil
	}
	n := sendmailIDLength(l.message)
	if n == 0 {
		return nil
	}
	p.setKey(l, l.message[:n], 0)
	l.text = l.message[n+2:]
	switch {
	case bytes.HasPrefix(l.text, []byte("to=")):
		return p.readDelivery(l, emit)
	case bytes.HasPrefix(l.text, []byte("from=")):
		return p.readArrival(l)
	case bytes.HasPrefix(l.text, []byte("AUTH=server, ")):
		m := p.memory.open(l)
		m.flags |= msgAuthenticated
	default:
		return p.readNotice(l, emit)
	}
	return nil
}

// sendmailIDLength is the length of the queue id at the head of b, with ": " behind it; 0: there is none.
func sendmailIDLength(b []byte) int {
	n := 0
	for n < len(b) && n <= len(queueKey{}.id) && isBase62(b[n]) {
		n++
	}
	if n < 8 || n > len(queueKey{}.id) || len(b) < n+2 || b[n] != ':' || b[n+1] != ' ' || !text.IsDigit(b[n-1]) {
		return 0
	}
	return n
}

// readArrival reads the line that says where a message comes from.
func (p *sendmail) readArrival(l *logLine) error {
	m := p.find(l)
	if m == nil || m.has(msgQueued) {
		m = p.memory.open(l)
	}
	p.memory.setQueued(m)
	list, rest, err := sendmailAddresses(l.text[len("from="):])
	var sender []byte
	if err == nil && len(list) == 1 {
		sender = list[0]
	}
	p.setSender(m, sender)
	m.left = 1
	if at := bytes.Index(rest, []byte(", nrcpts=")); at >= 0 {
		number, _, _ := bytes.Cut(rest[at+len(", nrcpts="):], []byte(","))
		m.left = max(1, decimal(number))
		if id, ok := bytes.CutPrefix(rest[at+len(", nrcpts=")+len(number):], []byte(", msgid=")); ok {
			if end := bytes.Index(id, []byte(">, ")); end > 0 && id[0] == '<' {
				m.id = string(id[:min(end+1, maxMessageID)])
			}
		}
	}
	if m.left > 1 {
		m.flags |= msgSeveral
	}
	p.opened(m, !m.has(msgAuthenticated) && p.isForeignRelay(rest))
	p.memory.touch(m, l.seen)
	return err
}

// isForeignRelay judges by the end of the line, the only place where a client's own words can't stand:
//
//	relay=localhost [127.0.0.1]   relay=mx.example.net [192.0.2.1] (may be forged)   relay=root@localhost
func (p *sendmail) isForeignRelay(b []byte) bool {
	b = bytes.TrimSuffix(b, []byte(" (may be forged)"))
	if at := bytes.LastIndexByte(b, '['); at >= 0 && b[len(b)-1] == ']' {
		return p.isForeign(b[at:])
	}
	at := bytes.LastIndex(b, []byte(", relay="))
	user, ok := bytes.CutSuffix(b[max(at, 0):], []byte("@localhost"))
	return at < 0 || !ok || bytes.ContainsAny(user[len(", relay="):], " ,<>@[]")
}

// readNotice reads the lines by which Sendmail turns a message into another one. The notice is of the null sender;
// nothing else tells so.
//
//	6AM76LxF002152: 6AM76LxF002154: DSN: User unknown
//	6AM76SFJ002527: 6AM76d4S002559: DSN: Cannot send message for 5 days
//	6AM76SFJ002527: 6AM76d4S002559: sender notify: Warning: could not send message for past 4 hours
func (p *sendmail) readNotice(l *logLine, emit func(event.Event)) (err error) {
	n := sendmailIDLength(l.text)
	if n == 0 {
		return nil
	}
	_, words, _ := bytes.Cut(l.text[n+2:], []byte(": "))
	if m := p.find(l); !isSendmailExpiry(words) {
	} else if m != nil {
		err = p.expire(l, m, emit)
		p.decide(l, m, true, emit)
		p.memory.setDone(m)
	} else if p.mayBeForgotten(l.at) {
		err = p.unopened(l, true, emit)
	}
	p.setKey(l, l.text[:n], 0)
	notice := p.memory.open(l)
	p.setSender(notice, nil)
	return err
}

// isSendmailExpiry knows the words with which Sendmail gives up on what was only deferred.
func isSendmailExpiry(words []byte) bool {
	return bytes.HasPrefix(words, []byte("Cannot send message ")) || bytes.HasPrefix(words, []byte("Message timed out"))
}

// A sendmailDelivery is what became of some recipients. Its slices are the record's memory.
type sendmailDelivery struct {
	to                       [][]byte
	ctladdr                  []byte // the sender's address, or the one whose alias led to these
	delay, relay, dsn, reply []byte
	stat                     []byte
}

// scanSendmailDelivery reads the fields from left to right; what stands behind reply= or stat= is a stranger's.
func scanSendmailDelivery(words []byte) (d sendmailDelivery, err error) {
	if d.to, words, err = sendmailAddresses(words[len("to="):]); err != nil {
		return d, err
	}
	words = bytes.TrimPrefix(words, []byte(", [more]"))
	if rest, ok := bytes.CutPrefix(words, []byte(", ctladdr=")); ok {
		var list [][]byte
		if list, words, err = sendmailAddresses(rest); err != nil {
			return d, err
		}
		d.ctladdr = list[0]
		if end := bytes.Index(words, []byte("), ")); end > 0 && bytes.HasPrefix(words, []byte(" (")) { // (uid/gid)
			words = words[end+1:]
		}
	}
	for n := 0; n < 12; n++ {
		rest, ok := bytes.CutPrefix(words, []byte(", "))
		name, value, isField := bytes.Cut(rest, []byte("="))
		if !ok || !isField || !isFieldName(name) {
			return d, event.Refuse(event.WhyTwoReadings, "not Sendmail's fields behind the recipients")
		}
		if string(name) == "stat" {
			d.stat = value
			return d, nil
		}
		end := bytes.Index(value, []byte(", "))
		if string(name) == "reply" {
			end = bytes.Index(value, []byte(", stat="))
		}
		if end < 0 {
			return d, event.Refuse(event.WhyMalformed, "a delivery line without stat=")
		}
		value, words = value[:end], value[end:]
		switch string(name) {
		case "delay":
			d.delay = value
		case "relay":
			d.relay = value
		case "dsn":
			d.dsn = value
		case "reply":
			d.reply = value
		}
	}
	return d, event.Refuse(event.WhyMalformed, "a delivery line without stat=")
}

// sendmailAddresses reads "<jo@example.net>,<ann@example.net>", also without brackets, and pipes: "|/usr/bin/procmail".
// rest begins with ", " or a blank.
func sendmailAddresses(b []byte) (list [][]byte, rest []byte, err error) {
	for {
		var a []byte
		switch {
		case bytes.HasPrefix(b, []byte("<")):
			if a, b, err = inAngles(b); err != nil {
				return nil, nil, err
			}
		case bytes.HasPrefix(b, []byte(`"|`)):
			end := bytes.IndexByte(b[1:], '"')
			if end < 0 {
				return nil, nil, event.Refuse(event.WhyMalformed, "a command without its closing quote")
			}
			a, b = b[:end+2], b[end+2:]
		default:
			local := 0
			if len(b) > 0 && b[0] == '"' {
				local = address.QuotedLength(b)
			}
			end := bytes.IndexAny(b[local:], ", ")
			if end < 0 {
				end = len(b) - local
			}
			a, b = b[:local+end], b[local+end:]
			if err = checkAddress(a); err != nil {
				return nil, nil, err
			}
		}
		list = append(list, a)
		if len(b) < 2 || b[0] != ',' || b[1] == ' ' || len(list) == sendmailMaxList {
			return list, b, nil
		}
		b = b[1:]
	}
}

const sendmailMaxList = 1000 // a line of 16 KiB holds no more

// readDelivery reads what became of the recipients of one line.
func (p *sendmail) readDelivery(l *logLine, emit func(event.Event)) error {
	d, err := scanSendmailDelivery(l.text)
	if err != nil {
		return err
	}
	m := p.find(l)
	if m == nil {
		if arrived := l.at - sendmailSpan(d.delay).Microseconds(); !p.mayPredate(l, arrived) {
			return p.unopened(l, d.kind() == "", emit)
		}
		m = p.memory.open(l)
		p.memory.setQueued(m)
		m.left = len(d.to)
	}
	kind := d.kind()
	if len(d.to) > 1 {
		m.flags |= msgSeveral
	}
	for _, to := range d.to {
		err = p.tell(l, m, &d, to, kind, emit)
	}
	p.memory.touch(m, l.seen)
	if p.decide(l, m, m.left <= 0, emit); m.left <= 0 && len(m.pending) == 0 {
		p.memory.setDone(m)
	}
	return err
}

// tell takes over what a delivery line says of one recipient, and emits its event.
func (p *sendmail) tell(l *logLine, m *message, d *sendmailDelivery, to []byte, kind event.Type, emit func(event.Event)) error {
	if m.isSilent() {
		return nil
	}
	o := outcome{to: string(to), origTo: d.known(m.sender)}
	if kind != event.Delivered {
		d.explain(&o)
	}
	old, known := m.take([]byte(o.to), []byte(o.origTo), false)
	if known && d.saysNothing() {
		o = old
	}
	if o.relay, o.before = p.relays.of(d.relay), known; kind == event.Delayed {
		m.pending = append(m.pending, o)
	} else {
		m.left--
	}
	o.noMailbox = strings.HasPrefix(o.to, `"|`) || strings.HasPrefix(o.to, "/")
	if kind == "" {
		return p.fail(l, m, &o, isSendmailExpiry(d.stat), emit)
	}
	if kind == event.Delivered {
		p.reached(l, m, &o, emit)
	}
	emit(p.report(l, m, &o, kind))
	return nil
}

// kind is Delivered, Delayed or, for a failure, none. dsn= is Sendmail's own; before 8.9 there is only stat=.
func (d *sendmailDelivery) kind() event.Type {
	switch {
	case bytes.HasPrefix(d.dsn, []byte("2")), len(d.dsn) == 0 && bytes.HasPrefix(d.stat, []byte("Sent")):
		return event.Delivered
	case isSendmailExpiry(d.stat):
		return ""
	case bytes.HasPrefix(d.dsn, []byte("4")), bytes.HasPrefix(d.stat, []byte("Deferred")), bytes.HasPrefix(d.stat, []byte("queued")):
		return event.Delayed
	}
	return ""
}

// saysNothing: a host was not asked again, or only the time is told.
func (d *sendmailDelivery) saysNothing() bool {
	return len(d.reply) == 0 && (string(d.stat) == "Deferred" || string(d.stat) == "queued" || isSendmailExpiry(d.stat))
}

// known is the address that the sender knows, where an alias led to another. ctladdr= is the sender itself if that is of
// this host.
func (d *sendmailDelivery) known(sender string) string {
	if a := string(d.ctladdr); !strings.EqualFold(a, sender) && strings.IndexByte(a, '@') >= 0 {
		return a
	}
	return ""
}

// explain takes over what the report needs. dsn= counts where no server spoke: else it is a translation of the reply's
// code where the reply has no status of its own.
func (d *sendmailDelivery) explain(o *outcome) {
	o.remote = sendmailHost(d.relay)
	words := d.reply
	if words == nil {
		words = bytes.TrimPrefix(d.stat, []byte("Deferred: "))
		o.status = string(d.dsn[:smtp.StatusLength(d.dsn)])
		if isSendmailExit(words) && o.status != "" && !strings.HasPrefix(o.status, "5.1.") {
			words = nil
		}
	}
	o.setReply(words)
}

// isSendmailExit knows the words into which Sendmail translates an exit status of <sysexits.h>, and before it the code of a
// reply: "User unknown" stands for every 550, "Service unavailable" for every 554. Where dsn= says something else it decides.
func isSendmailExit(words []byte) bool {
	switch string(words) {
	case "User unknown", "Service unavailable", "Data format error", "Command line usage error", "Cannot open input", "Permission denied", "Remote protocol error":
		return true
	}
	return false
}

// sendmailHost is the host of "mx.example.net. [192.0.2.1]".
func sendmailHost(relay []byte) string {
	name, _, ok := bytes.Cut(relay, []byte(" ["))
	if !ok || bytes.ContainsAny(name, " ,<>@") {
		return ""
	}
	return string(bytes.Trim(name, ".[]"))
}

// sendmailSpan reads "00:00:11", "1+02:03:04" with days.
func sendmailSpan(b []byte) (t time.Duration) {
	if days, rest, ok := bytes.Cut(b, []byte("+")); ok {
		t = time.Duration(max(0, decimal(days))) * 24 * time.Hour
		b = rest
	}
	unit := time.Hour
	for part := range bytes.SplitSeq(b, []byte(":")) {
		t += time.Duration(max(0, decimal(part))) * unit
		unit /= 60
	}
	return t
}
