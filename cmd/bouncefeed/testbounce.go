package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
)

func newTestBounce(a *app) *cobra.Command {
	var t agent.TestBounce
	cmd := &cobra.Command{
		Use:   "test-bounce [ADDRESS]",
		Short: "send a mail that must fail, and follow its bounce",
		Long: `Hands a mail to this machine's mail server, to an address that nobody can deliver to or to the ADDRESS given, and
follows what the running daemon makes of its failure: found in the log, judged, stored, delivered. Where the bounce does
not come it says how far it came. It is a real bounce: its report goes to the sender, and the receiver gets a post about an
address that it does not know. Only an ADDRESS that fails at once is of use: one of a domain of your own, say.` + "\n" + exitHelp,
		Example: `  bouncefeed test-bounce
  bouncefeed test-bounce no-such-user@localhost`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return &usageError{errors.New("test-bounce takes one address at most")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := a.configured(cmd)
			if err != nil {
				return err
			}
			socket, err := a.controlSocket(cmd)
			if err != nil {
				return err
			}
			t.Config, t.Socket = cfg, socket
			if len(args) == 1 {
				t.To = args[0]
			}
			var failed error
			err = t.Run(cmd.Context(), func(f agent.Finding) {
				if a.json {
					failed = errors.Join(failed, printJSON(cmd, f))
				} else {
					f.What, f.Detail = clean(f.What), clean(f.Detail)
					failed = errors.Join(failed, printFinding(cmd.OutOrStdout(), f))
				}
			})
			return errors.Join(err, failed)
		},
	}
	f := cmd.Flags()
	f.StringVar(&t.From, "from", "", "the envelope `sender` (default: one that fits senders:, else the mail server's choice)")
	f.StringVar(&t.Sendmail, "sendmail", "", "the `program` that takes mail (default: /usr/sbin/sendmail)")
	f.DurationVar(&t.Patience, "wait", time.Minute, "how long to wait for the bounce")
	return a.socketFlag(a.jsonFlag(cmd))
}
