package agent

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
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
	took     func(time.Duration) // an attempt; nil: nobody asks
	answers  tallied             // to attempts, by requestCodes
	state    condition
	nextTry  atomic.Pointer[time.Time] // of what did not work
	hurry    chan struct{}             // holds one if it is to try now
	edits    uint64                    // of the queue, when what is being sent was fetched
	sending  pulse                     // when the attempt under way began

	verifying *verifying // where the receiver can be asked what it has stored

	noCampaign atomic.Uint64 // sent without one

	later   backoff
	began   time.Time // the last attempt
	next    time.Time // the earliest moment of the next send, by max_rate
	settler *settler

	mu       sync.Mutex
	toForget []func(*event.Event) bool // see forget
}

// run ships until ctx ends or the queue breaks.
func (d *delivery) run(ctx context.Context) error {
	if err := d.recall(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	fetching, cancel := context.WithCancel(ctx)
	defer cancel()
	d.settler = newSettler(ctx, d.queue, d.name, cancel, d.suffer)
	d.settler.accept(d.verifying.keeps())
	err := d.shipFetched(ctx, fetching)
	for errors.Is(err, errEdited) {
		d.dropForgotten()
		if err = d.settler.flush(); err == nil {
			err = d.shipFetched(ctx, fetching)
		}
	}
	if serr := d.settler.end(); serr != nil {
		return serr
	}
	if ctx.Err() != nil {
		return d.stopped()
	}
	return err
}

// errEdited: what was fetched may no longer be there. Fetching begins again.
var errEdited = errors.New("the queue was edited")

// shipFetched ships what it has fetched ahead, until ctx or fetching ends, or the queue is edited.
func (d *delivery) shipFetched(ctx, fetching context.Context) error {
	fetching, cancel := context.WithCancel(fetching)
	fetched := make(chan []queue.Item)
	failed := make(chan error, 1)
	d.edits = d.queue.Edits()
	go func() {
		defer close(fetched)
		failed <- d.fetch(fetching, fetched)
	}()
	err := d.shipAll(ctx, fetched)
	cancel()
	if ferr := <-failed; err == nil {
		err = ferr
	}
	return err
}

// edited is errEdited if the queue was, since what is being sent was fetched.
func (d *delivery) edited() error {
	if d.queue.Edits() != d.edits {
		return errEdited
	}
	return nil
}

// flush has it try now what waits for another try.
func (d *delivery) flush() {
	select {
	case d.hurry <- struct{}{}:
	default:
	}
}

// pause waits, unless it is to try now. false: ctx ended.
func (d *delivery) pause(ctx context.Context, pause time.Duration) bool {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-d.hurry:
		d.later = backoff{}
		return true
	case <-ctx.Done():
		return false
	}
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
		if err := d.edited(); err != nil {
			return err
		}
		if err := d.verify(ctx); err != nil {
			return err
		}
		items, more := d.await(fetched)
		if !more {
			return nil
		}
		for len(items) > 0 && ctx.Err() == nil {
			if err := d.edited(); err != nil {
				return err
			}
			n := min(len(items), max(1, d.settings.Batch))
			if err := d.ship(ctx, items[:n]); err != nil {
				return err
			}
			items = items[n:]
			if err := d.verify(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// await waits for events, or until there is something to verify. false: nothing more comes.
func (d *delivery) await(fetched <-chan []queue.Item) (items []queue.Item, more bool) {
	var alarm <-chan time.Time
	if at := d.verifying.due(); !at.IsZero() {
		t := time.NewTimer(time.Until(at))
		defer t.Stop()
		alarm = t.C
	}
	select {
	case items, more = <-fetched:
		return items, more
	case <-alarm:
		return nil, true
	case <-d.hurry:
		return nil, true
	}
}

// ship sends one batch until the receiver has it or refused it for good. If it refuses several events together, one
// alone may be to blame, or their number: each is then sent by itself.
func (d *delivery) ship(ctx context.Context, items []queue.Item) error {
	var batch []event.Event
	for i := range items {
		if d.fate(&items[i].Event) == queue.Sent {
			batch = append(batch, items[i].Event)
		}
	}
	became := queue.Settled{Outcome: queue.Sent}
	uncertain := false
	var sending time.Duration // the last attempt
	if len(batch) > 0 {
		err := d.sendUntilAnswered(ctx, batch)
		sending = time.Since(d.began)
		_, unknown := errors.AsType[*outputs.UnknownError](err)
		_, unsure := errors.AsType[*outputs.UncertainError](err)
		switch {
		case (unknown || event.IsPermanent(err)) && len(batch) > 1:
			return d.shipEach(ctx, items)
		case unknown:
			became.Outcome = queue.Unknown
		case event.IsPermanent(err):
			became.Outcome, became.Answer = queue.Dead, err.Error()
			d.log.Warn("set aside as a dead letter, see 'bouncefeed dead list'", "answer", became.Answer)
		case unsure && d.verifying.asks():
			uncertain = true
		case err != nil:
			return err
		}
	}
	return d.noteOutcome(items, became, uncertain, sending)
}

// fate is what becomes of e before it is sent: Sent, if it is to be.
func (d *delivery) fate(e *event.Event) queue.Outcome {
	if !d.settings.Wants(e) {
		return queue.NotSent
	}
	if picky, ok := d.out.(outputs.Picky); ok && picky.Unfit(e) {
		return queue.Unfit
	}
	return queue.Sent
}

func (d *delivery) shipEach(ctx context.Context, items []queue.Item) error {
	for i := range items {
		if err := d.ship(ctx, items[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

// noteOutcome has noted what became of items that took some time to send. uncertain: the receiver may have them.
func (d *delivery) noteOutcome(items []queue.Item, became queue.Settled, uncertain bool, sending time.Duration) error {
	settled := make([]queue.Settled, len(items))
	for i := range items {
		settled[i] = became
		if o := d.fate(&items[i].Event); o != queue.Sent {
			settled[i] = queue.Settled{Outcome: o}
		}
		settled[i].Seq = items[i].Seq
		if settled[i].Outcome == queue.Sent && items[i].Event.CampaignUUID == "" {
			d.noCampaign.Add(1)
		}
		d.observe(string(settled[i].Outcome), &items[i].Event)
		d.verifying.note(items[i], settled[i].Outcome, d.began, uncertain)
	}
	return d.settler.add(settled, sending)
}

// sendUntilAnswered sends batch until it is taken (nil), refused for good (a permanent error), or its people are unknown
// (an outputs.UnknownError), or ctx ends (its error). Where the receiver can be asked for it later, the first attempt that
// it may have taken ends it, too (an outputs.UncertainError).
func (d *delivery) sendUntilAnswered(ctx context.Context, batch []event.Event) error {
	for {
		if err := cmp.Or(d.pace(ctx, len(batch)), d.edited()); err != nil {
			return err
		}
		err := d.attempt(ctx, batch)
		d.verifying.tried(err)
		_, unknown := errors.AsType[*outputs.UnknownError](err)
		if err == nil || unknown || event.IsPermanent(err) {
			d.later = backoff{}
			if failed, times := d.state.succeed(); failed > 0 {
				d.log.Info("delivering again", "after", failed.Round(time.Second).String(), "failures", times)
			}
			if rerr := d.resendAfterBreak(); rerr != nil {
				return rerr
			}
			return err
		}
		_, uncertain := errors.AsType[*outputs.UncertainError](err)
		uncertain = uncertain && d.verifying.asks()
		if ctx.Err() != nil && uncertain {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		d.suffer(err)
		pause := d.later.next()
		if later, ok := errors.AsType[*outputs.LaterError](err); ok && later.After > pause {
			pause = min(later.After, laterAtMost)
		}
		at := time.Now().Add(pause).UTC()
		d.nextTry.Store(&at)
		if !d.pause(ctx, pause) && !uncertain {
			return ctx.Err()
		}
		if uncertain {
			return err
		}
	}
}

// suffer notes that nothing is delivered at the moment.
func (d *delivery) suffer(err error) {
	if d.state.fail(err) {
		d.log.Warn("not delivering, trying again until it works", "error", err)
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
	d.began = time.Now()
	err := guarded(sending, func(ctx context.Context) error { return d.out.Send(ctx, batch) })
	d.answers.count(requestCode(err))
	if d.took != nil {
		d.took(time.Since(d.began))
	}
	return err
}

// pace waits until max_rate allows n more events. If the disk is quick enough, all before them are noted by then.
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
		if err := d.settler.flush(); err != nil {
			return err
		}
	}
	if !wait(ctx, time.Until(now.Add(pause))) {
		return ctx.Err()
	}
	return nil
}
