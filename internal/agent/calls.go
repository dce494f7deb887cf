package agent

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"

	"bouncefeed/internal/config"
	"bouncefeed/internal/control"
	"bouncefeed/internal/queue"
)

// Aliases, so that the subcommands can read what the socket answers.
type (
	// DeadLetter is an event that its receiver will never take, with the answer.
	DeadLetter = queue.DeadLetter
	// HeldEvent is an event that is not sent until an admin releases it, with why.
	HeldEvent = queue.HeldEvent
)

// Count is how many events a retry, release or drop concerned.
type Count struct {
	Events int `json:"events"`
}

// calls are what the control socket answers.
func (a *Agent) calls() control.Calls {
	return control.Calls{
		"status": func(_ context.Context, _ url.Values, _ io.Reader, reply func(any) error) error {
			st, err := a.Status()
			if err != nil {
				return err
			}
			return reply(st)
		},
		"tail":     a.callTail,
		"deliver":  a.callDeliver,
		"backfill": a.callBackfill,
		"was-sent": a.callWasSent,
		"backfill-checkpoint": func(_ context.Context, _ url.Values, _ io.Reader, reply func(any) error) error {
			checkpoint, err := a.queue.Checkpoint(config.Backfill)
			if err != nil {
				return err
			}
			return reply(checkpoint)
		},
		"backfill-memory": func(_ context.Context, _ url.Values, _ io.Reader, reply func(any) error) error {
			for key, value := range a.queue.State(config.Backfill) {
				if err := reply(memory{key, value}); err != nil {
					return err
				}
			}
			return nil
		},
		"backfill-forget": func(context.Context, url.Values, io.Reader, func(any) error) error {
			return a.queue.Forget(config.Backfill)
		},
		"ledger-key": func(_ context.Context, _ url.Values, _ io.Reader, reply func(any) error) error {
			return reply(a.queue.Secret())
		},
		"dead": func(_ context.Context, args url.Values, _ io.Reader, reply func(any) error) error {
			dead, err := a.queue.Dead(args.Get("output"))
			return replyEach(dead, err, reply)
		},
		"dead-retry": counted(func(args url.Values, seqs []uint64) (int, error) { return a.queue.RetryDead(args.Get("output"), seqs) }),
		"dead-drop":  counted(func(args url.Values, seqs []uint64) (int, error) { return a.queue.DropDead(args.Get("output"), seqs) }),
		"held": func(_ context.Context, _ url.Values, _ io.Reader, reply func(any) error) error {
			held, err := a.queue.Held()
			return replyEach(held, err, reply)
		},
		"held-release": counted(func(_ url.Values, seqs []uint64) (int, error) { return a.queue.ReleaseHeld(seqs) }),
		"held-drop":    counted(func(_ url.Values, seqs []uint64) (int, error) { return a.queue.DropHeld(seqs) }),
	}
}

func replyEach[T any](all []T, err error, reply func(any) error) error {
	if err != nil {
		return err
	}
	for i := range all {
		if err := reply(all[i]); err != nil {
			return err
		}
	}
	return nil
}

// counted answers with how many events f concerned. Which ones is said by `seq` arguments, or by `all`.
func counted(f func(args url.Values, seqs []uint64) (int, error)) control.Call {
	return func(_ context.Context, args url.Values, _ io.Reader, reply func(any) error) error {
		var seqs []uint64
		for _, s := range args["seq"] {
			seq, err := strconv.ParseUint(s, 10, 64)
			if err != nil {
				return fmt.Errorf("%q is no number of an event: see the list", s)
			}
			seqs = append(seqs, seq)
		}
		if len(seqs) == 0 && !args.Has("all") {
			return errors.New("name the events by their numbers, or say --all")
		}
		n, err := f(args, seqs)
		if err != nil {
			return err
		}
		return reply(Count{n})
	}
}

func (a *Agent) callTail(ctx context.Context, _ url.Values, _ io.Reader, reply func(any) error) error {
	lines, end := a.tail.watch()
	defer end()
	for {
		select {
		case <-ctx.Done():
			return nil
		case line := <-lines:
			if err := reply(line); err != nil {
				return nil // the watcher went away
			}
		}
	}
}

// callBackfill stores one batch that `bouncefeed backfill` parsed: the body is a gob-encoded queue.Batch, the answer its
// queue.Result once it is on disk.
func (a *Agent) callBackfill(ctx context.Context, _ url.Values, body io.Reader, reply func(any) error) error {
	var b queue.Batch
	if err := gob.NewDecoder(body).Decode(&b); err != nil {
		return fmt.Errorf("read what backfill sends: %w", err)
	}
	result, err := a.queue.Commit(ctx, b)
	if err != nil {
		return err
	}
	return reply(result)
}
