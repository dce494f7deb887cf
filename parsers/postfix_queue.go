package parsers

import (
	"bytes"
	"net/netip"
	"strings"

	"bouncefeed/internal/event"
	"bouncefeed/internal/text"
)

// The lines of the programs that take a message in, queue it and are done with it.

// readClient reads what opens a message from the network:
//
//	8F7BAA2E332: client=mail.example.org[192.0.2.7], sasl_method=PLAIN, sasl_username=listmonk
func (p *postfix) readClient(l *logLine, _ func(event.Event)) error {
	foreign := p.fromForeign(l, l.text[len("client="):])
	if m := p.memory.open(l); foreign {
		m.flags |= msgForeign
	}
	return nil
}

// fromForeign says whether a message comes from a client that is not ours. A filter may have told who it got it from
// (XFORWARD); only hosts that the admin named in smtpd_authorized_xforward_hosts can.
//
//	client=localhost[127.0.0.1], orig_queue_id=8F7BAA2E332, orig_client=unknown[192.0.2.7]
func (p *postfix) fromForeign(l *logLine, client []byte) bool {
	client, orig, _ := bytes.Cut(client, []byte(", orig_"))
	if id, ok := bytes.CutPrefix(orig, []byte("queue_id=")); ok {
		if m := p.other(l, id[:queueIDLength(id)]); m != nil {
			return m.has(msgForeign)
		}
		_, orig, _ = bytes.Cut(orig, []byte(", orig_"))
	}
	if first, ok := bytes.CutPrefix(orig, []byte("client=")); ok {
		client = first
	}
	return p.isForeign(client)
}

// isForeign says whether a client neither logged in nor is of our own networks.
func (p *postfix) isForeign(client []byte) bool {
	if foreign, known := p.clients[string(client)]; known {
		return foreign
	}
	if len(p.clients) >= maxClients {
		clear(p.clients)
	}
	foreign := p.askForeign(string(client))
	p.clients[string(client)] = foreign
	return foreign
}

func (p *postfix) askForeign(client string) bool {
	_, rest, _ := strings.Cut(client, "[")
	address, rest, _ := strings.Cut(rest, "]")
	if strings.HasPrefix(rest, ":") { // smtpd_client_port_logging
		rest = strings.TrimLeft(rest, ":0123456789")
	}
	if strings.HasPrefix(rest, ", sasl_") {
		return false
	}
	addr, err := netip.ParseAddr(strings.TrimPrefix(address, "IPv6:"))
	if err != nil {
		return true
	}
	addr = addr.Unmap()
	for _, network := range p.mynetworks {
		if network.Contains(addr) {
			return false
		}
	}
	return true
}

// readPickup reads what opens a message from this host; orig_id= is the id it had before postsuper -r:
//
//	2E91EA2E447: uid=101 from=<bounce@example.org> orig_id=2031CA2E433
func (p *postfix) readPickup(l *logLine, _ func(event.Event)) error {
	m := p.memory.open(l)
	at := bytes.Index(l.text, []byte(" from=<"))
	if at < 0 {
		return nil
	}
	sender, rest, err := scanAngle(l.text[at+len(" from="):])
	if err != nil {
		return err
	}
	if id, ok := bytes.CutPrefix(rest, []byte(" orig_id=")); ok {
		if old := p.other(l, id[:queueIDLength(id)]); old != nil && old != m {
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

// other finds the message of another queue id of the same host.
func (p *postfix) other(l *logLine, id []byte) *queueMessage {
	if len(id) == 0 {
		return nil
	}
	key := queueKey{host: l.key.host}
	copy(key.id[:], id)
	return p.memory.find(&key, l.instance)
}

func (p *postfix) setSender(m *queueMessage, sender []byte) {
	if string(sender) != p.sender {
		p.sender = string(sender)
	}
	m.sender = p.sender
	m.flags |= msgSender
}

// readMessageID reads cleanup's line. A message forwarded by local(8), a bounce and a probe have no line before it.
// The text is a stranger's, to the end of the line. Of several Message-IDs the first counts, as in the bounce.
//
//	8F7BAA2E332: message-id=<ZlW4wWXqeQrNMbeNx05JI8Mg@example.org>
func (p *postfix) readMessageID(l *logLine, _ func(event.Event)) error {
	m := p.memory.find(&l.key, l.instance)
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
			p.adopt(m, old)
		}
	}
	p.memory.touch(m, l.seen)
	return nil
}

const maxMessageID = 998 // bytes; RFC 5322 §2.1.1

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
	if len(value) < uuidLength || !isUUID(string(value[:uuidLength])) ||
		!bytes.HasPrefix(bytes.TrimLeft(value[uuidLength:], " ?"), []byte("from ")) {
		return nil
	}
	m := p.memory.find(&l.key, l.instance)
	if m == nil || m.has(msgQueued) {
		m = p.memory.open(l)
	}
	uuid := strings.ToLower(string(value[:uuidLength]))
	if isCampaign {
		m.extra().campaign = uuid
	} else {
		m.extra().subscriber = uuid
	}
	p.memory.touch(m, l.seen)
	return nil
}

// readQueue reads the queue manager's line, written each time it takes the message up, and when it gives up:
//
//	8F7BAA2E332: from=<bounce@example.org>, size=979, nrcpt=1 (queue active)
//	8F7BAA2E332: from=<bounce@example.org>, status=expired, returned to sender
func (p *postfix) readQueue(l *logLine, emit func(event.Event)) error {
	sender, rest, err := scanAngle(l.text[len("from="):])
	m := p.memory.find(&l.key, l.instance)
	recipients, ok := 0, false
	if err == nil {
		switch string(rest) {
		case ", status=expired, returned to sender", ", status=force-expired, returned to sender":
			if m != nil {
				p.expire(l, m, emit)
			}
			return nil
		}
		if recipients, ok = readQueueActive(rest); !ok {
			err = event.Refuse(WhyTwoReadings, "not the queue manager's words behind the sender")
		}
	}
	if m == nil {
		m = p.memory.open(l)
	}
	if err != nil {
		sender = nil // no sender of ours: nothing is reported of this message
	}
	if recipients > 1 {
		m.flags |= msgSeveral
	}
	p.takeUp(l, m, sender)
	return err
}

// takeUp notes that the queue manager begins to deliver m.
func (p *postfix) takeUp(l *logLine, m *queueMessage, sender []byte) {
	if !m.has(msgQueued) {
		p.memory.setInstance(m, l.instance)
		p.memory.setQueued(m)
	}
	if m.has(msgForwarded) && m.sender != string(sender) {
		m.disown()
	}
	if m.link().origin == "" { // a content filter may have changed it: the original's is kept
		p.setSender(m, sender)
	}
	m.flags |= msgActive
	m.active = l.at
	if first := p.memory.firsts[m.id]; first != nil && m.id != "" {
		m.flags |= first.flags & msgForeign // the filter is of our networks, but not who wrote the message
	}
	if parent := p.parent(m); parent != nil && !parent.has(msgReinjected) {
		parent.flags |= msgReinjected
		p.memory.touch(parent, parent.seen)
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
func (p *postfix) readRemoved(l *logLine, _ func(event.Event)) error {
	if len(l.text) != len("removed") {
		return nil
	}
	m := p.memory.find(&l.key, l.instance)
	if m == nil {
		return nil
	}
	if parent := p.parent(m); parent != nil && m.link().origin == "" {
		// The line that tells of the handing-on may come only after this one.
		links := parent.extra()
		if len(links.passed) >= maxCopies {
			links.passed = links.passed[1:]
		}
		links.passed = append(links.passed, m.key.String())
		p.memory.touch(parent, parent.seen)
	}
	if m.has(msgForeign) && m.has(msgFirst) && p.namesSubscriber(m) {
		p.memory.retire(m)
	} else {
		p.memory.forget(m)
	}
	return nil
}

// readRequeued: postsuper -r; the message comes back through pickup or cleanup under another queue id.
func (p *postfix) readRequeued(l *logLine, _ func(event.Event)) error {
	if m := p.memory.find(&l.key, l.instance); m != nil && len(l.text) == len("requeued") {
		m.flags |= msgRequeued
		p.memory.touch(m, l.seen)
	}
	return nil
}
