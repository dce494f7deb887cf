package agent

import (
	"context"
	"errors"
	"io/fs"
	"iter"

	"bouncefeed/internal/control"
	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
)

// dryStore shows events instead of storing them; repeats are dropped as the queue would.
type dryStore struct {
	seen  map[event.Key]bool
	show  func(event.Event) error
	known func(context.Context, []event.Event) ([]bool, error) // asks the queue; nil: it can't be asked
}

func (d *dryStore) Checkpoint(string) (map[string]string, error) { return nil, nil }
func (d *dryStore) State(string) iter.Seq2[string, []byte]       { return func(func(string, []byte) bool) {} }
func (d *dryStore) Forget(string) error                          { return nil }

func (d *dryStore) Commit(ctx context.Context, b queue.Batch) (queue.Result, error) {
	r := queue.Result{Repeat: make([]bool, len(b.Events))}
	if d.known != nil && len(b.Events) > 0 {
		var err error
		if r.Repeat, err = d.known(ctx, b.Events); err != nil {
			return r, err
		}
	}
	for i := range b.Events {
		keys := b.Events[i].Keys()
		for _, k := range append(keys, b.Events[i].Claims()...) {
			r.Repeat[i] = r.Repeat[i] || d.seen[k]
		}
		for _, k := range keys {
			d.seen[k] = true
		}
		if !r.Repeat[i] {
			if err := d.show(b.Events[i]); err != nil {
				return r, err
			}
		}
	}
	return r, nil
}

// dry is the target of a dry run: it asks the daemon, or the queue of one that does not run, what was reported before and,
// with trust: proof, what the logs prove. Where that can't be asked, sum says so.
func (b *Backfill) dry(ctx context.Context, c *sinkConfig, sum *BackfillSummary) (store *dryStore, end func() error) {
	store = &dryStore{seen: map[event.Key]bool{}, show: b.DryRun}
	end = func() error { return nil }
	if b.counts != nil { // of the files alone
		return store, end
	}
	if b.Config == nil {
		sum.NotAsked = "there is no configuration that names its queue"
		return store, end
	}
	socket := b.Config.Control.Socket
	_, err := askKnown(ctx, socket, nil)
	if errors.Is(err, control.ErrNotRunning) {
		socket, end, err = OpenStored(ctx, b.Config, b.Log)
		if errors.Is(err, fs.ErrNotExist) { // nothing was ever reported
			return store, func() error { return nil }
		}
	}
	if err != nil {
		sum.NotAsked = err.Error()
		return store, func() error { return nil }
	}
	store.known = func(ctx context.Context, events []event.Event) ([]bool, error) { return askKnown(ctx, socket, events) }
	if b.Trust == trustProof {
		if key, err := Calls.LedgerKey.Ask(ctx, socket, control.None{}, nil); err == nil {
			c.ledger = ledger{key, func(h [8]byte) (bool, error) { return Calls.WasSent.Ask(ctx, socket, h, nil) }}
		} else {
			sum.NotAsked = "what the logs prove: " + err.Error()
		}
	}
	return store, end
}
