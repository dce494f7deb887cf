package agent

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/internal/classify"
	"bouncefeed/internal/config"
	"bouncefeed/internal/control"
	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
)

// Backfill reads old logs as one stream, with the memory and the judgement the daemon would have.
type Backfill struct {
	Files   []string       // in the order to read, "-" is standard input
	As      string         // the format
	Senders []string       // beside those of the configured input of that format
	Since   time.Time      // zero: no bound
	Until   time.Time      // zero: no bound
	Config  *config.Config // nil: no rules of the admin's, built-in parser settings, dry run only
	Version string
	Log     *slog.Logger

	// DryRun gets the events instead of the queue. Nothing is changed.
	DryRun func(event.Event) error
}

// BackfillSummary is what came of a backfill.
type BackfillSummary struct {
	Read    uint64            `json:"read"`
	Queued  uint64            `json:"queued"`
	Repeats uint64            `json:"repeats"`
	Outside uint64            `json:"outside"` // before --since or after --until
	Ignored map[string]uint64 `json:"ignored"`
	Refused map[string]uint64 `json:"refused"`
	// Offline: no daemon runs, the events wait in its queue.
	Offline bool `json:"offline"`
}

// Run reads every file. It ends with the first that can't be read, or with ctx; what was stored until then stays.
func (b *Backfill) Run(ctx context.Context) (BackfillSummary, error) {
	sum := BackfillSummary{Ignored: map[string]uint64{}, Refused: map[string]uint64{}}
	s, err := newLooseSink(b.Config, b.As, b.Version, b.Log)
	if err != nil {
		return sum, err
	}
	s.senders = append(s.senders, b.Senders...)
	target, end, err := b.target(ctx, s, &sum)
	if err != nil {
		return sum, err
	}
	s.store = &tally{target: target, since: b.Since, until: b.Until, sum: &sum}
	for _, file := range b.Files {
		err = inputs.ReadFile(ctx, file, func(recs []event.Record, _ int64) error { return s.Commit(ctx, recs, nil) })
		if err != nil {
			break
		}
	}
	return sum, errors.Join(err, end())
}

// target is where the events go: to the caller, to the running daemon, or into the queue of one that does not run.
func (b *Backfill) target(ctx context.Context, s *sink, sum *BackfillSummary) (store, func() error, error) {
	nothing := func() error { return nil }
	if b.DryRun != nil {
		return &dryStore{seen: map[event.Key]bool{}, show: b.DryRun}, nothing, nil
	}
	err := control.Do(ctx, b.Config.Control.Socket, "ledger-key", nil, nil, func(v json.RawMessage) error { return json.Unmarshal(v, &s.ledgerKey) })
	if err == nil {
		return remoteStore{b.Config.Control.Socket}, nothing, nil
	}
	if !errors.Is(err, control.ErrNotRunning) {
		return nil, nil, err
	}
	sum.Offline = true
	names := make([]string, len(b.Config.Outputs))
	for i, out := range b.Config.Outputs {
		names[i] = out.Name
	}
	q, err := queue.Open(b.Config.Queue.Path, queue.Options{MaxSize: int64(b.Config.Queue.MaxSize), Retain: b.Config.Queue.Retain.Std(), Outputs: names, Log: b.Log})
	if err != nil {
		return nil, nil, err
	}
	s.ledgerKey = q.Secret()
	return q, q.Close, nil
}

// newLooseSink makes a sink that belongs to no running input, for format as. With a configuration it has the admin's
// rules and the settings of the first input that reads this format.
func newLooseSink(cfg *config.Config, as, version string, log *slog.Logger) (*sink, error) {
	if !slices.Contains(Formats(), as) {
		return nil, fmt.Errorf("unknown format %q: one of %s", as, strings.Join(Formats(), ", "))
	}
	s := &sink{name: as, format: config.Section{Type: as}, classifier: classify.Default(), now: time.Now}
	host := config.Default().Host
	if cfg != nil {
		p, err := newPlan(cfg, "", version, log)
		if err != nil {
			return nil, err
		}
		s.classifier, host = p.classifier, cfg.Host
		for _, in := range p.inputs {
			if section, ok := in.reads(as); ok {
				s.name, s.format, s.senders = in.name, section, in.built.Settings.Senders
				break
			}
		}
	}
	s.env = config.Env{Name: s.name, Host: host, Version: version, Log: log}
	return s, s.ready()
}

// tally counts what passes on its way to target, and keeps back what lies outside of the wanted time.
type tally struct {
	target       store
	since, until time.Time
	sum          *BackfillSummary
}

func (t *tally) Checkpoint(string) (map[string]string, error) { return nil, nil }

func (t *tally) Commit(ctx context.Context, b queue.Batch) (queue.Result, error) {
	b.State = nil // the daemon has its own
	inside := b.Events[:0:0]
	for _, e := range b.Events {
		if e.Time.Before(t.since) || !t.until.IsZero() && !e.Time.Before(t.until) {
			t.sum.Outside++
			b.Counts["ignored/outside"]++
		} else {
			inside = append(inside, e)
		}
	}
	all := len(b.Events)
	b.Events = inside
	r, err := t.target.Commit(ctx, b)
	if err != nil {
		return r, err
	}
	t.sum.add(b.Counts, r)
	// The sink pairs the result with all of its events.
	r.Repeat = append(r.Repeat, make([]bool, all-len(r.Repeat))...)
	return r, nil
}

func (s *BackfillSummary) add(counts map[string]uint64, r queue.Result) {
	for key, n := range counts {
		if word, ok := strings.CutPrefix(key, "ignored/"); ok {
			s.Ignored[word] += n
		} else if word, ok := strings.CutPrefix(key, "refused/"); ok {
			s.Refused[word] += n
		} else if key == "read" {
			s.Read += n
		}
	}
	for _, repeat := range r.Repeat {
		if repeat {
			s.Repeats++
		} else {
			s.Queued++
		}
	}
}

// dryStore shows events instead of storing them; repeats are dropped as the queue would.
type dryStore struct {
	seen map[event.Key]bool
	show func(event.Event) error
}

func (d *dryStore) Checkpoint(string) (map[string]string, error) { return nil, nil }

func (d *dryStore) Commit(_ context.Context, b queue.Batch) (queue.Result, error) {
	r := queue.Result{Repeat: make([]bool, len(b.Events))}
	for i := range b.Events {
		keys := b.Events[i].Keys()
		for _, k := range keys {
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

// remoteStore hands batches to the running daemon, which holds the queue file.
type remoteStore struct{ socket string }

func (remoteStore) Checkpoint(string) (map[string]string, error) { return nil, nil }

func (r remoteStore) Commit(ctx context.Context, b queue.Batch) (queue.Result, error) {
	var body bytes.Buffer
	var result queue.Result
	if err := gob.NewEncoder(&body).Encode(b); err != nil {
		return result, err
	}
	err := control.Do(ctx, r.socket, "backfill", nil, &body, func(v json.RawMessage) error { return json.Unmarshal(v, &result) })
	return result, err
}
