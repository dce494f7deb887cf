package agent

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
)

// A dry run knows what the queue knows, and reads rotated files by age, in whatever order they are given.
func TestDryRunAsksTheQueue(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lines := bytes.SplitAfter(longLog(30), []byte("\n"))
	older, newer := filepath.Join(dir, "mail.log.1"), filepath.Join(dir, "mail.log")
	for file, part := range map[string][][]byte{older: lines[:50], newer: lines[50:]} {
		if err := os.WriteFile(file, bytes.Join(part, nil), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := config.Parse("x.yaml", fmt.Appendf(nil, "inputs: {postfix: {type: logfile, path: /var/log/mail.log, parser: postfix}}\noutputs: {out: {type: file, path: %s/out.jsonl}}\nqueue: {path: %s/queue.db}\ncontrol: {socket: %s/control.sock}", dir, dir, dir))
	if err != nil {
		t.Fatal(err)
	}
	run := func(cfg *config.Config, dry func(event.Event) error, files ...string) BackfillSummary {
		b := Backfill{Files: files, As: AsAuto, Config: cfg, Log: slog.New(slog.DiscardHandler), DryRun: dry}
		if said, err := b.Prepare(t.Context()); err != nil || !strings.HasPrefix(said[0], "read as postfix") {
			t.Fatal(said, err)
		}
		sum, err := b.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	shown := 0
	show := func(event.Event) error { shown++; return nil }
	if sum := run(cfg, show, newer, older); sum.Queued != 31 || sum.Repeats != 0 || shown != 31 || sum.NotAsked != "" {
		t.Errorf("before anything was reported: %+v, shown %d", sum, shown)
	}
	if sum := run(cfg, nil, older); sum.Queued == 0 {
		t.Errorf("a backfill: %+v", sum)
	}
	stored := run(cfg, show, older)
	if stored.Queued != 0 || stored.Repeats == 0 {
		t.Errorf("after it: %+v", stored)
	}
	if sum := run(cfg, show, newer, older); sum.Queued != 31-stored.Repeats || sum.Repeats != stored.Repeats {
		t.Errorf("half of it: %+v", sum)
	}
	if sum := run(nil, show, older); sum.NotAsked == "" || sum.Repeats != 0 {
		t.Errorf("without a configuration: %+v", sum)
	}
}
