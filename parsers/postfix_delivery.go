package parsers

import (
	"strings"
	"time"
	"unicode/utf8"

	"bouncefeed/internal/event"
)

// readDelivery reads what a delivery agent says of one recipient.
func (p *postfix) readDelivery(l *logLine, emit func(event.Event)) error {
	d, err := scanPostfixDelivery(l.text)
	if err != nil {
		return err
	}
	status := strings.ToLower(string(d.status))
	if status == "deliverable" || status == "undeliverable" { // address verification
		return nil
	}
	m := p.memory.find(&l.key, l.instance)
	if m == nil {
		if !p.mayPredate(l, &d) {
			return event.Refuse(WhyUnopened, "no cleanup or qmgr line opened this queue id")
		}
		m = p.memory.open(l)
		m.arrived = l.at - readSeconds(d.delay).Microseconds()
		p.memory.setQueued(m)
	}
	clock := postfixClock{
		known: m.active != 0, sinceActive: time.Duration(l.at-m.active) * time.Microsecond, resolution: l.resolution(),
	}
	if d.twoReadings(clock) {
		m.drop(&d) // whatever it was, the recipient is not simply pending any more
		p.memory.touch(m, l.seen)
		return event.Refuse(WhyTwoReadings, "the address may end in two places")
	}
	p.note(l, m, &d, status, emit)
	return nil
}

// note is what a delivery line changes and tells.
func (p *postfix) note(l *logLine, m *queueMessage, d *postfixDelivery, status string, emit func(event.Event)) {
	m.drop(d)
	switch status {
	case "sent":
		if p.handedOn(l, m, d) {
			break
		}
		m.flags &^= msgActive
		if !m.isSilent() {
			emit(p.delivered(l, m, d))
		}
	case "deferred", "softbounce":
		m.flags &^= msgActive
		if !m.isSilent() {
			o := d.outcome()
			if status == "softbounce" {
				o.harden()
			}
			m.pending = append(m.pending, o)
			emit(p.report(l, m, &o, event.Delayed))
		}
	case "bounced", "expired", "force-expired":
		if !m.isSilent() {
			o := d.outcome()
			e := p.report(l, m, &o, "")
			e.Expired = status != "bounced"
			emit(e)
		}
		m.flags &^= msgActive
	}
	p.memory.touch(m, l.seen)
}

// expire reports every recipient that is still pending.
func (p *postfix) expire(l *logLine, m *queueMessage, emit func(event.Event)) {
	if !m.isSilent() {
		for i := range m.pending {
			e := p.report(l, m, &m.pending[i], "")
			e.Expired = !m.pending[i].isHard()
			emit(e)
		}
	}
	m.pending = nil
	p.memory.touch(m, l.seen)
}

// drop takes a recipient off those still pending.
func (m *queueMessage) drop(d *postfixDelivery) {
	for i := range m.pending {
		if o := &m.pending[i]; o.to == string(d.to) && o.origTo == string(d.origTo) {
			m.pending = append(m.pending[:i], m.pending[i+1:]...)
			return
		}
	}
}

// isSilent: the null sender's mail is a bounce or another notice, the double-bounce sender's a bounce of one. Neither
// is mail to a subscriber.
func (m *queueMessage) isSilent() bool {
	return m.has(msgSender) && (m.sender == "" || strings.HasPrefix(m.sender, "double-bounce@"))
}

// mayPredate says whether an unknown message may have been opened before the first line that was ever read. For a while
// only: the queue manager names a message again whenever it takes it up. Delays have two digits, many stamps no fractions.
func (p *postfix) mayPredate(l *logLine, d *postfixDelivery) bool {
	delay := readSeconds(d.delay)
	arrived := l.at - (delay + delay/10 + 10*time.Millisecond).Microseconds()
	if t, ok := longQueueIDTime(l.key.String()); ok {
		arrived = t
	}
	first := p.first
	if first%time.Second.Microseconds() == 0 { // somewhere in that second
		first += time.Second.Microseconds()
	}
	return arrived < first && l.at-p.first < unopenedGrace.Microseconds()
}

// longQueueIDTime is when a message with a long queue id (enable_long_queue_ids) arrived, in Unix microseconds: seconds
// and four digits of microseconds, in base 52, then "z" and the inode number.
func longQueueIDTime(id string) (int64, bool) {
	const digits = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
	at := strings.LastIndexByte(id, 'z')
	if at < 10 {
		return 0, false
	}
	var seconds, micros int64
	for i := range at {
		digit := int64(strings.IndexByte(digits, id[i]))
		if digit < 0 {
			return 0, false
		}
		if i < at-4 {
			seconds = seconds*52 + digit
		} else {
			micros = micros*52 + digit
		}
		if seconds > 1<<40 {
			return 0, false
		}
	}
	return seconds*1e6 + micros, true
}

// delivered tells that a recipient has the message.
func (p *postfix) delivered(l *logLine, m *queueMessage, d *postfixDelivery) event.Event {
	return p.report(l, m, &outcome{to: string(d.to), origTo: string(d.origTo)}, event.Delivered)
}

// report makes the event of one recipient.
func (p *postfix) report(l *logLine, m *queueMessage, o *outcome, kind event.Type) event.Event {
	e := event.Event{
		Type: kind, Time: l.now, Host: p.host, Sender: m.sender, MessageID: loggedMessageID(m.id),
		Recipient: o.to, OriginalRecipient: o.origTo,
		RemoteMTA: o.remote, Code: o.code, Status: o.status, Diagnostic: o.diagnostic,
	}
	known := o.origTo
	if known == "" {
		known = m.alias(o.to)
	}
	if strings.IndexByte(known, '@') >= 0 { // orig_to=<root> is no address
		e.Recipient, e.OriginalRecipient = known, o.to
	}
	if strings.EqualFold(e.Recipient, e.OriginalRecipient) {
		e.OriginalRecipient = ""
	}
	e.QueueID, e.OtherQueueIDs = p.ids(m)
	if kind != event.Delivered && !m.has(msgForeign) {
		p.correlate(&e, m)
	}
	return e
}

// correlate finds the subscriber and the campaign: in logged header fields, in the Message-ID, in the envelope sender.
// Of several recipients one may be an archive's (always_bcc): what fails for it must not count against the subscriber.
func (p *postfix) correlate(e *event.Event, m *queueMessage) {
	links := m.link()
	e.CampaignUUID, e.SubscriberUUID = links.campaign, links.subscriber
	if e.SubscriberUUID == "" {
		if campaign, subscriber := messageIDUUIDs(e.MessageID); subscriber != "" {
			e.CampaignUUID, e.SubscriberUUID = campaign, subscriber
		}
	}
	if e.SubscriberUUID != "" || e.CampaignUUID != "" {
		e.Evidence = evidenceUUID
	}
	if e.SubscriberUUID == "" {
		if e.SubscriberUUID = p.verp.subscriber(e.Sender); e.SubscriberUUID != "" {
			e.Evidence = evidenceVERP
		}
	}
	if m.has(msgSeveral) {
		e.SubscriberUUID = ""
	}
}

// namesSubscriber says whether there is anything for correlate to find.
func (p *postfix) namesSubscriber(m *queueMessage) bool {
	e := event.Event{MessageID: loggedMessageID(m.id), Sender: m.sender}
	p.correlate(&e, m)
	return e.Evidence != ""
}

// loggedMessageID takes the angle brackets off a logged Message-ID; "" for what is more, or less, than one.
func loggedMessageID(id string) string {
	if inner, ok := strings.CutPrefix(id, "<"); ok {
		if inner, ok = strings.CutSuffix(inner, ">"); !ok {
			return ""
		}
		id = inner
	} else if strings.IndexByte(id, ' ') >= 0 {
		return ""
	}
	plain := true
	for i := range len(id) {
		if c := id[i]; c == '<' || c == '>' || c < ' ' {
			return ""
		} else if c >= 0x7f {
			plain = false
		}
	}
	if !plain && (!utf8.ValidString(id) || strings.ContainsFunc(id, isUnseen)) {
		return ""
	}
	return id
}
