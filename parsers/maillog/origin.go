package maillog

import (
	"net/netip"
	"strings"

	"bouncefeed/internal/event"
)

// Only what we send gives bounces: a message that a client of ours handed in, one that logged in, or a process of this
// host. Whoever may send through the server otherwise (to its own users, to domains it relays for) can make it bounce
// as he likes, under any envelope sender and with any header.

// origin is whose a message is.
type origin uint8

const (
	nobodys origin = iota // its beginning was missed, though no line was
	earlier               // it may have begun before the first line, or in a gap: it is reported, and no more believed of it
	foreign
	ours
)

// originOf says whose m is.
func (t *tracker) originOf(m *message) origin {
	switch {
	case m.has(msgForeign):
		return foreign
	case m.has(msgBegun):
		return ours
	}
	if original := t.original(m); original != nil && !original.has(msgShared) {
		return t.originOf(original)
	}
	if t.mayBeEarlier(m.arrived) {
		return earlier
	}
	return nobodys
}

// mayBeEarlier says whether a message whose beginning was not seen may have begun before the first line. A queue manager
// names it again for days; but a stranger who begins more messages than are remembered could pass for one.
func (t *tracker) mayBeEarlier(arrived int64) bool {
	grace := unopenedGrace.Microseconds()
	if flooded := t.memory.flooded; flooded != 0 && arrived > t.first && arrived > flooded-grace && arrived < flooded+grace {
		return false
	}
	return arrived-t.first <= grace || t.mayBeForgotten(arrived)
}

// mayBeForgotten says whether a message that is not known at a time may have been forgotten for want of room.
func (t *tracker) mayBeForgotten(at int64) bool {
	return t.memory.forgot != 0 && at-t.memory.forgot <= t.memory.maxAge.Microseconds()
}

// unopened is what becomes of a line about a message that is not known and can't have begun before the first line: of a
// failure that does not say enough itself, one that was forgotten is counted.
func (t *tracker) unopened(l *logLine, failed bool, emit func(event.Event)) error {
	if !t.mayBeForgotten(l.at) {
		return event.Refuse(whyUnopened, "no line opened this queue id")
	}
	if failed {
		emit(event.Event{Type: event.Forgotten, Time: l.now})
	}
	return nil
}

// opened notes which client handed m in: the line that a message begins with.
func (t *tracker) opened(m *message, isForeign bool) {
	flags := uint32(msgBegun)
	if isForeign {
		flags |= msgForeign
	}
	t.memory.setOrigin(m, flags)
}

// shareID has the first message with m's Message-ID, and m, known for what they are to each other. A filter's way back
// is a client of ours, but the message is the one's who sent it first; a stranger may as well have read the id in what
// he was sent.
func (t *tracker) shareID(m *message) {
	first := t.memory.firsts[m.id]
	if m.id == "" || first == nil || first == m {
		return
	}
	switch {
	case !first.has(msgForeign):
		if m.has(msgForeign) && !first.has(msgShared) {
			first.flags |= msgShared
			t.memory.touch(first, first.seen)
		}
	case first.sender == m.sender:
		t.memory.setOrigin(m, m.flags&msgBegun|msgForeign)
	default:
		m.flags |= msgShared
	}
}

// Missed implements parsers.Misser: messages may have begun in between.
func (t *tracker) Missed() { t.first, t.firstChanged = 0, true }

// isForeign says whether a client neither logged in nor is of our own networks:
//
//	localhost[127.0.0.1]   mail.example.org[192.0.2.7]:4711, sasl_method=PLAIN   [IPv6:2001:db8::7]
func (t *tracker) isForeign(client []byte) bool {
	if foreign, known := t.clients[string(client)]; known {
		return foreign
	}
	if len(t.clients) >= maxClients {
		clear(t.clients)
	}
	foreign := t.askForeign(string(client))
	t.clients[string(client)] = foreign
	return foreign
}

func (t *tracker) askForeign(client string) bool {
	_, rest, _ := strings.Cut(client, "[")
	address, rest, _ := strings.Cut(rest, "]")
	if strings.HasPrefix(rest, ":") { // smtpd_client_port_logging
		rest = strings.TrimLeft(rest, ":0123456789")
	}
	if strings.HasPrefix(rest, ", sasl_") {
		return false
	}
	addr, err := netip.ParseAddr(strings.TrimPrefix(address, "IPv6:"))
	return err != nil || !t.mynetworks.Contain(addr)
}
