package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
)

// Aliases, so that the subcommands can read what the socket answers.
type (
	// Past is an event that waits or is remembered, with what became of it.
	Past = queue.Past
	// Fate is what became of it at an output.
	Fate = queue.Fate
)

// Pending is the outcome of what waits to be sent.
const Pending = queue.Pending

// Repeat is what a Line says of an event that was told before.
const Repeat = outcomeRepeat

// EventFilter says which events are wanted; what is empty takes all.
type EventFilter struct {
	Match     string    `json:"match,omitempty"` // an address, @domain, Message-ID, queue id, UUID or id
	Recipient string    `json:"recipient,omitempty"`
	Domain    string    `json:"domain,omitempty"` // the recipient's
	Reason    string    `json:"reason,omitempty"`
	Output    string    `json:"output,omitempty"`
	Before    time.Time `json:"before,omitzero"` // it failed before then
	Since     time.Time `json:"since,omitzero"`  // it failed then or later
	Number    uint64    `json:"number,omitempty"`
	Pending   bool      `json:"pending,omitempty"` // what waits to be sent
	Limit     int       `json:"limit,omitempty"`   // at most so many
}

// EventSelection names events by their numbers, or by what they are like.
type EventSelection struct {
	EventFilter
	Numbers []uint64 `json:"numbers,omitempty"`
	All     bool     `json:"all,omitempty"` // all that are wanted, if there are no Numbers
}

// search is what the queue is asked for.
func (f *EventFilter) search() queue.Search {
	s := queue.Search{Pending: f.Pending, Wanted: f.takes}
	if f.Number != 0 {
		s.From, s.To = f.Number, f.Number
	}
	switch {
	case f.Match != "":
		s.Word = matchWord(f.Match)
	case f.Recipient != "":
		s.Word = matchWord(f.Recipient)
	case f.Domain != "":
		s.Word = "@" + strings.TrimPrefix(f.Domain, "@")
	default:
		s.Word = f.Reason
	}
	return s
}

func (f *EventFilter) takes(e *event.Event) bool {
	return (f.Match == "" || Matches(e, f.Match)) &&
		(f.Recipient == "" || isRecipient(e, f.Recipient)) &&
		(f.Domain == "" || Matches(e, "@"+strings.TrimPrefix(f.Domain, "@"))) &&
		(f.Reason == "" || f.Reason == string(e.Reason)) &&
		(f.Before.IsZero() || e.Time.Before(f.Before)) && !e.Time.Before(f.Since)
}

func isRecipient(e *event.Event, address string) bool {
	return strings.EqualFold(e.Recipient, address) || strings.EqualFold(e.OriginalRecipient, address)
}

// answerEvents gives the events that are wanted, with what became of them at the output that is asked for.
func answerEvents(q *queue.Queue) func(context.Context, EventFilter, io.Reader, func(Past) error) error {
	return func(ctx context.Context, f EventFilter, _ io.Reader, reply func(Past) error) error {
		if err := knowsOutput(q, f.Output); err != nil {
			return err
		}
		n := 0
		err := q.Search(f.search(), func(p Past) error {
			if f.Output != "" {
				p.Fates = slices.DeleteFunc(p.Fates, func(of queue.Fate) bool { return of.Output != f.Output })
				if len(p.Fates) == 0 {
					return nil
				}
			}
			if n++; f.Limit > 0 && n > f.Limit {
				return errEnough
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			return reply(p)
		})
		if errors.Is(err, errEnough) {
			return nil
		}
		return err
	}
}

func knowsOutput(q *queue.Queue, output string) error {
	if output != "" && !slices.Contains(q.Outputs(), output) {
		return fmt.Errorf("there is no output %q", output)
	}
	return nil
}

// selected gives the numbers of the events that s names, of each output at which became says that they can be meant. A
// number that is nowhere meant is an error.
func selected(q *queue.Queue, s EventSelection, became func(queue.Outcome) bool) (map[string][]uint64, error) {
	if len(s.Numbers) == 0 && !s.All {
		return nil, errors.New("name the events by their numbers, or say --all")
	}
	if err := knowsOutput(q, s.Output); err != nil {
		return nil, err
	}
	by, there := map[string][]uint64{}, map[uint64]bool{}
	err := q.Search(s.search(), func(p Past) error {
		if len(s.Numbers) > 0 && !slices.Contains(s.Numbers, p.Seq) {
			return nil
		}
		for _, f := range p.Fates {
			to := by[f.Output]
			if !became(f.Outcome) || s.Output != "" && s.Output != f.Output || len(to) > 0 && to[len(to)-1] == p.Seq {
				continue
			}
			by[f.Output] = append(to, p.Seq)
			if len(s.Numbers) > 0 {
				there[p.Seq] = true
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return by, missingNumbers("such event", s.Numbers, there)
}

// eachOutput gives f the numbers of each output and adds up what it did.
func eachOutput(by map[string][]uint64, f func(output string, seqs []uint64) (int, error)) (total int, err error) {
	var errs []error
	for _, output := range slices.Sorted(maps.Keys(by)) {
		n, err := f(output, by[output])
		total += n
		errs = append(errs, err)
	}
	return total, errors.Join(errs...)
}

// dropPending has outputs send no more what s names of what waits.
func dropPending(q *queue.Queue, s EventSelection) (int, error) {
	s.Pending = true
	by, err := selected(q, s, func(is queue.Outcome) bool { return is == queue.Pending })
	if err != nil {
		return 0, err
	}
	return eachOutput(by, q.Discard)
}

// replay queues once more what s names of what was sent.
func replay(q *queue.Queue, s EventSelection) (int, error) {
	by, err := selected(q, s, func(is queue.Outcome) bool { return is == queue.Sent })
	if err != nil {
		return 0, err
	}
	return eachOutput(by, func(output string, seqs []uint64) (int, error) { return sendAgain(q, output, seqs) })
}

// FlushArgs say which output is to try now; all of them if none is named.
type FlushArgs struct {
	Output string `json:"output,omitempty"`
}

// flush has outputs try now what waits, whatever they wait for, and tells how many events that are.
func (a *Agent) flush(args FlushArgs) (waiting int, err error) {
	if err := knowsOutput(a.queue, args.Output); err != nil {
		return 0, err
	}
	stats, err := a.queue.Stats()
	if err != nil {
		return 0, err
	}
	for _, out := range a.outputs {
		if args.Output == "" || args.Output == out.name {
			out.delivery.flush()
			waiting += int(stats.Pending[out.name])
		}
	}
	return waiting, nil
}
