package parsers

import (
	"bytes"
	"slices"
	"strings"
)

// One message, several queue ids: a content filter hands it back, local(8) forwards it, postsuper -r queues it again.
// All copies have the Message-ID that our own cleanup logged; a reply that says "queued as" is believed only for a
// queue id of ours that has the same.

const maxCopies = 64

// parent is the message that m is likely a copy of while the line that says so is still to come: the first one with its
// Message-ID, of the same sender, taken up for delivery and so far neither delivered nor refused.
func (p *postfix) parent(m *queueMessage) *queueMessage {
	if m.id == "" || m.has(msgFirst) {
		return nil
	}
	first := p.memory.firsts[m.id]
	if first == nil || !first.has(msgActive) || first.sender != m.sender || first.arrived > m.arrived {
		return nil
	}
	return first
}

// handedOn says whether a delivery was none, but the way into a content filter and back, or to another local queue id.
func (p *postfix) handedOn(l *logLine, m *queueMessage, d *postfixDelivery) bool {
	if id := queuedAs(d.reason); id != nil {
		if next := p.other(l, id); next != nil && next != m && next.id == m.id && m.id != "" {
			if bytes.HasPrefix(d.reason, []byte(postfixForwarded)) {
				if next.has(msgSender) && next.sender != m.sender {
					return false // from owner-LIST
				}
				next.flags |= msgForwarded
			}
			p.link(next, m, d)
			return true
		}
		if slices.Contains(m.link().passed, string(id)) {
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

// link makes next a copy of m, with what the sender knows of it.
func (p *postfix) link(next, m *queueMessage, d *postfixDelivery) {
	p.inherit(next, m)
	if len(d.origTo) > 0 && bytes.IndexByte(d.origTo, '@') >= 0 && len(next.links.aliases) < 2*maxCopies {
		next.links.aliases = append(next.links.aliases, string(d.to), string(d.origTo))
	}
	p.memory.touch(next, next.seen)
}

// inherit gives next the ids, the sender and the UUIDs of m.
func (p *postfix) inherit(next, m *queueMessage) {
	links, old := next.extra(), m.link()
	if links.origin == "" {
		origin, others := m.ids()
		if links.origin = origin; old.origin != "" {
			links.others = others
		}
		links.aliases = slices.Clone(old.aliases)
	}
	if m.has(msgSender) {
		next.sender = m.sender
		next.flags |= msgSender
	}
	next.flags = next.flags&^msgForeign | m.flags&msgForeign
	if old.campaign != "" {
		links.campaign = old.campaign
	}
	if old.subscriber != "" {
		links.subscriber = old.subscriber
	}
}

// adopt lets m take the place of old, which was queued again: its age goes on, and so does what is known of recipients.
func (p *postfix) adopt(m, old *queueMessage) {
	p.inherit(m, old)
	m.arrived = old.arrived
	m.pending = old.pending
	id := m.id
	p.memory.forget(old)
	m.id = "" // it is now the first with this Message-ID
	p.memory.setID(m, id)
}

// ids gives the queue id that the sender's hand-over had, and the further ones.
func (p *postfix) ids(m *queueMessage) (origin string, others []string) {
	if m.link().origin == "" {
		if parent := p.parent(m); parent != nil {
			origin, others = parent.ids()
			return origin, append(others, m.key.String())
		}
	}
	return m.ids()
}

func (m *queueMessage) ids() (origin string, others []string) {
	own, links := m.key.String(), m.link()
	if links.origin == "" {
		return own, nil
	}
	return links.origin, append(slices.Clone(links.others), own)
}

// disown undoes inherit: m turned out to be a mailing list's, sent by owner-LIST. What fails of it is no bounce of ours.
func (m *queueMessage) disown() {
	m.links = nil
	m.flags &^= msgForwarded
}

// alias gives the address that the sender knows for a recipient, where an alias was resolved before the filter.
func (m *queueMessage) alias(to string) string {
	aliases := m.link().aliases
	for i := 0; i+1 < len(aliases); i += 2 {
		if strings.EqualFold(aliases[i], to) {
			return aliases[i+1]
		}
	}
	return ""
}
