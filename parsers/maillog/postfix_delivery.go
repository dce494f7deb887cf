package maillog

import (
	"bytes"
	"strings"
	"time"

	"bouncefeed/internal/event"
)

// readDelivery reads what a delivery agent says of one recipient.
func (p *postfix) readDelivery(l *logLine, emit func(event.Event)) error {
	d, err := scanPostfixDelivery(l.text)
	if err != nil {
		return err
	}
	status := strings.ToLower(string(d.status))
	if strings.HasPrefix(status, "deliverable") || strings.HasPrefix(status, "undeliverable") { // address verification; also "-but-not-cached"
		return nil
	}
	m := p.find(l)
	if m == nil {
		if !p.openedBefore(l, &d) && !p.mayBeForgotten(l.at) {
			return event.Refuse(whyUnopened, "no cleanup or qmgr line opened this queue id")
		}
		m = p.memory.open(l)
		m.arrived = l.at - readSeconds(d.delay).Microseconds()
		p.memory.setQueued(m)
	}
	if d.twoReadings(p.clockOf(l, m)) {
		m.take(d.to, d.origTo, true) // whatever it was, the recipient is not simply pending any more
		p.memory.touch(m, l.seen)
		return event.Refuse(event.WhyTwoReadings, "the address may end in two places")
	}
	return p.tell(l, m, &d, status, emit)
}

func (p *postfix) clockOf(l *logLine, m *message) postfixClock {
	return postfixClock{
		known: m.active != 0, sinceActive: time.Duration(l.at-m.active) * time.Microsecond, resolution: l.resolution(),
	}
}

// tell takes over what a delivery line says of a recipient, and emits its event.
func (p *postfix) tell(l *logLine, m *message, d *postfixDelivery, status string, emit func(event.Event)) (err error) {
	_, before := m.take(d.to, d.origTo, true)
	switch status {
	case "sent":
		if p.handedOn(l, m, d) {
			break
		}
		m.flags &^= msgActive
		if !m.isSilent() {
			o := outcome{to: string(d.to), origTo: string(d.origTo), relay: p.relays.of(d.relay), before: before}
			if m.has(msgSeveral|msgForwarded) || bytes.HasSuffix(l.tag, []byte("/local")) {
				p.reached(l, m, &o, emit)
				p.tellCopies(l, m, emit)
			}
			p.passed(l, m, &o, event.Delivered, emit)
		}
	case "deferred", "softbounce":
		m.flags &^= msgActive
		if !m.isSilent() {
			o := d.outcome()
			o.relay, o.before = p.relays.of(d.relay), before
			if status == "softbounce" {
				o.harden()
			}
			m.pending = append(m.pending, o)
			p.passed(l, m, &o, event.Delayed, emit)
		}
	case "bounced", "expired", "force-expired":
		if !m.isSilent() {
			o := d.outcome()
			o.relay, o.before = p.relays.of(d.relay), before
			err = p.fail(l, m, &o, status != "bounced", emit)
		}
		m.flags &^= msgActive
	}
	if m.left--; m.left <= 0 {
		p.decide(l, m, false, emit)
	}
	p.memory.touch(m, l.seen)
	return err
}

// openedBefore says whether an unknown message may have been opened before the first line ever. Delays have
// two digits, many stamps no fractions.
func (p *postfix) openedBefore(l *logLine, d *postfixDelivery) bool {
	delay := readSeconds(d.delay)
	arrived := l.at - (delay + delay/10 + 10*time.Millisecond).Microseconds()
	if t, ok := longQueueIDTime(l.key.String()); ok {
		arrived = t
	}
	first := p.first
	if first%time.Second.Microseconds() == 0 { // somewhere in that second
		first += time.Second.Microseconds()
	}
	return arrived < first && p.isCatchingUp(l)
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
