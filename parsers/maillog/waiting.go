package maillog

import (
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/parsers"
)

// Waiting implements parsers.Waiter, of what is in memory and of what was spilled.
func (t *tracker) Waiting(each func(*event.Passage)) {
	for _, head := range t.memory.messages {
		for m := head; m != nil; m = m.sibling {
			if !m.isSilent() && t.originOf(m) != foreign {
				m.waiting(each)
			}
		}
	}
	if t.memory.spill.empty() {
		return
	}
	for key, value := range t.memory.allSpilled() {
		if m, err := decodeMessage("m"+key[1:], value); err == nil && !m.isSilent() && !m.has(msgForeign) {
			m.waiting(each)
		}
	}
}

func (m *message) waiting(each func(*event.Passage)) {
	for i := range m.pending {
		o := &m.pending[i]
		each(&event.Passage{Type: event.Delayed, Time: time.UnixMicro(m.arrived).UTC(), Sender: m.sender, Recipient: o.to, RemoteMTA: o.remote})
	}
}

// Waiting implements parsers.Waiter.
func (j *journald) Waiting(each func(*event.Passage)) {
	for _, m := range j.mtas {
		if p, ok := m.parser.(parsers.Waiter); ok {
			p.Waiting(each)
		}
	}
}
