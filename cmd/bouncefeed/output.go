package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/config"
	"bouncefeed/internal/control"
)

func newOutput(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "output", Short: "have an output wait, or go on",
		Long: `While an output is paused the daemon reads on and keeps what it has for it in the queue; other outputs are not concerned. It stays
paused over restarts until it is told to go on, and 'bouncefeed status' says so, with exit code 1.` + "\n" + exitHelp,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	add := func(use, short, done string, call control.Call[string, control.None]) {
		cmd.AddCommand(a.socketFlag(&cobra.Command{
			Use: use + " OUTPUT", Short: short, Args: oneArg,
			ValidArgsFunction: func(cmd *cobra.Command, given []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
				all := a.names(cmd, func(c *config.Config) config.Map[config.Section] { return c.Outputs })
				return slices.DeleteFunc(all, func(string) bool { return len(given) > 0 }), cobra.ShellCompDirectiveNoFileComp
			},
			RunE: func(cmd *cobra.Command, args []string) error {
				socket, err := a.controlSocket(cmd)
				if err != nil {
					return err
				}
				if err := call.Do(cmd.Context(), socket, args[0], nil); err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", args[0], done)
				return err
			},
		}))
	}
	add("pause", "send nothing to it any more", "is paused; what is being sent may still arrive", agent.Calls.OutputPause)
	add("continue", "go on where it was paused", "goes on", agent.Calls.OutputContinue)
	return cmd
}
