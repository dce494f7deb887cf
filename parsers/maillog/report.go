package maillog

import (
	"strings"
	"time"
	"unicode/utf8"

	"bouncefeed/internal/address"
	"bouncefeed/internal/event"
	"bouncefeed/internal/listmonk"
)

// report makes the event of one recipient.
func (t *tracker) report(l *logLine, m *message, o *outcome, kind event.Type) event.Event {
	e := event.Event{
		Type: kind, Time: l.now, QueueIDIssuer: t.host, Sender: m.sender, MessageID: loggedMessageID(m.id),
		RemoteMTA: o.remote, Code: o.code, Status: o.status, Diagnostic: o.diagnostic,
	}
	e.Recipient, e.OriginalRecipient = m.named(o)
	e.QueueID, e.OtherQueueIDs = t.ids(m)
	origin := t.originOf(m)
	e.Transit = t.transit(l, m, o, origin)
	if !m.has(msgShared) && origin == ours {
		e.Ours, e.Sole = true, !m.has(msgSeveral)
		if kind != event.Delivered {
			t.identify(&e, m)
			t.verp.CompleteFrom(&e, o.returnPath)
		}
	}
	return e
}

// transit is how m went to one recipient.
func (t *tracker) transit(l *logLine, m *message, o *outcome, origin origin) event.Transit {
	return event.Transit{
		Relay: o.relay, Delay: max(0, time.Duration(l.at-m.arrived)*time.Microsecond), Before: o.before, Foreign: origin == foreign,
	}
}

// named gives the address under which the sender knows o's recipient, and the other one, if there is.
func (m *message) named(o *outcome) (recipient, original string) {
	recipient, original = o.to, o.origTo
	known := o.origTo
	if known == "" {
		known = m.alias(o.to)
	}
	if strings.IndexByte(known, '@') >= 0 { // orig_to=<root> is no address
		recipient, original = known, o.to
	}
	if recipient, original = address.Logged(recipient), address.Logged(original); o.noMailbox || address.Same(recipient, original) {
		original = ""
	}
	return recipient, original
}

// expire reports every recipient that is still pending.
func (t *tracker) expire(l *logLine, m *message, emit func(event.Event)) error {
	var err error
	if !m.isSilent() {
		for i := range m.pending {
			m.pending[i].before, m.pending[i].relay = true, "" // which is not remembered
			err = t.fail(l, m, &m.pending[i], !m.pending[i].isHard(), emit)
		}
	}
	m.pending = nil
	t.memory.touch(m, l.seen)
	return err
}

// identify finds the subscriber and the campaign of m. Of several recipients one may be an archive's (always_bcc): what
// fails for it must not count against the subscriber.
func (t *tracker) identify(e *event.Event, m *message) {
	d := m.details()
	listmonk.Identify(e, d.campaign, d.subscriber)
	t.verp.Complete(e)
	if m.has(msgSeveral) {
		e.SubscriberUUID = ""
	}
}

// namesSubscriber says whether there is anything for identify to find.
func (t *tracker) namesSubscriber(m *message) bool {
	e := event.Event{MessageID: loggedMessageID(m.id), Sender: m.sender}
	t.identify(&e, m)
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
	if !plain && (!utf8.ValidString(id) || strings.ContainsFunc(id, address.IsUnseen)) {
		return ""
	}
	return id
}
