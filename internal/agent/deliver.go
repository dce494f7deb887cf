package agent

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
	"bouncefeed/outputs"
)

const (
	fetch       = 256             // about how many events are taken from the queue at a time
	grace       = 5 * time.Second // a POST under way at shutdown may end: cut off, it would be posted twice
	laterAtMost = time.Hour       // longest wait that a receiver may ask for
)

// delivery ships the queue to one output, in order, one attempt at a time; meanwhile the next events are fetched, and what
// became of the last ones is noted. What was not noted because of a kill is sent again with the same id.
type delivery struct {
	name     string
	out      outputs.Output
	settings *outputs.Settings
	queue    *queue.Queue
	log      *slog.Logger
	observe  func(outcome string, e *event.Event)
	state    condition
	nextTry  atomic.Pointer[time.Time] // of what did not work
	sending  pulse                     // when the attempt under way began

	next    time.Time // the earliest moment of the next send, by max_rate
	settler *settler
}

// run ships until ctx ends or the queue breaks.
func (d *delivery) run(ctx context.Context) error {
	fetching, cancel := context.WithCancel(ctx)
	fetched := make(chan []queue.Item)
	failed := make(chan error, 1)
	go func() {
		defer close(fetched)
		failed <- d.fetch(fetching, fetched)
	}()
	d.settler = newSettler(d.queue, d.name, cancel)
	err := d.shipAll(ctx, fetched)
	cancel()
	if ferr := <-failed; err == nil {
		err = ferr
	}
	if serr := d.settler.end(); serr != nil {
		return serr
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// fetch hands on what is to be sent, a batch or several at a time, the next while the last is being sent.
func (d *delivery) fetch(ctx context.Context, to chan<- []queue.Item) error {
	batch := max(1, d.settings.Batch)
	for mark := (queue.Mark{}); ; {
		items, after, err := d.queue.NextAfter(ctx, d.name, mark, batch*max(1, fetch/batch))
		if err != nil {
			return err
		}
		mark = after
		select {
		case to <- items:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (d *delivery) shipAll(ctx context.Context, fetched <-chan []queue.Item) error {
	for ctx.Err() == nil {
		var items []queue.Item
		select {
		case items = <-fetched:
		default: // there is time
			d.settler.now()
			items = <-fetched
		}
		if len(items) == 0 {
			return nil
		}
		for len(items) > 0 && ctx.Err() == nil {
			n := min(len(items), max(1, d.settings.Batch))
			if err := d.ship(ctx, items[:n]); err != nil {
				return err
			}
			items = items[n:]
		}
	}
	return nil
}

// ship sends one batch until the receiver has it or refused it for good. If it refuses several events together, one
// alone may be to blame, or their number: each is then sent by itself.
func (d *delivery) ship(ctx context.Context, items []queue.Item) error {
	var batch []event.Event
	for i := range items {
		if d.settings.Wants(&items[i].Event) {
			batch = append(batch, items[i].Event)
		}
	}
	answer := ""
	if len(batch) > 0 {
		err := d.sendUntilAnswered(ctx, batch)
		switch {
		case event.IsPermanent(err) && len(batch) > 1:
			return d.shipEach(ctx, items)
		case event.IsPermanent(err):
			answer = err.Error()
			d.log.Warn("set aside as a dead letter, see 'bouncefeed dead list'", "answer", answer)
		case err != nil:
			return err
		}
	}
	return d.noteOutcome(items, answer)
}

func (d *delivery) shipEach(ctx context.Context, items []queue.Item) error {
	for i := range items {
		if err := d.ship(ctx, items[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

// noteOutcome has noted what became of items. answer is the receiver's that refused them; "": it took them.
func (d *delivery) noteOutcome(items []queue.Item, answer string) error {
	settled := make([]queue.Settled, len(items))
	for i := range items {
		settled[i] = queue.Settled{Seq: items[i].Seq, Outcome: queue.Sent}
		switch {
		case !d.settings.Wants(&items[i].Event):
			settled[i].Outcome = queue.NotSent
		case answer != "":
			settled[i].Outcome, settled[i].Answer = queue.Dead, answer
		}
		d.observe(string(settled[i].Outcome), &items[i].Event)
	}
	return d.settler.add(settled)
}

// sendUntilAnswered sends batch until it is taken (nil), refused for good (a permanent error) or ctx ends (its error).
func (d *delivery) sendUntilAnswered(ctx context.Context, batch []event.Event) error {
	var b backoff
	for {
		if err := d.pace(ctx, len(batch)); err != nil {
			return err
		}
		err := d.attempt(ctx, batch)
		if err == nil || event.IsPermanent(err) {
			if failed := d.state.succeed(); failed > 0 {
				d.log.Info("delivering again", "after", failed.Round(time.Second).String())
			}
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if d.state.fail(err) {
			d.log.Warn("not delivering, trying again until it works", "error", err)
		}
		d.settler.now()
		pause := b.next()
		if later, ok := errors.AsType[*outputs.LaterError](err); ok && later.After > pause {
			pause = min(later.After, laterAtMost)
		}
		at := time.Now().Add(pause).UTC()
		d.nextTry.Store(&at)
		if !wait(ctx, pause) {
			return ctx.Err()
		}
	}
}

// attempt is one Send. At shutdown it may still end, within grace.
func (d *delivery) attempt(ctx context.Context, batch []event.Event) error {
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		wait(sending, grace)
		cancel()
	})
	defer stop()
	d.sending.beat()
	defer d.sending.Store(0)
	return guarded(sending, func(ctx context.Context) error { return d.out.Send(ctx, batch) })
}

// pace waits until max_rate allows n more events. If the disk is quick enough, the time is used to settle.
func (d *delivery) pace(ctx context.Context, n int) error {
	if d.settings.MaxRate <= 0 {
		return nil
	}
	now := time.Now()
	if d.next.Before(now) {
		d.next = now
	}
	pause := d.next.Sub(now)
	d.next = d.next.Add(time.Duration(float64(n) / d.settings.MaxRate * float64(time.Second)))
	if pause <= 0 {
		return nil
	}
	if d.settler.quick(pause) {
		d.settler.now()
	}
	if !wait(ctx, time.Until(now.Add(pause))) {
		return ctx.Err()
	}
	return nil
}
