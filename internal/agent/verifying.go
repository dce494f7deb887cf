package agent

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
	"bouncefeed/outputs"
)

// verifying is a delivery's verification, and whether there is one: nil where the receiver can't be asked.
type verifying struct {
	verification
	window window // where it is not asked
	out    outputs.Verifier
	on     bool         // the receiver is asked, because we may
	trim   time.Time    // when to look next at what is kept
	write  time.Time    // when to confirm next
	next   time.Time    // when to ask again whether we may
	state  condition    // of the reading
	count  atomic.Int64 // of events that are unverified, for `status`
	shown  atomic.Bool  // on, for `status`
	log    *slog.Logger
}

const (
	askAgain   = 2 * time.Minute
	trimEvery  = 10 * time.Second
	writeEvery = time.Second // confirming waits for the disk
	readTime   = time.Minute
	leftBehind = 2 * time.Second // that a request of a killed daemon may be on its way
)

func newVerifying(out outputs.Output, log *slog.Logger) *verifying {
	v, ok := out.(outputs.Verifier)
	if !ok {
		return nil
	}
	keep, resend := v.Trust()
	return &verifying{verification: verification{rules: listmonkRules}, window: window{keep: keep, resend: resend}, out: v, log: log}
}

// asks says whether the receiver is asked for what it has answered for.
func (v *verifying) asks() bool { return v != nil && v.on }

// keeps says whether what was answered for is kept.
func (v *verifying) keeps() bool { return v != nil && (v.on || v.window.keep > 0) }

// due is when there is something to do; zero: no one knows.
func (v *verifying) due() time.Time {
	switch {
	case v == nil:
		return time.Time{}
	case !v.on:
		return v.next
	}
	at := v.verification.due()
	if v.ready() && (at.IsZero() || v.write.Before(at)) {
		return v.write
	}
	return at
}

// note remembers what became of an item. What was queued for one output alone is not kept for verifying.
func (v *verifying) note(item queue.Item, became queue.Outcome, began time.Time, uncertain bool) {
	switch {
	case v == nil || item.Again():
	case !v.on:
		if became == queue.Sent && v.window.keep > 0 {
			v.window.add(item.Seq, time.Now())
		}
	case became == queue.Sent:
		v.add(item, began, time.Now(), uncertain)
	default:
		v.skip(item.Seq)
	}
	if v != nil {
		v.tell()
	}
}

// tell shows `status` how many are unverified.
func (v *verifying) tell() {
	v.count.Store(int64(v.open + len(v.lost)))
	v.shown.Store(v.on)
}

// tried notes an attempt: err is why it failed, if so.
func (v *verifying) tried(err error) {
	if v == nil {
		return
	}
	now := time.Now()
	broke := v.out.Broke()
	if broke {
		v.refused(now)
	}
	if broke || err != nil && breaks(err) {
		v.window.failed(now)
	}
}

// breaks says whether a failed attempt may mean that the receiver has lost what it held: not if it has spoken for itself.
func breaks(err error) bool {
	if _, uncertain := errors.AsType[*outputs.UncertainError](err); uncertain {
		return true
	}
	_, later := errors.AsType[*outputs.LaterError](err)
	return !later
}

// verifies says for `status` whether the receiver is asked.
func (v *verifying) verifies() bool { return v != nil && v.shown.Load() }

// unverified counts the events that the receiver has answered for and of which nobody knows yet.
func (v *verifying) unverified() uint64 {
	if v == nil {
		return 0
	}
	return uint64(v.count.Load())
}

// problem is why it can't be asked, if so.
func (v *verifying) problem() (string, *time.Time) {
	if v == nil {
		return "", nil
	}
	problem, since, _ := v.state.report()
	if problem != "" {
		problem = "reading back what is stored: " + problem
	}
	return problem, since
}

// may asks, and notes when to ask again.
func (v *verifying) may(ctx context.Context) (on bool, err error) {
	limited, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	err = guarded(limited, func(ctx context.Context) (err error) { on, err = v.out.Verifies(ctx); return err })
	v.next = time.Now().Add(askAgain)
	return on, err
}

// verify does what is due: asks the receiver, posts again what is missing, and notes what is settled by that.
func (d *delivery) verify(ctx context.Context) error {
	v := d.verifying
	if v == nil || ctx.Err() != nil {
		return nil
	}
	if !v.on {
		return d.askWhetherToVerify(ctx)
	}
	for {
		if at := v.verification.due(); !at.IsZero() && !time.Now().Before(at) {
			if err := d.readBack(ctx); err != nil {
				return err
			}
		}
		if err := d.postMissing(ctx); err != nil {
			return err
		}
		if err := d.confirm(); err != nil {
			return err
		}
		if !v.on || !v.full() || ctx.Err() != nil {
			return nil
		}
		if !wait(ctx, time.Until(v.due())) {
			return nil
		}
	}
}

// askWhetherToVerify sees whether the permission has come meanwhile.
func (d *delivery) askWhetherToVerify(ctx context.Context) error {
	v := d.verifying
	if err := d.trimWindow(); err != nil {
		return err
	}
	if time.Now().Before(v.next) {
		return nil
	}
	if on, err := v.may(ctx); err == nil && on {
		v.log.Info("reading back from now on what is stored")
		if err := d.settler.flush(); err != nil {
			return err
		}
		d.settler.accept(true)
		v.on = true
		v.window.forget() // what is read back from now on confirms it
	}
	return nil
}

// trimWindow lets the queue forget what is kept no longer, once enough of it is.
func (d *delivery) trimWindow() error {
	v := d.verifying
	if time.Now().Before(v.trim) {
		return nil
	}
	v.trim = time.Now().Add(trimEvery)
	upTo := v.window.trim(time.Now())
	if upTo == 0 {
		return nil
	}
	if err := d.settler.flush(); err != nil {
		return err
	}
	return d.settler.confirm(upTo, nil)
}

// resendAfterBreak queues what the receiver may have lost in one, if that is wanted.
func (d *delivery) resendAfterBreak() error {
	v := d.verifying
	if v == nil || v.on {
		return nil
	}
	seqs := v.window.mended()
	if len(seqs) == 0 {
		return nil
	}
	if err := d.settler.flush(); err != nil { // so that all of them are answered for
		return err
	}
	n, err := sendAgain(d.queue, d.name, seqs)
	d.log.Warn("posting again what the receiver may have lost", "events", n)
	return err
}

// readBack asks the receiver once. Where it may no longer be asked, its answers are trusted from now on.
func (d *delivery) readBack(ctx context.Context) error {
	v := d.verifying
	barrier := v.barrier(time.Now())
	limited, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	var told outputs.Answered
	err := guarded(limited, func(ctx context.Context) (err error) {
		told, err = v.out.Stored(ctx, v.wanted())
		return err
	})
	now := time.Now()
	if err == nil {
		if failed, times := v.state.succeed(); failed > 0 {
			v.log.Info("reading back again what is stored", "after", failed.Round(time.Second).String(), "failures", times)
		}
		v.learn(told, barrier, now, v.out.Otherwise)
		return nil
	}
	v.read(told, now)
	if ctx.Err() != nil {
		return nil
	}
	if on, asked := v.may(ctx); asked == nil && !on {
		v.log.Warn("what is stored may not be read back any longer: the receiver's answers are trusted", "error", err)
		v.on = false
		v.state.succeed()
		return d.trust()
	}
	if v.state.fail(err) {
		v.log.Warn("can't read back what is stored, trying again until it works", "error", err)
	}
	return nil
}

// postMissing posts again what is proved not to be stored.
func (d *delivery) postMissing(ctx context.Context) error {
	v := d.verifying
	for p := v.verification.next(); p != nil; p = v.verification.next() {
		err := d.sendUntilAnswered(ctx, []event.Event{p.event})
		_, uncertain := errors.AsType[*outputs.UncertainError](err)
		switch {
		case err == nil, uncertain && v.on:
			v.again(p, d.began, time.Now(), err != nil)
		case event.IsPermanent(err):
			v.giveUp(p)
		case errors.Is(err, errEdited):
			v.lost = slices.Insert(v.lost, 0, p)
			return err
		default:
			return err
		}
	}
	if !v.on { // nobody will ask for them
		return d.trust()
	}
	return nil
}

// confirm notes in the queue what is settled.
func (d *delivery) confirm() error {
	v := d.verifying
	v.tell()
	now := time.Now()
	if !v.ready() || now.Before(v.write) {
		return nil
	}
	v.write = now.Add(writeEvery)
	upTo, counts := v.done()
	if err := d.settler.flush(); err != nil { // what is confirmed must be accepted
		return err
	}
	return d.settler.confirm(upTo, counts)
}

// trust takes what was answered for as stored.
func (d *delivery) trust() error {
	v := d.verifying
	upTo := v.verification.trust()
	v.tell()
	if err := d.settler.flush(); err != nil {
		return err
	}
	d.settler.accept(v.keeps())
	if upTo == 0 {
		return nil
	}
	return d.settler.confirm(upTo, nil)
}
