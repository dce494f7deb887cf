package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/config"
)

func newReport(a *app) *cobra.Command {
	var r agent.ReportOfFiles
	var form reportForm
	cmd := &cobra.Command{
		Use:   "report [FILE…]",
		Short: "say which providers accept, put off or refuse the mail, and why",
		Long: `Says what became of each recipient, by who received the mail: findings first, then the providers, what is our own fault with the
words of those who say so, and why recipients fail. It names no address.

Without a FILE it tells what the daemon has counted, also while that is down: the last seven whole days beside the seven
before. With FILEs, it reads old logs (plain, .gz, .xz or .zst; - is standard input), as backfill does, and needs no
configuration and no daemon.

A provider is known by the host that answered (Gmail, Microsoft 365, a company's filter), else by the recipient's domain; what
neither tells is "other". Mail of clients that are not ours, which this host only takes in, does not count.

  ended       delivery to one recipient of one message came to an end: accepted or failed
  accepted    the provider took it, at once or late; whether it is in the inbox nobody tells
  put off     told "later" at least once: each recipient once, with the first reason; in percent of those first tried
  hard, soft  the recipient's fault, for good or for now
  ours        the sender's fault: blocklisted, authentication, content
  gave up     nobody's fault for certain: it was put off until it expired, or the network failed
  wait        put off, and neither accepted nor failed so far
Each is in percent of those that ended, put off excepted. Days are those of UTC. What is counted is kept by the hour for a month,
by the day for 400 days, domains and campaigns for 35 days. Of a campaign only failures are known, where the mail names it.

A finding (!! critical, ! warning, i to know) is raised when even the lower bound of what so few can tell (Wilson, 95 %) passes
its threshold, and is over when it has been below half of that for a day.

--check prints one line, as a Nagios plugin does, and exits with 0 (nothing, or to know), 1 (warning), 2 (critical) or 3 (can't
tell) by the findings of the last 24 hours.` + "\n" + exitHelp,
		Example: `  bouncefeed report
  bouncefeed report --since 24h --by reason
  bouncefeed report /var/log/mail.log*
  bouncefeed report --since 7d --compare /var/log/mail.log*
  bouncefeed report --provider microsoft --by domain /var/log/exim4/mainlog*`,
		RunE: func(cmd *cobra.Command, files []string) (err error) {
			r.Version, r.Log = version, newLogger(cmd.ErrOrStderr(), config.Log{Level: "warn", Format: "text"})
			if r.Files, err = expand(files); err != nil {
				return err
			}
			if err := form.times(time.Now()); err != nil {
				return err
			}
			if len(files) == 0 && r.As != "journald" {
				if cmd.Flags().Changed("as") {
					return someFiles(cmd, files)
				}
				return a.storedReport(cmd, &form)
			}
			if form.check || form.compare == agent.CompareFrom {
				return &usageError{errors.New("--check, and --compare with a time, are of what the daemon has counted: name no files")}
			}
			if r.Config, err = a.loadIfThere(cmd); err != nil {
				return err
			}
			return a.reportOfFiles(cmd, &r, &form)
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.As, "as", agent.AsAuto, "the `format` of the files: auto, "+strings.Join(agent.LineFormats(), ", "))
	f.StringVar(&r.Container, "container", "", "what a container wraps around each line: `json-file|compose`; default: as the configuration says")
	f.StringSliceVar(&r.Senders, "senders", nil, "of files, count only mail of these envelope `senders` (*@news.example.com)")
	form.flags(f)
	return a.jsonFlag(cmd)
}

// reportForm is what a report is to be about, and how it is printed.
type reportForm struct {
	since, until, beside string
	args                 agent.ReportArgs
	compare              agent.Comparison
	by                   string
	all, check           bool
}

func (r *reportForm) flags(f *pflag.FlagSet) {
	f.StringVar(&r.since, "since", "", "count what happened at or after `TIME` (7d, 24h, 2026-11-01 or RFC 3339)")
	f.StringVar(&r.until, "until", "", "count what happened before `TIME`")
	f.StringVar(&r.beside, "compare", "", "beside the time before, as long as this: `previous|none|TIME`")
	f.Lookup("compare").NoOptDefVal = "previous"
	f.StringVar(&r.args.Provider, "provider", "", "only the mail to this `provider`")
	f.StringVar(&r.args.Domain, "domain", "", "of the domains only this `domain`")
	f.StringVar((*string)(&r.args.Stream), "stream", "", "only the mail of `lists|other`: of the senders: of the configuration, or of all others")
	f.StringVar(&r.by, "by", "provider", "list by `provider|domain|reason|day|campaign`")
	f.BoolVar(&r.all, "all", false, "list every provider or domain, not only the largest")
	f.BoolVar(&r.check, "check", false, "print one line with the findings, as a Nagios plugin does")
}

// times reads the times that were given. Figures are by the hour.
func (r *reportForm) times(now time.Time) (err error) {
	for _, t := range []struct {
		text string
		to   *time.Time
	}{{r.since, &r.args.Since}, {r.until, &r.args.Until}} {
		if *t.to, err = momentAgo(t.text, now); err != nil {
			return err
		}
		*t.to = t.to.Truncate(time.Hour)
	}
	switch r.beside {
	case "", "previous":
	case "none":
		r.compare = agent.CompareNone
	default:
		r.compare = agent.CompareFrom
		r.args.From, err = momentAgo(r.beside, now)
	}
	r.args.Compare = r.compare
	return err
}

func (a *app) reportOfFiles(cmd *cobra.Command, r *agent.ReportOfFiles, form *reportForm) error {
	r.From, r.To, r.Provider, r.Domain, r.Stream = form.args.Since, form.args.Until, form.args.Provider, form.args.Domain, form.args.Stream
	r.Compare = form.beside == "previous"
	if err := r.Choose(form.by); err != nil {
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
	if !a.json {
		for _, line := range said {
			fmt.Fprintln(cmd.ErrOrStderr(), clean(line))
		}
		if n := sum.Ignored["foreign"]; n > 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "not counted: %d failures of mail that clients handed in who are not ours\n", n)
		}
	}
	return a.printReport(cmd, made, form)
}

// storedReport prints what the daemon has counted.
func (a *app) storedReport(cmd *cobra.Command, form *reportForm) error {
	if err := agent.CheckReport(form.by, &form.args); err != nil {
		return &usageError{err}
	}
	if form.check && form.since == "" {
		form.args.Since = time.Now().Add(-24 * time.Hour)
	}
	var made *agent.Report
	err := eachStored(a, cmd, agent.Calls.Report, form.args, func(r *agent.Report, _ json.RawMessage) error {
		made = r
		return nil
	})
	if form.check {
		return checkReport(cmd, made, err)
	}
	if err != nil {
		return err
	}
	return a.printReport(cmd, made, form)
}

// checkReport is a Nagios plugin's answer.
func checkReport(cmd *cobra.Command, made *agent.Report, err error) error {
	code, line := 3, ""
	if err != nil {
		line = "BOUNCEFEED UNKNOWN - " + oneLine(err.Error())
	} else {
		code, line = made.Check()
		line = "BOUNCEFEED " + line
	}
	if _, err := fmt.Fprintln(cmd.OutOrStdout(), clean(line)); err != nil {
		return err
	}
	if code != 0 {
		return &exitError{code, ""}
	}
	return nil
}

func (a *app) printReport(cmd *cobra.Command, made *agent.Report, form *reportForm) error {
	if a.json {
		return printJSON(cmd, made)
	}
	var text strings.Builder
	if err := made.WriteText(&text, form.by, form.all); err != nil {
		return err
	}
	for line := range strings.Lines(text.String()) { // replies and domains are strangers' words
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), clean(strings.TrimSuffix(line, "\n"))); err != nil {
			return err
		}
	}
	return nil
}
