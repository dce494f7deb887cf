package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/internal/classify"
	"bouncefeed/internal/config"
	"bouncefeed/internal/control"
	"bouncefeed/internal/event"
)

// Spot is how far a file has been read.
type Spot = inputs.Spot

// Backfill reads old logs as one stream, with the memory and the judgement the daemon would have.
type Backfill struct {
	Files   []string       // in the order to read, "-" is standard input; none: the system's journal
	As      string         // the format
	Senders []string       // beside those of the configured input of that format
	Since   time.Time      // zero: no bound
	Until   time.Time      // zero: no bound
	Config  *config.Config // nil: no rules of the admin's, built-in parser settings, dry run only
	Version string
	Log     *slog.Logger

	// DryRun gets the events instead of the queue. Nothing is changed.
	DryRun func(event.Event) error
	// Progress is called before each part of a file is stored; nil: nobody watches.
	Progress func(file string, at Spot, sum *BackfillSummary)
}

// BackfillSummary is what came of a backfill.
type BackfillSummary struct {
	Read    uint64            `json:"read"`
	Queued  uint64            `json:"queued"`
	Repeats uint64            `json:"repeats"`
	Outside uint64            `json:"outside"` // before --since or after --until
	Ignored map[string]uint64 `json:"ignored"`
	Refused map[string]uint64 `json:"refused"`
	// Of what was queued; domains beyond 10,000 count as "…".
	Types   map[string]uint64 `json:"types"`
	Reasons map[string]uint64 `json:"reasons"`
	Domains map[string]uint64 `json:"domains"`
	// Resumed: an earlier run of the same backfill was interrupted, this one went on from there.
	Resumed bool `json:"resumed"`
	// Offline: no daemon runs, the events wait in its queue.
	Offline bool `json:"offline"`
}

// Run reads every file. It ends with the first that can't be read, or with ctx; what was stored until then stays, and
// the same backfill goes on from there.
func (b *Backfill) Run(ctx context.Context) (BackfillSummary, error) {
	sum := BackfillSummary{Ignored: map[string]uint64{}, Refused: map[string]uint64{}, Types: map[string]uint64{}, Reasons: map[string]uint64{}, Domains: map[string]uint64{}}
	if !slices.Contains(LineFormats(), b.As) { // a mail is believed only as far as its mailbox's trust goes
		return sum, fmt.Errorf("backfill reads logs: %q is none of %s", b.As, strings.Join(LineFormats(), ", "))
	}
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
	return sum, errors.Join(b.read(ctx, s, target, &sum), end())
}

func (b *Backfill) read(ctx context.Context, s *sink, target backfillStore, sum *BackfillSummary) error {
	start, err := b.resume(s, target)
	if err != nil {
		return err
	}
	if b.As == asJournald && len(b.Files) == 0 {
		if err := b.readJournal(ctx, s); err != nil {
			return err
		}
	}
	for i := start.file; i < len(b.Files); i++ {
		from := int64(0)
		if i == start.file {
			from = start.offset
			sum.Resumed = sum.Resumed || i > 0 || from > 0
		}
		err := inputs.ReadFile(ctx, b.Files[i], from, func(recs []event.Record, at inputs.Spot) error {
			if b.Progress != nil {
				b.Progress(b.Files[i], at, sum)
			}
			return s.Commit(ctx, recs, start.checkpoint(i, at.Offset))
		})
		if err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: the same command goes on from here", ctx.Err())
	}
	return target.Forget(config.Backfill)
}

// readJournal reads what the system's journal holds of the wanted time.
func (b *Backfill) readJournal(ctx context.Context, s *sink) error {
	args := []string{"--output=json", "--no-pager", "--quiet"}
	if !b.Since.IsZero() {
		args = append(args, fmt.Sprintf("--since=@%d", b.Since.Unix()))
	}
	if !b.Until.IsZero() {
		args = append(args, fmt.Sprintf("--until=@%d", b.Until.Unix()+1))
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := exec.CommandContext(ctx, "journalctl", args...)
	cmd.Stdout, cmd.Stderr = w, os.Stderr
	err = cmd.Start()
	w.Close()
	if err != nil {
		return fmt.Errorf("read the journal: %w", err)
	}
	err = inputs.ReadLog(ctx, r, "the journal", 0, func(recs []event.Record, at inputs.Spot) error {
		return s.Commit(ctx, recs, nil)
	})
	if err != nil {
		cancel()
	}
	return errors.Join(err, cmd.Wait())
}

// target is where the events go: to the caller, to the running daemon, or into the queue of one that does not run.
func (b *Backfill) target(ctx context.Context, s *sink, sum *BackfillSummary) (backfillStore, func() error, error) {
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
	q, err := openQueue(b.Config, b.Log)
	if err != nil {
		return nil, nil, err
	}
	s.ledgerKey = q.Secret()
	owned := ownedQueue{q, b.Config.Queue.Path}
	return owned, owned.close, nil
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
