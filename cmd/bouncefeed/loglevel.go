package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
)

func newLog(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "log", Short: "change how much the running daemon logs", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.socketFlag(a.jsonFlag(&cobra.Command{
		Use:   "level [debug|info|warn|error]",
		Short: "show or set from which level on it logs",
		Long: `Holds until the daemon is started again; log: in the configuration says what holds then. At level debug the log has mail
addresses.` + "\n" + exitHelp,
		Args:      cobra.MaximumNArgs(1),
		ValidArgs: []string{"debug", "info", "warn", "error"},
		RunE: func(cmd *cobra.Command, args []string) error {
			socket, err := a.controlSocket(cmd)
			if err != nil {
				return err
			}
			to := ""
			if len(args) > 0 {
				to = args[0]
			}
			level, err := agent.Calls.LogLevel.Ask(cmd.Context(), socket, to, nil)
			if err != nil {
				return err
			}
			if a.json {
				return printJSON(cmd, map[string]string{"level": level})
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), level)
			return err
		},
	})))
	return cmd
}
