package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
)

func newInit(a *app) *cobra.Command {
	var url, username, passwordFile string
	cmd := &cobra.Command{
		Use:   "init",
		Short: "print a configuration for this machine",
		Long: `Looks which mail servers are installed here and whether they log to a file or to the journal only, and prints a
configuration for them. It changes nothing.` + "\n" + exitHelp,
		Example: `  bouncefeed init --url https://lists.example.com/webhooks/bounce > /etc/bouncefeed/config.yaml`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			found := agent.Look(os.DirFS("/"), time.Now())
			if a.json {
				return printJSON(cmd, found)
			}
			if len(found) == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "no mail server was found on this machine")
			}
			_, err := cmd.OutOrStdout().Write(agent.Draft(found, url, username, passwordFile))
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&url, "url", "https://lists.example.com/webhooks/bounce", "listmonk's bounce `webhook`")
	f.StringVar(&username, "username", "bouncefeed", "listmonk's API `user`")
	f.StringVar(&passwordFile, "password-file", "/etc/bouncefeed/listmonk.token", "the `file` that holds the API user's token")
	return a.jsonFlag(cmd)
}
