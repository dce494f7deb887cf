package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/config"
)

func newReport(a *app) *cobra.Command {
	var r agent.ReportOfFiles
	var since, until, by string
	var all bool
	cmd := &cobra.Command{
		Use:   "report FILE…",
		Short: "say which providers accept, put off or refuse the mail, and why",
		Long: `Reads old logs (plain, .gz, .xz or .zst; - is standard input), as backfill does, and says what became of each recipient, by
who received the mail: findings first, then the providers, what is our own fault with the words of those who say so, and
why recipients fail. It needs no configuration and no daemon, and names no address.

A provider is known by the host that answered (Gmail, Microsoft 365, a company's filter), else by the recipient's domain; what
neither tells is "other". Mail of clients that are not ours, which this host only takes in, does not count.

  ended       delivery to one recipient of one message came to an end: accepted or failed
  accepted    the provider took it, at once or late; whether it is in the inbox nobody tells
  put off     told "later" at least once: each recipient once, with the first reason; in percent of those first tried
  hard, soft  the recipient's fault, for good or for now
  ours        the sender's fault: blocklisted, authentication, content
  gave up     nobody's fault for certain: it was put off until it expired, or the network failed
  wait        put off, and neither accepted nor failed so far
Each is in percent of those that ended, put off excepted. Days are those of UTC.

A finding (!! critical, ! warning, i to know) is raised when even the lower bound of what so few can tell (Wilson, 95 %) passes
its threshold, and is over when it has been below half of that for a day.` + "\n" + exitHelp,
		Example: `  bouncefeed report /var/log/mail.log*
  bouncefeed report --since 7d --compare /var/log/mail.log*
  bouncefeed report --provider microsoft --by domain /var/log/exim4/mainlog*`,
		RunE: func(cmd *cobra.Command, files []string) (err error) {
			r.Version, r.Log = version, newLogger(cmd.ErrOrStderr(), config.Log{Level: "warn", Format: "text"})
			if r.Files, err = expand(files); err != nil {
				return err
			}
			if len(files) == 0 && r.As != "journald" {
				return someFiles(cmd, files)
			}
			if r.From, err = momentAgo(since, time.Now()); err != nil {
				return err
			}
			if r.To, err = momentAgo(until, time.Now()); err != nil {
				return err
			}
			r.From, r.To = r.From.Truncate(time.Hour), r.To.Truncate(time.Hour) // figures are by the hour
			if r.Config, err = a.loadIfThere(cmd); err != nil {
				return err
			}
			return a.report(cmd, &r, by, all)
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.As, "as", agent.AsAuto, "the `format`: auto, "+strings.Join(agent.LineFormats(), ", "))
	f.StringVar(&r.Container, "container", "", "what a container wraps around each line: `json-file|compose`; default: as the configuration says")
	f.StringSliceVar(&r.Senders, "senders", nil, "count only mail of these envelope `senders` (*@news.example.com)")
	f.StringVar(&since, "since", "", "count what happened at or after `TIME` (7d, 24h, 2026-11-01 or RFC 3339)")
	f.StringVar(&until, "until", "", "count what happened before `TIME`")
	f.BoolVar(&r.Compare, "compare", false, "beside the time before, as long as this")
	f.StringVar(&r.Provider, "provider", "", "only the mail to this `provider`")
	f.StringVar(&r.Domain, "domain", "", "of the domains only this `domain`")
	f.StringVar(&by, "by", "provider", "list by `provider|domain|reason|day`")
	f.BoolVar(&all, "all", false, "list every provider or domain, not only the largest")
	return a.jsonFlag(cmd)
}

func (a *app) report(cmd *cobra.Command, r *agent.ReportOfFiles, by string, all bool) error {
	if err := r.Choose(by); err != nil {
		return &usageError{err}
	}
	said, err := r.Prepare(cmd.Context())
	if err != nil {
		return err
	}
	if err := r.Check(); err != nil {
		return &usageError{err}
	}
	watch := newProgress(cmd.ErrOrStderr(), r.Files, a.json)
	r.Progress = watch.show
	made, sum, err := r.Make(cmd.Context())
	watch.end()
	if err != nil {
		return err
	}
	if a.json {
		return printJSON(cmd, made)
	}
	for _, line := range said {
		fmt.Fprintln(cmd.ErrOrStderr(), clean(line))
	}
	if n := sum.Ignored["foreign"]; n > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "not counted: %d failures of mail that clients handed in who are not ours\n", n)
	}
	var text strings.Builder
	if err := made.WriteText(&text, by, all); err != nil {
		return err
	}
	for line := range strings.Lines(text.String()) { // replies and domains are strangers' words
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), clean(strings.TrimSuffix(line, "\n"))); err != nil {
			return err
		}
	}
	return nil
}
