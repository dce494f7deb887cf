package maillog

import (
	"bytes"
	"strings"

	"bouncefeed/internal/event"
	"bouncefeed/internal/listmonk"
	"bouncefeed/internal/text"
)

// The lines of the programs that take a message in, queue it and are done with it.

// readClient reads what opens a message from the network:
//
//	8F7BAA2E332: client=mail.example.org[192.0.2.7], sasl_method=PLAIN, sasl_username=listmonk
func (p *postfix) readClient(l *logLine, _ func(event.Event)) error {
	foreign := p.fromForeign(l, l.text[len("client="):])
	p.opened(p.memory.open(l), foreign)
	return nil
}

// fromForeign says whether a message comes from a client that is not ours. A filter may have told who it got it from
// (XFORWARD); only hosts that the admin named in smtpd_authorized_xforward_hosts can.
//
//	client=localhost[127.0.0.1], orig_queue_id=8F7BAA2E332, orig_client=unknown[192.0.2.7]
func (p *postfix) fromForeign(l *logLine, client []byte) bool {
	client, orig, _ := bytes.Cut(client, []byte(", orig_"))
	if id, ok := bytes.CutPrefix(orig, []byte("queue_id=")); ok {
		if m := p.findOther(l, id[:queueIDLength(id)]); m != nil {
			return m.has(msgForeign)
		}
		_, orig, _ = bytes.Cut(orig, []byte(", orig_"))
	}
	if first, ok := bytes.CutPrefix(orig, []byte("client=")); ok {
		client = first
	}
	return p.isForeign(client)
}

// readPickup reads what opens a message from this host; orig_id= is the id it had before postsuper -r:
//
//	2E91EA2E447: uid=101 from=<bounce@example.org> orig_id=2031CA2E433
func (p *postfix) readPickup(l *logLine, _ func(event.Event)) error {
	m := p.memory.open(l)
	p.opened(m, false)
	at := bytes.Index(l.text, []byte(" from=<"))
	if at < 0 {
		return nil
	}
	sender, rest, err := inAngles(l.text[at+len(" from="):])
	if err != nil {
		return err
	}
	if id, ok := bytes.CutPrefix(rest, []byte(" orig_id=")); ok {
		if old := p.findOther(l, id[:queueIDLength(id)]); old != nil && old != m {
			old.flags |= msgRequeued
			p.memory.touch(old, old.seen)
		}
	} else if len(rest) > 0 {
		return nil
	}
	p.setSender(m, sender)
	p.memory.touch(m, l.seen)
	return nil
}

// readMessageID reads cleanup's line. A message forwarded by local(8), a bounce and a probe have no line before it.
// The text is a stranger's, to the end of the line. Of several Message-IDs the first counts, as in the bounce.
//
//	8F7BAA2E332: message-id=<ZlW4wWXqeQrNMbeNx05JI8Mg@example.org>
func (p *postfix) readMessageID(l *logLine, _ func(event.Event)) error {
	m := p.find(l)
	switch {
	case m == nil || m.has(msgQueued):
		m = p.memory.open(l)
	case m.id != "":
		return nil
	default:
		p.memory.setInstance(m, l.instance)
	}
	id := bytes.TrimSpace(l.text[len("message-id="):])
	p.memory.setID(m, string(id[:min(len(id), maxMessageID)]))
	if !m.has(msgFirst) {
		if old := p.memory.firsts[m.id]; old != nil && old.has(msgRequeued) {
			p.replace(old, m)
		}
	}
	p.memory.touch(m, l.seen)
	return nil
}

// readHeader reads what header_checks with INFO log. Only a UUID counts, and only from a client of ours (see report).
// A field's name may come in any case, and "?" stands where the field was folded.
// The all-zero UUID of a test message is kept like any other: the agent drops such reports.
//
//	8F7BAA2E332: info: header X-Listmonk-Campaign: ef7c986e-… from localhost[127.0.0.1]; from=<…> to=<…> proto=ESMTP helo=<…>
func (p *postfix) readHeader(l *logLine, _ func(event.Event)) error {
	name, value, _ := bytes.Cut(l.text[len("info: header "):], []byte(":"))
	isCampaign := bytes.EqualFold(name, []byte("X-Listmonk-Campaign"))
	if !isCampaign && !bytes.EqualFold(name, []byte("X-Listmonk-Subscriber")) {
		return nil
	}
	value = bytes.TrimLeft(value, " ?")
	if len(value) < listmonk.UUIDLength || !listmonk.IsUUID(string(value[:listmonk.UUIDLength])) ||
		!bytes.HasPrefix(bytes.TrimLeft(value[listmonk.UUIDLength:], " ?"), []byte("from ")) {
		return nil
	}
	m := p.find(l)
	if m == nil || m.has(msgQueued) {
		m = p.memory.open(l)
	}
	uuid := strings.ToLower(string(value[:listmonk.UUIDLength]))
	if isCampaign {
		m.editDetails().campaign = uuid
	} else {
		m.editDetails().subscriber = uuid
	}
	p.memory.touch(m, l.seen)
	return nil
}

// readQueue reads the queue manager's line, written each time it takes the message up, and when it gives up:
//
//	8F7BAA2E332: from=<bounce@example.org>, size=979, nrcpt=1 (queue active)
//	8F7BAA2E332: from=<bounce@example.org>, status=expired, returned to sender
func (p *postfix) readQueue(l *logLine, emit func(event.Event)) error {
	sender, rest, err := inAngles(l.text[len("from="):])
	m := p.find(l)
	recipients, ok := 0, false
	if err == nil {
		switch string(rest) {
		case ", status=expired, returned to sender", ", status=force-expired, returned to sender":
			if m != nil {
				err := p.expire(l, m, emit)
				p.decide(l, m, true, emit)
				return err
			}
			if len(sender) > 0 && p.mayBeForgotten(l.at) { // whose recipients stand in no line from now on
				emit(event.Event{Type: event.Forgotten, Time: l.now, Sender: string(sender)})
			}
			return nil
		}
		if recipients, ok = readQueueActive(rest); !ok {
			err = event.Refuse(event.WhyTwoReadings, "not the queue manager's words behind the sender")
		}
	}
	if err != nil {
		sender = nil // no sender of ours: nothing is reported of this message
	}
	p.takeUp(l, m, sender, recipients)
	return err
}

// takeUp notes that the queue manager delivers m, if it is known, to so many recipients.
func (p *postfix) takeUp(l *logLine, m *message, sender []byte, recipients int) {
	if m == nil {
		m = p.memory.open(l)
	}
	if recipients > 1 {
		m.flags |= msgSeveral
	}
	m.left = recipients // in this attempt
	p.activate(l, m, sender)
}

// activate moves m into the active queue: the queue manager begins to deliver it.
func (p *postfix) activate(l *logLine, m *message, sender []byte) {
	if !m.has(msgQueued) {
		p.memory.setInstance(m, l.instance)
		p.memory.setQueued(m)
	}
	if m.has(msgForwarded) && m.sender != string(sender) {
		m.disinherit()
	}
	if m.details().origin == "" { // a content filter may have changed it: the original's is kept
		p.setSender(m, sender)
	}
	if n := len(p.doubleBounce); !m.isSilent() && len(sender) >= n && bytes.EqualFold(sender[:n], p.doubleBounce) {
		m.flags |= msgNotice
	}
	m.flags |= msgActive
	m.active = l.at
	p.shareID(m)
	if original := p.original(m); original != nil && !original.has(msgReinjected) {
		original.flags |= msgReinjected
		p.memory.touch(original, original.seen)
	}
	p.memory.touch(m, l.seen)
}

// readQueueActive reads ", size=979, nrcpt=1 (queue active)", and nothing behind.
func readQueueActive(b []byte) (recipients int, ok bool) {
	for _, word := range []string{", size=", ", nrcpt="} {
		rest, ok := bytes.CutPrefix(b, []byte(word))
		n := 0
		for n < len(rest) && text.IsDigit(rest[n]) {
			n++
		}
		if !ok || n == 0 {
			return 0, false
		}
		recipients, b = decimal(rest[:n]), rest[n:]
	}
	return recipients, string(b) == " (queue active)"
}

// readRemoved: the queue manager has deleted the queue file, or postsuper -d has.
func (p *postfix) readRemoved(l *logLine, emit func(event.Event)) error {
	if len(l.text) != len("removed") {
		return nil
	}
	m := p.find(l)
	if m == nil {
		return nil
	}
	p.decide(l, m, true, emit)
	p.remove(m)
	return nil
}

// remove forgets m, which is no more.
func (p *postfix) remove(m *message) {
	if original := p.original(m); original != nil && m.details().origin == "" {
		// The line that tells of the handing-on may come only after this one.
		d := original.editDetails()
		if len(d.passed) >= maxCopies {
			d.passed = d.passed[1:]
		}
		d.passed = append(d.passed, m.key.String())
		p.memory.touch(original, original.seen)
	}
	if m.has(msgForeign) && m.has(msgFirst) && p.namesSubscriber(m) {
		p.memory.retire(m)
	} else {
		p.memory.forget(m)
	}
}

// readNotice reads which message bounce(8) sent to the postmaster, under whatever sender:
//
//	8F7BAA2E332: postmaster non-delivery notification: 2E91EA2E447
func (p *postfix) readNotice(l *logLine, _ func(event.Event)) error {
	_, id, ok := bytes.Cut(l.text, []byte(" notification: "))
	if n := queueIDLength(id); ok && n == len(id) {
		if notice := p.findOther(l, id); notice != nil {
			notice.flags |= msgNotice
			p.memory.touch(notice, notice.seen)
		}
	}
	return nil
}

// readRequeued: postsuper -r; the message comes back through pickup or cleanup under another queue id.
func (p *postfix) readRequeued(l *logLine, _ func(event.Event)) error {
	if m := p.find(l); m != nil && len(l.text) == len("requeued") {
		m.flags |= msgRequeued
		p.memory.touch(m, l.seen)
	}
	return nil
}
