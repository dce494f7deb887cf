package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/config"
)

func newExplain(a *app) *cobra.Command {
	q := agent.Inquiry{Version: version, Log: slog.New(slog.DiscardHandler)}
	p := explanationPrinter{said: map[string]bool{}}
	cmd := &cobra.Command{
		Use:   "explain FILE…|-",
		Short: "say what a log line, message or SMTP reply is, and why",
		Long: `Says for every line of a log, for every message of an mbox, of a Maildir or in a file of its own, for a webhook's body or
for bare SMTP replies, one a line, what bouncefeed makes of it: fields, rule, reason, type, and whether it would be
reported. It reads the lines of a file as one stream, with the memory that the daemon would have, and changes nothing.

Which format that is, it guesses from what stands in the file, and says so; --as names it.

Of lines picked out of a log (grep status=bounced) the beginning is missing: who handed the message in, and its sender.
They are judged as if it was fine, and that is said. With a configuration its rules, senders:, trust: and send: hold, as
for the daemon, and a daemon that runs is asked what was reported before and what its logs prove.

Lines of no interest are left out unless --all is given. With --json every line or message is one object.` + "\n" + exitHelp,
		Example: `  grep status=bounced /var/log/mail.log | bouncefeed explain -
  grep 4F1A01C2D0 /var/log/mail.log | bouncefeed explain -
  bouncefeed explain /var/mail/bounces
  echo '550 5.7.1 Service unavailable; client host blocked using zen.spamhaus.org' | bouncefeed explain -`,
		Args: someFiles,
		RunE: func(cmd *cobra.Command, files []string) (err error) {
			var note string
			if q.Config, note, err = a.readIfThere(cmd); err != nil {
				return err
			}
			debug.SetGCPercent(400) // it holds one message at a time; collecting the few megabytes less often is a tenth of the time
			out := bufio.NewWriterSize(cmd.OutOrStdout(), 64<<10)
			q.Files, q.In, p.w = files, cmd.InOrStdin(), out
			json := newEncoder(out)
			sum, err := agent.Explain(cmd.Context(), q, func(x agent.Explanation) (err error) {
				if a.json {
					err = json.Encode(x)
				} else {
					err = p.print(x)
				}
				if x.Live {
					err = cmp.Or(err, out.Flush())
				}
				return err
			})
			err = cmp.Or(err, out.Flush())
			if !a.json {
				if note != "" {
					sum.Notes = append(sum.Notes, note)
				}
				printExplainSummary(cmd.ErrOrStderr(), &sum, a.configPath)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&q.As, "as", agent.AsAuto, "the `format`: auto, "+strings.Join(agent.Formats(), ", ")+" or reply")
	cmd.Flags().StringVar(&q.Headers, "headers", "", "the header fields of a webhook request, in a `file`: says whether its signature holds")
	cmd.Flags().BoolVar(&p.all, "all", false, "show lines of no interest too")
	return a.jsonFlag(cmd)
}

// readIfThere is loadIfThere, and says why there is no configuration.
func (a *app) readIfThere(cmd *cobra.Command) (cfg *config.Config, note string, err error) {
	cfg, err = a.loadIfThere(cmd)
	if cfg != nil || err != nil {
		return cfg, "", err
	}
	if _, err := os.Stat(a.configPath); errors.Is(err, os.ErrNotExist) {
		return nil, "no configuration at " + a.configPath + ": built-in settings, everybody's mail", nil
	}
	return nil, a.configPath + " can't be read by this user: built-in settings, everybody's mail (try sudo)", nil
}

func someFiles(cmd *cobra.Command, files []string) error {
	if len(files) == 0 {
		return &usageError{fmt.Errorf("%s needs a file, or - for standard input (see '%s --help')", cmd.CommandPath(), cmd.CommandPath())}
	}
	return nil
}
