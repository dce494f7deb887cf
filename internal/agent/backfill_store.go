package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/control"
	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
)

// backfillStore is a store that also remembers how far a backfill came and what its parser knew.
type backfillStore interface {
	store
	State(input string) iter.Seq2[string, []byte]
	Forget(input string) error
}

// tally counts what passes on its way to target, and keeps back what lies outside of the wanted time.
type tally struct {
	target       store
	since, until time.Time
	sum          *BackfillSummary
	counted      func(*event.Counted) // is told what a report is made of; nil: none is
	failure      func(*event.Event) event.Counted
}

func (t *tally) Checkpoint(input string) (map[string]string, error) {
	return t.target.Checkpoint(input)
}

func (t *tally) Commit(ctx context.Context, b queue.Batch) (queue.Result, error) {
	b.Input = config.Backfill // its memory and counters are its own
	events, held := b.Events, b.Held
	b.Events = slices.DeleteFunc(slices.Clone(events), func(e event.Event) bool { return t.outside(e.Time) })
	b.Held = slices.DeleteFunc(slices.Clone(held), func(h queue.Held) bool { return t.outside(h.Event.Time) })
	for i := range b.Held {
		b.Held[i].Event.Input = config.Backfill // under which its release will be counted
	}
	if n := uint64(len(events) - len(b.Events) + len(held) - len(b.Held)); n > 0 {
		b.Counts[queue.IgnoredAs(ignoredOutside)] += n
		t.sum.Outside += n
	}
	r, err := t.target.Commit(ctx, b)
	if err != nil {
		return r, err
	}
	t.sum.add(b, r)
	for i, repeat := range r.Repeat {
		if !repeat && t.counted != nil {
			failed := t.failure(&b.Events[i])
			t.counted(&failed)
		}
	}
	if t.counted != nil {
		t.counted(&b.Counted)
	}
	// The sink pairs the result with all of its events.
	r.Repeat = append(r.Repeat, make([]bool, len(events)-len(r.Repeat))...)
	return r, nil
}

func (t *tally) outside(at time.Time) bool {
	return at.Before(t.since) || !t.until.IsZero() && !at.Before(t.until)
}

func (s *BackfillSummary) add(b queue.Batch, r queue.Result) {
	s.Held += uint64(len(b.Held))
	for f, n := range b.Counts {
		switch f.Word {
		case queue.CountIgnored:
			s.Ignored[f.Why] += n
		case queue.CountRefused:
			s.Refused[f.Why] += n
		case queue.CountRead:
			s.Read += n
		}
	}
	for i, repeat := range r.Repeat {
		if repeat {
			s.Repeats++
			continue
		}
		if i < len(r.Held) && r.Held[i] {
			s.Excess++
			continue
		}
		e := &b.Events[i]
		s.Queued++
		s.Types[string(e.Type)]++
		s.Reasons[string(e.Reason)]++
		_, domain, named := strings.Cut(e.Recipient, "@")
		if !named { // only the subscriber's UUID is proven
			continue
		}
		if domain = strings.ToLower(domain); len(s.Domains) < maxDomains || s.Domains[domain] > 0 {
			s.Domains[domain]++
		} else {
			s.Domains["…"]++
		}
	}
}

// maxDomains bounds the summary: whoever sends to more has no use for the rest.
const maxDomains = 10_000

// remoteStore hands batches to the running daemon, which holds the queue file.
type remoteStore struct {
	socket string
	failed error // the first proof that could not be asked for: nothing is held that may have one
}

// wasSent asks the daemon's ledger.
func (r *remoteStore) wasSent(ctx context.Context, h [8]byte) (found bool, err error) {
	found, err = Calls.WasSent.Ask(ctx, r.socket, h, nil)
	if r.failed == nil {
		r.failed = err
	}
	return found, err
}

func (r *remoteStore) Checkpoint(string) (map[string]string, error) {
	return Calls.BackfillCheckpoint.Ask(context.Background(), r.socket, control.None{}, nil)
}

func (r *remoteStore) State(string) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		// A memory that ends early costs the diagnostics of what was deferred before; the bounces are found all the same.
		Calls.BackfillMemory.Each(context.Background(), r.socket, control.None{}, nil, func(m memory, _ json.RawMessage) error {
			if !yield(m.Key, m.Value) {
				return io.EOF
			}
			return nil
		})
	}
}

func (r *remoteStore) Forget(string) error {
	return Calls.BackfillForget.Do(context.Background(), r.socket, control.None{}, nil)
}

func (r *remoteStore) Commit(ctx context.Context, b queue.Batch) (queue.Result, error) {
	if r.failed != nil {
		return queue.Result{}, r.failed
	}
	body, err := json.Marshal(b)
	if err != nil {
		return queue.Result{}, err
	}
	return Calls.Backfill.Ask(ctx, r.socket, control.None{}, bytes.NewReader(body))
}
