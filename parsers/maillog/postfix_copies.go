package maillog

import (
	"bytes"
	"slices"

	"bouncefeed/internal/address"
	"bouncefeed/internal/event"
)

// A content filter hands a message back, local(8) forwards it, postsuper -r queues it again. All copies have the
// Message-ID that our own cleanup logged; a reply that says "queued as" is believed only for a queue id of ours that has
// the same.

const postfixForwarded = "forwarded as "

// handedOn says whether a delivery was none, but the way into a content filter and back, or to another local queue id.
func (p *postfix) handedOn(l *logLine, m *message, d *postfixDelivery) bool {
	if id := queuedAs(d.reason); id != nil {
		if next := p.findOther(l, id); next != nil && next != m && next.id == m.id && m.id != "" {
			if bytes.HasPrefix(d.reason, []byte(postfixForwarded)) {
				if next.has(msgSender) && next.sender != m.sender {
					return false // from owner-LIST
				}
				next.flags |= msgForwarded
			}
			p.markCopy(next, m, d)
			return true
		}
		if slices.Contains(m.details().passed, string(id)) {
			return true
		}
	}
	return m.has(msgReinjected) && isFilter(l.tag, d.relay)
}

// isFilter says whether a filter may stand behind the relay: a pipe, or a server on this host.
func isFilter(tag, relay []byte) bool {
	return bytes.HasSuffix(tag, []byte("/pipe")) || bytes.Contains(relay, []byte("[127.")) || bytes.Contains(relay, []byte("[::1]")) ||
		bytes.Contains(relay, []byte("[/")) || bytes.Contains(relay, []byte("[private/"))
}

// markCopy makes next a copy of m, with what the sender knows of it.
func (p *postfix) markCopy(next, m *message, d *postfixDelivery) {
	p.inherit(next, m)
	known := m.knownAs(&outcome{to: string(d.to), origTo: string(d.origTo)})
	if next.has(msgForwarded) { // beside which the recipient may have a mailbox
		if m.hasReached(known) && next.got == "" {
			next.got = known
		}
		if own := m.editDetails(); len(own.copies) < 2*maxCopies {
			own.copies = append(own.copies, next.key.String(), known)
		}
	}
	if len(d.origTo) > 0 && bytes.IndexByte(d.origTo, '@') >= 0 && len(next.more.aliases) < 2*maxCopies {
		next.more.aliases = append(next.more.aliases, string(d.to), string(d.origTo))
	}
	p.memory.touch(next, next.seen)
}

// queuedAs finds the queue id that the next hop, perhaps our own content filter's way back, gave the message.
//
//	250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 93E16A2E421
//	forwarded as 93E16A2E421
func queuedAs(reason []byte) []byte {
	if !bytes.Contains(reason, []byte("queued as ")) {
		if id, ok := bytes.CutPrefix(reason, []byte(postfixForwarded)); ok {
			return id[:queueIDLength(id)]
		}
		return nil
	}
	id := reason[bytes.LastIndex(reason, []byte("queued as "))+len("queued as "):]
	return id[:queueIDLength(id)]
}

// tellCopies has the copies that a .forward made know who has the message itself.
func (p *postfix) tellCopies(l *logLine, m *message, emit func(event.Event)) {
	for i, copies := 0, m.details().copies; i+1 < len(copies); i += 2 {
		next := p.findOther(l, []byte(copies[i]))
		if next != nil && next.has(msgForwarded) && m.hasReached(copies[i+1]) && !next.hasReached(copies[i+1]) {
			p.reached(l, next, &outcome{to: copies[i+1]}, emit)
			p.memory.touch(next, next.seen)
		}
	}
}

// isForwarded says whether a .forward or an alias made a copy for a recipient.
func (m *message) isForwarded(known string) bool {
	for i, copies := 0, m.details().copies; i+1 < len(copies); i += 2 {
		if address.Same(copies[i+1], known) {
			return true
		}
	}
	return false
}
