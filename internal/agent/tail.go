package agent

import (
	"cmp"
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"bouncefeed/internal/event"
)

// Line is one line of `bouncefeed tail`: what happened to an event, where and when.
type Line struct {
	At      time.Time   `json:"at"`
	Module  string      `json:"module"`  // the input or output
	Outcome string      `json:"outcome"` // queued, repeat, held; sent, not_sent, dead
	Event   event.Event `json:"event"`
}

// LineFilter says which lines are wanted; what is empty takes all.
type LineFilter struct {
	Module string    `json:"module,omitempty"` // the input or output
	Type   string    `json:"type,omitempty"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since,omitzero"`   // what happened since then, as far as it is remembered
	Last   int       `json:"last,omitempty"`   // at most so many of what happened before
	Match  string    `json:"match,omitempty"`  // an address, @domain, Message-ID, queue id, UUID or id
	Follow bool      `json:"follow,omitempty"` // go on with what happens from now on
}

// takes says whether a line is wanted.
func (f *LineFilter) takes(l *Line) bool {
	return (f.Module == "" || f.Module == l.Module) && (f.Type == "" || f.Type == string(l.Event.Type)) &&
		(f.Reason == "" || f.Reason == string(l.Event.Reason)) && !l.At.Before(f.Since) && (f.Match == "" || Matches(&l.Event, f.Match))
}

// Matches says whether an event is the one that word names: by an address, @domain, Message-ID, queue id, UUID or its id.
func Matches(e *event.Event, word string) bool {
	word = matchWord(word)
	if domain, ok := strings.CutPrefix(word, "@"); ok {
		return strings.HasSuffix(strings.ToLower(e.Recipient), "@"+domain) || strings.HasSuffix(strings.ToLower(e.OriginalRecipient), "@"+domain)
	}
	return word != "" && slices.ContainsFunc([]string{e.Recipient, e.OriginalRecipient, e.MessageID, e.QueueID, e.SubscriberUUID, e.ID}, func(is string) bool {
		return strings.ToLower(is) == word
	})
}

// matchWord is a word as it is compared.
func matchWord(word string) string {
	return strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(word), "<"), ">"))
}

// remembered is how many lines are kept for those who ask later.
const remembered = 5000

// tail hands every line to all who watch, and remembers the last ones. One who reads too slowly misses lines; nobody
// waits for him.
type tail struct {
	mu       sync.Mutex
	watchers map[chan Line]struct{}
	last     []Line  // a ring
	next     int     // where the next one goes
	reasons  tallied // of what was queued
}

func (t *tail) publish(module, outcome string, e *event.Event) {
	if outcome == outcomeQueued {
		t.reasons.count(cmp.Or(string(e.Reason), string(e.Type)))
	}
	line := Line{time.Now().UTC(), module, outcome, *e}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.last) < remembered {
		t.last = append(t.last, line)
	} else {
		t.last[t.next] = line
	}
	t.next = (t.next + 1) % remembered
	for w := range t.watchers {
		select {
		case w <- line:
		default:
		}
	}
}

// watch gives the lines that are remembered, the oldest first, a channel of those to come, and the function that ends it.
func (t *tail) watch() (before []Line, _ <-chan Line, end func()) {
	w := make(chan Line, 1024)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.watchers == nil {
		t.watchers = map[chan Line]struct{}{}
	}
	t.watchers[w] = struct{}{}
	return t.inOrder(), w, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.watchers, w)
	}
}

// inOrder copies what is remembered, the oldest first.
func (t *tail) inOrder() []Line {
	if len(t.last) < remembered {
		return slices.Clone(t.last)
	}
	return append(slices.Clone(t.last[t.next:]), t.last[:t.next]...)
}

// answerTail tells what happened, as far as it is remembered and asked for, and then what happens.
func (a *Agent) answerTail(ctx context.Context, f LineFilter, _ io.Reader, reply func(Line) error) error {
	before, lines, end := a.tail.watch()
	defer end()
	if f.Since.IsZero() && f.Last == 0 {
		before = nil
	}
	before = slices.DeleteFunc(before, func(l Line) bool { return !f.takes(&l) })
	if f.Last > 0 && len(before) > f.Last {
		before = before[len(before)-f.Last:]
	}
	for i := range before {
		if err := reply(before[i]); err != nil {
			return nil
		}
	}
	for f.Follow {
		select {
		case <-ctx.Done():
			return nil
		case line := <-lines:
			if !f.takes(&line) {
				continue
			}
			if err := reply(line); err != nil {
				return nil // the watcher went away
			}
		}
	}
	return nil
}
