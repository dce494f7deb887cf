package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"bouncefeed/internal/address"
	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
	"bouncefeed/parsers"
)

// Forgotten says what was erased of an address, and where it may still be.
type Forgotten struct {
	Address string `json:"address"`
	queue.Erased
	Kept   string   `json:"kept,omitempty"`   // why free space of the queue file still has it; empty: it has not
	Copies []string `json:"copies,omitempty"` // files that may have it: the queue's of before it was mended
}

// A rememberer has what the queue's file has, in memory.
type rememberer interface {
	outdate()                             // what the parsers remember is no longer what is stored
	forget(about func(*event.Event) bool) // drops what it has of these events
}

// answerForget erases an address from q, and from the memory of whoever has it open; nil: nobody else remembers anything.
func answerForget(q *queue.Queue, path string, live rememberer) func(context.Context, string, io.Reader, func(Forgotten) error) error {
	return one(func(who string) (Forgotten, error) {
		mailbox, err := address.Parse(who)
		if err != nil {
			return Forgotten{}, fmt.Errorf("%q is no address: %w", who, err)
		}
		about := func(e *event.Event) bool {
			return slices.ContainsFunc([]string{e.Recipient, e.OriginalRecipient, e.Claimed}, func(is string) bool { return is != "" && address.Same(is, who) })
		}
		e := queue.Erasure{Address: mailbox.String(), About: about}
		if live != nil {
			e.Outdate = live.outdate
		}
		erased, err := q.Erase(e)
		if live != nil {
			live.forget(about)
		}
		if err != nil {
			return Forgotten{}, err
		}
		done := Forgotten{Address: mailbox.String(), Erased: erased}
		if err := q.Rewrite(); err != nil {
			done.Kept = err.Error()
		}
		done.Copies, _ = filepath.Glob(path + ".damaged-*")
		return done, nil
	})
}

// errForgotten ends an input's run after something was erased: it begins again where it was, with the memory that is left.
var errForgotten = errors.New("an address was forgotten: reading begins again where it was")

// outdate implements rememberer.
func (a *Agent) outdate() {
	for _, in := range a.inputs {
		in.sink.parsers.outdated.Add(1)
	}
}

// forget implements rememberer.
func (a *Agent) forget(about func(*event.Event) bool) {
	for _, in := range a.inputs {
		in.sink.failLines(errForgotten)
	}
	a.tail.forget(about)
	for _, out := range a.outputs {
		out.delivery.forget(about)
	}
}

// stillValid says in the transaction whether a batch is of a parser whose memory is what is stored.
func (s *sink) stillValid() func() error {
	if _, remembers := s.parsers.main.(parsers.Stateful); !remembers {
		return nil
	}
	made := s.parsers.made
	return func() error {
		if s.parsers.outdated.Load() != made {
			return errForgotten
		}
		return nil
	}
}

// forget drops the lines about events.
func (t *tail) forget(about func(*event.Event) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := t.inOrder()
	t.last = slices.DeleteFunc(last, func(l Line) bool { return about(&l.Event) })
	t.next = len(t.last) % remembered
}

// forget has the delivery drop what it remembers of events, before it sends anything else.
func (d *delivery) forget(about func(*event.Event) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.toForget = append(d.toForget, about)
	d.flush()
}

// dropForgotten does so.
func (d *delivery) dropForgotten() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, about := range d.toForget {
		if d.verifying != nil {
			d.verifying.forgetEvents(about)
		}
	}
	d.toForget = nil
}

// forgetEvents takes events as if nothing had been posted of them.
func (v *verification) forgetEvents(about func(*event.Event) bool) {
	v.lost = slices.DeleteFunc(v.lost, func(p *posted) bool { return about(&p.event) })
	for _, p := range v.posted {
		if !about(&p.event) {
			continue
		}
		if p.fate == postOpen {
			v.open--
		}
		p.fate, p.event = postExempt, event.Event{}
	}
}
