package maillog

import (
	"bytes"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/listmonk"
	"bouncefeed/internal/text"
	"bouncefeed/parsers"
)

func init() {
	registerTracker("exim", func(env config.Env, t tracker) parsers.Parser {
		t.anyTargets = true
		return &exim{tracker: t, ownHost: []byte(env.Host)}
	})
}

// exim follows each message through Exim's main log, in a file or through syslog:
//
//	2026-11-22 06:55:57 1xV1UT-0001VG-2g <= bounce@example.org H=(list) [127.0.0.1] P=esmtp S=999 id=zApqw2sbj@example.org
//	2026-11-22 06:55:57 1xV1UT-0001VG-2g == jo@example.net R=dnslookup T=remote_smtp defer (-44) H=mx.example.net [192.0.2.1]: SMTP error from remote mail server after RCPT TO:<jo@example.net>: 451 …
//	2026-11-22 06:55:57 1xV1UT-0001VG-2g ** jo@example.net R=dnslookup T=remote_smtp H=mx.example.net [192.0.2.1]: SMTP error from remote mail server after RCPT TO:<jo@example.net>: 550 …
//	2026-11-22 06:55:57 1xV1UT-0001VG-2g Completed
//
// A deferral is not a bounce; when Exim gives up on a recipient ("retry timeout exceeded"), the report says what was
// last said of it. Mail of the null sender is none of a subscriber's.
type exim struct {
	tracker
	ownHost []byte // a main log names no host
	joins   eximJoins
	stamp   [48]byte // one with its zone, for the clock
}

// Parse implements Parser.
func (x *exim) Parse(rec event.Record, emit func(event.Event)) error {
	if rec.Syslog == nil {
		body := bytes.TrimLeft(trimLineEnd(rec.Body), "\x00") // a sparse file after copytruncate
		if isEximStamp(body) {
			return x.read(&syslogLine{host: x.ownHost, message: body}, rec.Time, emit)
		}
	}
	var l syslogLine
	if !splitSyslog(&rec, &l) || !bytes.HasPrefix(l.tag, []byte("exim")) {
		return nil
	}
	return x.readSyslog(&l, rec.Time, emit)
}

// read reads one whole line of the main log; l.stamp is what syslog wrote before it, if anything.
func (x *exim) read(l *syslogLine, read time.Time, emit func(event.Event)) error {
	words := l.message
	if isEximStamp(words) {
		var stamp []byte
		if stamp, words = x.cutStamp(words); l.when.IsZero() && (len(l.stamp) == 0 || !text.IsDigit(l.stamp[0])) {
			l.stamp = stamp // with its year, unlike one of RFC 3164
		}
	}
	if len(words) > 0 && words[0] == '[' { // log_selector = +pid
		if end := bytes.IndexByte(words[:min(len(words), 12)], ']'); end > 0 && len(words) > end+2 && words[end+1] == ' ' {
			words = words[end+2:]
		}
	}
	q := &x.line
	q.syslogLine = *l
	n := eximIDLength(words)
	if n == 0 && x.first != 0 {
		return nil
	}
	ok := x.begin(q, read)
	if !ok || n == 0 {
		return nil
	}
	err := x.readMessage(q, words[:n], words[n+1:], emit)
	x.decideDue(q, emit)
	return err
}

// readMessage reads what stands behind a message id.
func (x *exim) readMessage(q *logLine, id, words []byte, emit func(event.Event)) error {
	if x.setKey(q, id, 0); len(words) > 3 && words[2] == ' ' {
		q.text = words[3:]
		switch string(words[:2]) {
		case "<=", "(=":
			return x.readArrival(q, emit)
		case "=>", "->", "*>":
			return x.readDelivery(q, event.Delivered, emit)
		case "==":
			return x.readDelivery(q, event.Delayed, emit)
		case "**":
			return x.readDelivery(q, "", emit)
		}
	}
	switch {
	case bytes.HasPrefix(words, []byte("Completed")) && (len(words) == 9 || words[9] == ' '),
		bytes.HasPrefix(words, []byte("removed by ")): // exim -Mrm
		if m := x.find(q); m != nil {
			x.decide(q, m, true, emit)
			x.memory.forget(m)
		}
	case bytes.HasPrefix(words, []byte("cancelled by ")): // exim -Mg
		switch m := x.find(q); {
		case m != nil && len(m.pending) == 0 && m.got == "" && !m.isSilent() && x.originOf(m) != foreign:
			return event.Refuse(parsers.WhyNobody, "cancelled before any attempt: the log names no recipient")
		case m != nil:
			return x.expire(q, m, emit)
		case x.mayBeForgotten(q.at):
			return x.unopened(q, true, emit)
		}
	case bytes.HasPrefix(words, []byte("listmonk id=")):
		x.readLink(q, id, words[len("listmonk id="):])
	}
	return nil
}

// readArrival reads the line that says where a message comes from. Fields behind the Message-ID are not needed.
func (x *exim) readArrival(q *logLine, emit func(event.Event)) error {
	m := x.find(q)
	if m == nil || m.has(msgQueued) {
		m = x.memory.open(q)
	}
	x.memory.setQueued(m)
	sender, rest, err := eximSender(q.text)
	if err != nil {
		sender = nil // nothing is reported of this message
	}
	x.setSender(m, sender)
	a := scanEximArrival(rest)
	m.id = string(a.messageID[:min(len(a.messageID), maxMessageID)])
	x.opened(m, a.ambiguous || a.client != nil && !a.authenticated && x.isForeign(a.client))
	x.memory.touch(m, q.seen)
	if len(sender) == 0 {
		if id, ok := bytes.CutPrefix(rest, []byte(" R=")); ok { // the report of an attempt, whose lines stand before it
			id, _ = eximWord(id)
			if failed := x.findOther(q, id[:min(len(id), len(queueKey{}.id))]); failed != nil {
				x.decide(q, failed, false, emit)
			}
		}
	}
	return err
}

// readLink reads the line that an ACL writes with the list manager's header fields; it comes before the arrival. Only
// UUIDs count, and only if the message turns out to come from a client of ours.
//
//	listmonk id=1xV1UT-0001VG-2g campaign=76b4c4b0-… subscriber=94153b2c-…
func (x *exim) readLink(q *logLine, id, words []byte) {
	own, rest, _ := bytes.Cut(words, []byte(" campaign="))
	campaign, subscriber, ok := bytes.Cut(rest, []byte(" subscriber="))
	if !ok || !bytes.Equal(own, id) {
		return
	}
	c, s := listmonk.UUID(string(campaign)), listmonk.UUID(string(subscriber))
	if len(c) != len(campaign) || len(s) != len(subscriber) {
		return
	}
	m := x.find(q)
	if m == nil {
		m = x.memory.open(q)
	}
	if !m.has(msgQueued) {
		d := m.editDetails()
		d.campaign, d.subscriber = c, s
	}
	x.memory.touch(m, q.seen)
}

// readDelivery reads what became of one recipient: kind is Delivered, Delayed or, for a failure, none.
func (x *exim) readDelivery(q *logLine, kind event.Type, emit func(event.Event)) error {
	var d eximDelivery
	fields, err := d.scanRecipient(q.text)
	m := x.find(q)
	if m == nil || kind != event.Delivered {
		d.scanFields(fields)
	}
	switch {
	case m != nil:
	case err != nil:
		return err
	case !x.openedBefore(q) && (d.sender == nil || !x.mayBeForgotten(q.at)):
		return x.unopened(q, kind == "", emit)
	default:
		m = x.memory.open(q)
		x.memory.setQueued(m)
		if d.sender != nil {
			x.setSender(m, d.sender)
		}
	}
	if err != nil || m.isSilent() {
		x.memory.touch(m, q.seen)
		return err
	}
	old, known := m.take(d.to, d.origTo, false)
	o := outcome{to: string(d.to), origTo: string(d.origTo)}
	relay := x.relays.of(d.host)
	if len(d.host) == 0 && kind == event.Delivered {
		relay = "local"
	}
	if kind != event.Delivered {
		d.explain(&o)
	}
	gaveUp := kind == "" && isEximExpiry(o.diagnostic)
	if known && saysNothing(&o) {
		o = old
	}
	if o.relay, o.before = relay, known; kind == event.Delayed {
		m.pending = append(m.pending, o)
	}
	o.noMailbox, o.returnPath = !d.mailbox, string(d.returnPath)
	if kind == "" {
		err = x.fail(q, m, &o, gaveUp, emit)
	} else {
		if kind == event.Delivered {
			x.reached(q, m, &o, emit)
		}
		emit(x.report(q, m, &o, kind))
	}
	x.memory.touch(m, q.seen)
	return err
}

// openedBefore says whether an unknown message may have been opened before the first line ever: its id tells
// when it arrived.
func (x *exim) openedBefore(q *logLine) bool {
	arrived, ok := eximIDTime(q.key.String())
	if q.at == x.first { // the very first line; its stamp may be of another time zone
		arrived -= (15 * time.Hour).Microseconds()
	}
	return ok && x.mayPredate(q, arrived)
}
