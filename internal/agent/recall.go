package agent

import (
	"context"
	"errors"
	"time"

	"bouncefeed/internal/queue"
)

// recall finds out whether the receiver may be asked, and takes up what an earlier life of the daemon has posted, or may
// have without knowing.
func (d *delivery) recall(ctx context.Context) error {
	v := d.verifying
	if v == nil {
		return nil
	}
	var later backoff
	for {
		on, err := v.may(ctx)
		if err == nil {
			v.state.succeed()
			v.on = on
			break
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if v.state.fail(err) {
			d.log.Warn("not delivering: can't ask what is stored, trying again until it works", "error", err)
		}
		if !d.pause(ctx, later.next()) {
			return ctx.Err()
		}
	}
	before, err := d.queue.Checkpoint(d.stateName())
	if err != nil {
		return err
	}
	if !v.on {
		if before[stateKey] != "" { // what is trusted from now on is not verified later
			if err := d.noteState(""); err != nil {
				return err
			}
		}
		return d.recallKept()
	}
	if err := d.recallAccepted(before[stateKey] == ""); err != nil {
		return err
	}
	return d.recallInFlight(ctx, before[stateKey] == stateRunning)
}

// eachAccepted gives what was answered for and not confirmed, in order.
func (d *delivery) eachAccepted(after uint64, each func(queue.Item)) error {
	for {
		items, err := d.queue.Accepted(d.name, after, 500)
		if err != nil || len(items) == 0 {
			return err
		}
		for _, item := range items {
			each(item)
			after = item.Seq
		}
	}
}

// recallKept takes up what may be posted once more. When it was answered for is not known: now.
func (d *delivery) recallKept() error {
	v, now := d.verifying, time.Now()
	last := uint64(0)
	err := d.eachAccepted(0, func(item queue.Item) {
		if last = item.Seq; item.Outcome == queue.Sent && v.window.keep > 0 {
			v.window.add(item.Seq, now)
		}
	})
	v.tell()
	if err != nil || v.window.keep > 0 {
		return err
	}
	return d.queue.Confirm(d.name, last, nil)
}

// recallAccepted takes up what was answered for and not verified. Where it was trusted before, that may be much: the last
// of it is verified. Where it was not, all of it is: who was killed again and again has not verified what he took up.
func (d *delivery) recallAccepted(trusted bool) error {
	v, now := d.verifying, time.Now()
	var seqs []uint64
	if err := d.eachAccepted(0, func(item queue.Item) { seqs = append(seqs, item.Seq) }); err != nil {
		return err
	}
	after := uint64(0)
	if n := len(seqs) - v.rules.most; n > 0 && trusted {
		after = seqs[n-1]
		if err := d.queue.Confirm(d.name, after, nil); err != nil {
			return err
		}
	}
	return d.eachAccepted(after, func(item queue.Item) {
		if item.Outcome == queue.Sent {
			v.addOld(item, now, leftBehind)
		} else {
			v.skip(item.Seq)
		}
	})
}

// A delivery that reads back notes whether it runs, so that one that was killed is known by it.
const (
	stateKey     = "verifying"
	stateRunning = "running"
	stateStopped = "stopped"
)

func (d *delivery) noteState(state string) error {
	return d.queue.SetCheckpoint(d.stateName(), map[string]string{stateKey: state})
}

// stopped notes that all that was posted is noted.
func (d *delivery) stopped() error {
	if !d.verifying.asks() {
		return nil
	}
	d.verifying.write = time.Time{}
	if err := d.confirm(); err != nil {
		return err
	}
	return d.noteState(stateStopped)
}

// stateName is under which the queue keeps it: no input's name, which holds no space.
func (d *delivery) stateName() string { return "output " + d.name }

// recallInFlight takes up the first events that are not answered for, if the daemon was killed: it may have posted them
// and not noted it. They are asked for as if it had.
func (d *delivery) recallInFlight(ctx context.Context, killed bool) error {
	// Posting ends where too much is unverified: then nothing was in flight.
	full := len(d.verifying.verification.posted) >= 2*d.verifying.rules.most
	if err := d.noteState(stateRunning); err != nil || !killed || full {
		d.verifying.tell()
		return err
	}
	ended, cancel := context.WithCancel(ctx)
	cancel() // so that it does not wait for any
	items, err := d.queue.Next(ended, d.name, settleMost+1)
	if err != nil && ctx.Err() == nil && errors.Is(err, context.Canceled) {
		err = nil
	}
	if err != nil {
		return err
	}
	v, now := d.verifying, time.Now()
	if len(items) > 0 && items[0].Again() { // of which it may have posted one, and of the others none
		items = nil
	}
	var settled []queue.Settled
	for _, item := range items {
		s := queue.Settled{Seq: item.Seq, Outcome: d.fate(&item.Event)}
		if s.Outcome == queue.Sent {
			v.addOld(item, now, leftBehind)
		} else {
			v.skip(item.Seq)
		}
		settled = append(settled, s)
	}
	v.refused(now.Add(leftBehind)) // a restart of ours is a break, too
	v.tell()
	return d.queue.Accept(d.name, settled)
}
