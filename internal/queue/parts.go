package queue

import (
	"context"
	"maps"
	"slices"
	"syscall"
)

// What does not fit on the disk whole is stored bit by bit: first some events without the checkpoint, then the rest with it.
// Should the rest not fit, the source tells all of it again, and what was stored is known as repeats; outputs take it
// meanwhile, which makes room.

// IsFull says whether err is the disk's, that it has no room: what did not fit may fit later, or less of it at once.
func IsFull(err error) bool { return says(err, syscall.ENOSPC) || says(err, syscall.EDQUOT) }

// split takes about half of b's events away, or of those held, that are known by keys when they are told again. false:
// there are none.
func (b Batch) split() (part, rest Batch, ok bool) {
	rest = b
	part = Batch{Input: b.Input, Valid: b.Valid}
	n := 0
	if len(b.Events) > 1 {
		for n < len(b.Events)/2 && len(b.Events[n].Keys()) > 0 {
			n++
		}
		part.Events, rest.Events = b.Events[:n], b.Events[n:]
		part.Copies, rest.Copies = b.Copies, nil // they come before the events
	} else if len(b.Held) > 1 {
		for n < len(b.Held)/2 && len(b.Held[n].Event.Keys()) > 0 {
			n++
		}
		part.Held, rest.Held = b.Held[:n], b.Held[n:]
	}
	if n == 0 {
		return part, rest, false
	}
	read := Figure{Word: CountRead}
	of := min(uint64(n), b.Counts[read])
	part.Counts = map[Figure]uint64{read: of}
	if rest.Counts = maps.Clone(b.Counts); of > 0 {
		rest.Counts[read] -= of
	}
	return part, rest, true
}

func (q *Queue) commitInParts(ctx context.Context, part, rest Batch) (Result, error) {
	first, err := q.Commit(ctx, part)
	if err != nil {
		return Result{}, err
	}
	second, err := q.Commit(ctx, rest)
	if err != nil {
		return Result{}, err
	}
	return Result{slices.Concat(first.Repeat, second.Repeat), slices.Concat(first.Held, second.Held)}, nil
}
