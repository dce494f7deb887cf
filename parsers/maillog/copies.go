package maillog

import (
	"slices"
	"strings"
)

// One message, several queue ids: a content filter hands it back, an alias forwards it, an admin queues it again. All
// copies have the same Message-ID.

const maxCopies = 64

// original is the message that m is likely a copy of while the line that says so is still to come: the first one with its
// Message-ID, of the same sender, taken up for delivery and so far neither delivered nor refused.
func (t *tracker) original(m *message) *message {
	if m.id == "" || m.has(msgFirst) {
		return nil
	}
	first := t.memory.firsts[m.id]
	if first == nil || !first.has(msgActive) || first.sender != m.sender || first.arrived > m.arrived {
		return nil
	}
	return first
}

// inherit gives the copy the ids, the sender and the UUIDs of m.
func (t *tracker) inherit(copied, m *message) {
	to, from := copied.editDetails(), m.details()
	if to.origin == "" {
		origin, others := m.ids()
		if to.origin = origin; from.origin != "" {
			to.others = others
		}
		to.aliases = slices.Clone(from.aliases)
	}
	if m.has(msgSender) {
		copied.sender = m.sender
		copied.flags |= msgSender
	}
	switch whose := t.originOf(m); whose {
	case ours:
		t.memory.setOrigin(copied, msgBegun)
	case foreign:
		t.memory.setOrigin(copied, msgBegun|msgForeign)
	default:
		t.memory.setOrigin(copied, copied.flags&(msgBegun|msgForeign))
	}
	copied.flags |= m.flags & msgShared
	if from.campaign != "" {
		to.campaign = from.campaign
	}
	if from.subscriber != "" {
		to.subscriber = from.subscriber
	}
}

// disinherit undoes inherit: m turned out to be a mailing list's, sent by owner-LIST. What fails of it is no bounce of ours.
func (m *message) disinherit() {
	m.more = nil
	m.flags &^= msgForwarded
}

// replace lets m take the place of old, which was queued again: its age goes on, and so does what is known of recipients.
func (t *tracker) replace(old, m *message) {
	t.inherit(m, old)
	m.arrived = old.arrived
	m.pending = old.pending
	id := m.id
	t.memory.forget(old)
	m.id = "" // it is now the first with this Message-ID
	t.memory.setID(m, id)
}

// ids gives the queue id under which the sender handed m in, and the further ones.
func (t *tracker) ids(m *message) (origin string, others []string) {
	if m.details().origin == "" {
		if original := t.original(m); original != nil {
			origin, others = original.ids()
			return origin, append(others, m.key.String())
		}
	}
	return m.ids()
}

func (m *message) ids() (origin string, others []string) {
	own, d := m.key.String(), m.details()
	if d.origin == "" {
		return own, nil
	}
	return d.origin, append(slices.Clone(d.others), own)
}

// alias gives the address that the sender knows for a recipient, where an alias was resolved before m was copied.
func (m *message) alias(to string) string {
	aliases := m.details().aliases
	for i := 0; i+1 < len(aliases); i += 2 {
		if strings.EqualFold(aliases[i], to) {
			return aliases[i+1]
		}
	}
	return ""
}
