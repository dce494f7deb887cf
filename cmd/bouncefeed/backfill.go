package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
)

func newBackfill(a *app) *cobra.Command {
	var b agent.Backfill
	var dryRun bool
	var since, until string
	cmd := &cobra.Command{
		Use:   "backfill FILE…",
		Short: "report the bounces of old logs and mailboxes",
		Long: `Reads old logs (plain, .gz, .xz or .zst; - is standard input) as one stream, with their original times, and reports what
they hold. The files of one log, mail.log and its rotated neighbours, are read by age, the oldest first, in whatever order
they are given. What the daemon has reported already, or a backfill before, is not reported again. If the daemon runs, it
delivers at its own pace; if not, the events wait in its queue. Interrupted with Ctrl-C, the same command goes on where
it was. The format is guessed from what stands in the files; --as names it.

--as journald without a file reads the system's journal, from --since to --until.

--as mail reads mailboxes: an mbox or a file that is one message (both also compressed), a Maildir or its new or cur. It
leaves them as they are. It needs --trust, as a mailbox does in the configuration: with "any" every bounce is reported,
with "proof" only what a subscriber's UUID or a log proves, so backfill the logs first; the rest, of which the newest
10,000 are kept, is held (see 'bouncefeed held'). After Ctrl-C a Maildir, and an mbox that has changed since, are begun
anew: what they told already is found to be a repeat.

--dry-run changes nothing: it shows what would be reported. It asks the daemon, or its queue, what was reported before and,
with --trust proof, what the logs prove. It needs no configuration; without, or as a user who may not ask, it says so.` + "\n" + exitHelp,
		Example: `  bouncefeed backfill --dry-run /var/log/mail.log*
  bouncefeed backfill --since 2026-11-01 /var/log/mail.log*
  bouncefeed backfill --as journald --since 2026-11-01 --until 2026-11-08
  bouncefeed backfill --as mail --trust proof /var/mail/bounces /home/bounces/Maildir`,
		RunE: func(cmd *cobra.Command, files []string) (err error) {
			b.Version = version
			if b.Files, err = expand(files); err != nil {
				return err
			}
			if len(files) == 0 && b.As != "journald" {
				return someFiles(cmd, files)
			}
			if b.Since, err = parseTime(since); err != nil {
				return err
			}
			if b.Until, err = parseTime(until); err != nil {
				return err
			}
			if b.Config, err = a.loadIfThere(cmd); err != nil {
				return err
			}
			return a.backfill(cmd, &b, dryRun)
		},
	}
	f := cmd.Flags()
	f.StringVar(&b.As, "as", agent.AsAuto, "the `format`: auto, "+strings.Join(agent.BackfillFormats(), ", "))
	f.StringVar(&b.Trust, "trust", "", "whom to believe in a mailbox: `proof|any`")
	f.StringVar(&b.Container, "container", "", "what a container wraps around each line: `json-file|compose`; default: as the configuration says")
	f.BoolVar(&dryRun, "dry-run", false, "show what would be reported, change nothing")
	f.StringVar(&since, "since", "", "report only what happened at or after `TIME` (2026-11-01 or RFC 3339)")
	f.StringVar(&until, "until", "", "report only what happened before `TIME`")
	f.StringSliceVar(&b.Senders, "senders", nil, "report only mail of these envelope `senders` (*@news.example.com)")
	return a.jsonFlag(cmd)
}

// expand follows patterns with *, as the shell would.
func expand(files []string) (all []string, err error) {
	for _, f := range files {
		if _, err := os.Lstat(f); err == nil || f == "-" || !strings.ContainsAny(f, "*?[") {
			all = append(all, f)
			continue
		}
		found, err := filepath.Glob(f)
		if err != nil || len(found) == 0 {
			return nil, &usageError{fmt.Errorf("no file is called %s", f)}
		}
		all = append(all, found...)
	}
	return all, nil
}

func (a *app) backfill(cmd *cobra.Command, b *agent.Backfill, dryRun bool) error {
	b.Log = newLogger(cmd.ErrOrStderr(), config.Log{Level: "warn", Format: "text"})
	if dryRun {
		b.DryRun = func(e event.Event) error {
			if a.json {
				return printJSON(cmd, e)
			}
			return nil
		}
	}
	said, err := b.Prepare(cmd.Context())
	if err != nil {
		return err
	}
	if err := b.Check(); err != nil {
		return &usageError{err}
	}
	if !dryRun && b.Config == nil {
		return &exitError{exitConfig, "bouncefeed: no configuration at " + a.configPath + ": give --config, or --dry-run to only look"}
	}
	if !a.json {
		for _, line := range said {
			fmt.Fprintln(cmd.ErrOrStderr(), clean(line))
		}
	}
	watch := newProgress(cmd.ErrOrStderr(), b.Files, a.json && !dryRun)
	b.Progress = watch.show
	debug.SetGCPercent(200) // of the few megabytes that it holds much is gone with the next line
	sum, err := b.Run(cmd.Context())
	watch.end()
	if a.json && !dryRun {
		return errors.Join(err, printJSON(cmd, sum))
	}
	if a.json && sum.NotAsked != "" && b.Config != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "bouncefeed: what was reported before could not be asked: %s\n", clean(sum.NotAsked))
	}
	if !a.json {
		printSummary(cmd, sum, dryRun)
	}
	return err
}

func printSummary(cmd *cobra.Command, sum agent.BackfillSummary, dryRun bool) {
	verb, held := "queued", "held for want of proof, now or already before: see 'bouncefeed held list'"
	if dryRun {
		verb, held = "would be queued", "would be held, unless a log proves them"
	}
	t := newTable(cmd)
	for _, part := range []struct {
		name   string
		counts map[string]uint64
	}{{"type", sum.Types}, {"reason", sum.Reasons}, {"domain", sum.Domains}} {
		for i, word := range largest(part.counts) {
			if i == 20 {
				fmt.Fprintf(t, "%s\t… %d more\t\n", part.name, len(part.counts)-i)
				break
			}
			fmt.Fprintf(t, "%s\t%s\t%d\n", part.name, clean(word), part.counts[word])
		}
	}
	t.Flush()
	errs := cmd.ErrOrStderr()
	fmt.Fprintf(errs, "%d read, %d %s, %d reported before, %d outside of the time asked for\n", sum.Read, sum.Queued, verb, sum.Repeats, sum.Outside)
	if sum.Held > 0 {
		fmt.Fprintf(errs, "%d %s\n", sum.Held, held)
	}
	if sum.Excess > 0 {
		fmt.Fprintf(errs, "%d held: more hard bounces than is plausible within an hour, see 'bouncefeed held list --excess'\n", sum.Excess)
	}
	fmt.Fprintf(errs, "ignored: %s\nrefused: %s\n", counts(sum.Ignored), counts(sum.Refused))
	if sum.NotAsked != "" {
		fmt.Fprintf(errs, "note: what was reported before could not be asked, some of it may be among these: %s\n", clean(sum.NotAsked))
	}
	if sum.Resumed {
		fmt.Fprintln(errs, "it went on where the interrupted run before it was: these figures are of this run")
	}
	if sum.Offline && sum.Queued > 0 {
		fmt.Fprintln(errs, "the daemon does not run: it will deliver them once it does")
	}
}

// parseTime reads a day or an RFC 3339 time; empty is no bound.
func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.ParseInLocation("2006-01-02", s, time.Local); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, &usageError{fmt.Errorf("%q is no time: write 2026-11-01 or 2026-11-01T12:00:00Z", s)}
	}
	return t, nil
}

// short cuts s to at most n bytes, at a character.
func short(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
