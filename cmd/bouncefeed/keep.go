package main

import (
	"os"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/config"
)

// newKeep is how a command that root runs opens the service's queue: in a process of the service's user.
func newKeep() *cobra.Command {
	return &cobra.Command{
		Use:    agent.KeeperCommand,
		Short:  "hold the queue for a command of root's",
		Hidden: true,
		Args:   noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return agent.Keep(cmd.Context(), cmd.InOrStdin(), os.NewFile(3, "socket"), newLogger(cmd.ErrOrStderr(), config.Log{Level: "warn", Format: "text"}))
		},
	}
}
