package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/inputs/logs"
	"bouncefeed/inputs/mailbox"
	"bouncefeed/internal/config"
	"bouncefeed/internal/control"
	"bouncefeed/internal/event"
)

// Spot is how far a file has been read.
type Spot = inputs.Spot

// Backfill reads old logs as one stream, or old mailboxes, with the memory and the judgement the daemon would have.
type Backfill struct {
	Files []string // "-" is standard input; none: the system's journal
	As    string   // one of BackfillFormats, or AsAuto: guessed by Prepare
	Trust string   // of a mailbox: as in the configuration, or empty in a dry run, which then shows everything
	// Container is what is wrapped around each line, as in the configuration of a logfile; empty: as that says.
	Container string
	Senders   []string       // beside those of the configured input of that format
	Since     time.Time      // zero: no bound
	Until     time.Time      // zero: no bound
	Config    *config.Config // nil: no rules of the admin's, built-in parser settings, dry run only
	Version   string
	Log       *slog.Logger

	// DryRun gets the events instead of the queue. Nothing is changed.
	DryRun func(event.Event) error
	counts func(*event.Counted) // is told what a report is made of; nil: none is

	// Progress is called before each part of a file is stored; nil: nobody watches.
	Progress func(file string, at Spot, sum *BackfillSummary)
}

// BackfillSummary is what came of a backfill.
type BackfillSummary struct {
	Read    uint64            `json:"read"`
	Queued  uint64            `json:"queued"`
	Repeats uint64            `json:"repeats"`
	Held    uint64            `json:"held"`    // for want of proof, now or already before
	Excess  uint64            `json:"excess"`  // held, too: more than is plausible
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
	// NotAsked says why a dry run does not know what was reported before.
	NotAsked string `json:"not_asked,omitempty"`
}

// BackfillFormats are what `backfill --as` knows.
func BackfillFormats() []string { return append(LineFormats(), asMail) }

// Prepare guesses the format, if that is asked for, and brings the files of logs into the order of their age: of a
// pattern like mail.log* the shell makes another. It says what it did; "" where nothing is to be said.
func (b *Backfill) Prepare(ctx context.Context) (said []string, err error) {
	if b.As == AsAuto || b.As == "" {
		if b.As, err = b.guess(ctx); err != nil {
			return nil, err
		}
		said = append(said, "read as "+b.As+" (guessed; --as says otherwise)")
	}
	if b.As == asMail {
		return said, nil
	}
	sorted := logs.InOrder(b.Files)
	if len(sorted) < len(b.Files) {
		said = append(said, fmt.Sprintf("of %d files %d are there twice, also compressed: read once", len(b.Files), len(b.Files)-len(sorted)))
	} else if !slices.Equal(sorted, b.Files) {
		said = append(said, "read by age, the oldest first: "+strings.Join(sorted, ", "))
	}
	b.Files = sorted
	return said, nil
}

// guess says in which format the files are, by the first that tells.
func (b *Backfill) guess(ctx context.Context) (string, error) {
	for _, file := range b.Files {
		if st, err := os.Stat(file); file == "-" || err == nil && !st.Mode().IsRegular() && !st.IsDir() {
			return "postfix", nil // what is read of a pipe is gone
		}
		g, err := guessFile(ctx, file)
		if err != nil {
			return "", err
		}
		if slices.Contains(BackfillFormats(), g.as) {
			return g.as, nil
		}
	}
	return "", fmt.Errorf("nothing in %s looks like a mail server's log or a mail: name the format with --as", strings.Join(b.Files, ", "))
}

// Check says what is wrong with what was asked for, without looking at any file.
func (b *Backfill) Check() error {
	switch {
	case !slices.Contains(BackfillFormats(), b.As):
		return fmt.Errorf("backfill reads logs and mailboxes: %q is none of %s", b.As, strings.Join(BackfillFormats(), ", "))
	case b.Container != "" && (new(inputs.Container).UnmarshalText([]byte(b.Container)) != nil || b.As == asMail):
		return fmt.Errorf("--container is json-file or compose, of a log")
	case b.As != asMail && b.Trust != "":
		return fmt.Errorf("--trust is for mailboxes (--as mail): the mail server's own log is believed")
	case b.As == asMail && (b.Trust != "" || b.DryRun == nil):
		if err := mailbox.CheckTrust(b.Trust); err != nil {
			return fmt.Errorf("--trust %s", strings.ReplaceAll(err.Error(), "  trust: ", "  --trust "))
		}
	}
	return nil
}

// Run reads every file. It ends with the first that can't be read, or with ctx; what was stored until then stays, and
// the same backfill goes on from there.
func (b *Backfill) Run(ctx context.Context) (BackfillSummary, error) {
	sum := BackfillSummary{Ignored: map[string]uint64{}, Refused: map[string]uint64{}, Types: map[string]uint64{}, Reasons: map[string]uint64{}, Domains: map[string]uint64{}}
	if err := b.Check(); err != nil {
		return sum, err
	}
	c, err := looseSink(b.Config, b.As, b.Version, b.Log)
	if err != nil {
		return sum, err
	}
	c.senders, c.trust, c.container = append(c.senders, b.Senders...), b.Trust, cmp.Or(inputs.Container(b.Container), c.container)
	target, end, err := b.target(ctx, &c, &sum)
	if err != nil {
		return sum, err
	}
	to := &tally{target: target, since: b.Since, until: b.Until, sum: &sum}
	c.store = to
	if b.counts != nil {
		counts := newCounting(c.classifier, nil)
		c.passes = newPasses(counts, true)
		to.counted, to.failure = b.counts, counts.failure
	}
	return sum, errors.Join(b.read(ctx, c, target, &sum), end())
}

func (b *Backfill) read(ctx context.Context, c sinkConfig, target backfillStore, sum *BackfillSummary) error {
	start, err := b.resume(&c, target)
	if err != nil {
		return err
	}
	s := newSink(c)
	if err := s.parsers.ready(); err != nil {
		return err
	}
	if b.As == asJournald && len(b.Files) == 0 {
		if err := b.readJournal(ctx, s); err != nil {
			return err
		}
	}
	for i := start.file; i < len(b.Files) && ctx.Err() == nil; i++ {
		from := int64(0)
		if i == start.file {
			from = start.offset
			sum.Resumed = sum.Resumed || i > 0 || from > 0
		}
		read := b.readLog
		if b.As == asMail {
			read = b.readMailbox
		}
		progress := func(at inputs.Spot) {
			if b.Progress != nil {
				b.Progress(b.Files[i], at, sum)
			}
		}
		if err := read(ctx, s, b.Files[i], from, func(at inputs.Spot) map[string]string { return start.checkpoint(i, at.Offset) }, progress); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: the same command goes on from here", ctx.Err())
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	return target.Forget(config.Backfill)
}

// readMailbox reads file from a place in it. stored is told how far it came.
func (b *Backfill) readMailbox(ctx context.Context, s *sink, file string, from int64, checkpoint func(inputs.Spot) map[string]string, stored func(inputs.Spot)) error {
	return mailbox.ReadMailbox(ctx, file, from, func(recs []event.Record, at inputs.Spot) error {
		stored(at)
		return s.Commit(ctx, recs, checkpoint(at))
	})
}

// readLog is readMailbox for a log.
func (b *Backfill) readLog(ctx context.Context, s *sink, file string, from int64, checkpoint func(inputs.Spot) map[string]string, stored func(inputs.Spot)) error {
	var last inputs.Spot
	unstored := 0
	store := func() error {
		at := last
		unstored = 0
		return s.Store(ctx, checkpoint(at), func() { stored(at) })
	}
	err := logs.ReadLines(ctx, file, from, func(lines []byte, at time.Time, spot inputs.Spot) error {
		if _, err := s.Read(lines, at, 0); err != nil {
			return err
		}
		if last, unstored = spot, unstored+len(lines); unstored < logs.MaxBatch {
			return nil
		}
		return store()
	})
	if unstored > 0 && ctx.Err() == nil { // also what stood before a damage
		if serr := store(); err == nil {
			err = serr
		}
	}
	return cmp.Or(err, s.Settle())
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
	err = logs.ReadLog(ctx, r, "the journal", 0, func(recs []event.Record, at inputs.Spot) error {
		return s.Commit(ctx, recs, nil)
	})
	if err != nil {
		cancel()
	}
	return errors.Join(err, cmd.Wait())
}

// target is where the events go: to the caller, to the running daemon, or into the queue of one that does not run.
func (b *Backfill) target(ctx context.Context, c *sinkConfig, sum *BackfillSummary) (backfillStore, func() error, error) {
	nothing := func() error { return nil }
	if b.DryRun != nil {
		store, end := b.dry(ctx, c, sum)
		return store, end, nil
	}
	remote, err := b.ask(ctx, c, b.Config.Control.Socket)
	if err == nil || !errors.Is(err, control.ErrNotRunning) {
		return remote, nothing, err
	}
	sum.Offline = true
	k, err := startKeeper(b.Config)
	if err != nil {
		return nil, nil, err
	}
	if k != nil {
		remote, err := b.ask(ctx, c, k.socket)
		if err != nil {
			return nil, nil, cmp.Or(k.end(), err)
		}
		return remote, k.end, nil
	}
	q, err := openQueue(b.Config, b.Log, newCounting(nil, time.Now))
	if err != nil {
		return nil, nil, err
	}
	c.ledger = ledger{q.Secret(), q.WasSent}
	return q, q.Close, nil
}

// ask makes a store of whoever has the queue open and answers on socket.
func (b *Backfill) ask(ctx context.Context, c *sinkConfig, socket string) (backfillStore, error) {
	key, err := Calls.LedgerKey.Ask(ctx, socket, control.None{}, nil)
	if err != nil {
		return nil, err
	}
	remote := &remoteStore{socket: socket}
	c.ledger = ledger{key, func(h [8]byte) (bool, error) { return remote.wasSent(ctx, h) }}
	return remote, b.mayAsk(c.ledger)
}

// mayAsk says why the daemon can't be asked for the proof that this backfill needs.
func (b *Backfill) mayAsk(l ledger) error {
	if b.Trust != trustProof {
		return nil
	}
	if _, err := l.wasSent([8]byte{}); err != nil {
		return fmt.Errorf("--trust proof asks the queue what was sent: %w (else stop the daemon while this runs: nothing is lost)", err)
	}
	return nil
}
