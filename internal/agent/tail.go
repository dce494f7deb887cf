package agent

import (
	"cmp"
	"sync"

	"bouncefeed/internal/event"
)

// Line is one line of `bouncefeed tail`: what happened to an event, where.
type Line struct {
	Module  string      `json:"module"`  // the input or output
	Outcome string      `json:"outcome"` // queued, repeat, held; sent, not_sent, dead
	Event   event.Event `json:"event"`
}

// tail hands every line to all who watch. One who reads too slowly misses lines; nobody waits for him.
type tail struct {
	mu       sync.Mutex
	watchers map[chan Line]struct{}
	reasons  tallied // of what was queued
}

func (t *tail) publish(module, outcome string, e *event.Event) {
	if outcome == outcomeQueued {
		t.reasons.count(cmp.Or(string(e.Reason), string(e.Type)))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for w := range t.watchers {
		select {
		case w <- Line{module, outcome, *e}:
		default:
		}
	}
}

// watch gives a channel of lines and the function that ends it.
func (t *tail) watch() (<-chan Line, func()) {
	w := make(chan Line, 1024)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.watchers == nil {
		t.watchers = map[chan Line]struct{}{}
	}
	t.watchers[w] = struct{}{}
	return w, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.watchers, w)
	}
}
