package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/control"
)

func newReload(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "have the daemon read its configuration anew",
		Long: `Checks the configuration, and if it has no mistake has the running daemon use it: everything in it, without losing a
line. With a mistake nothing changes. What the systemd unit gives (user, groups, LoadCredential, ReadWritePaths) needs
'systemctl restart bouncefeed'. 'systemctl reload bouncefeed' does this.` + "\n" + exitHelp,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.reload(cmd) },
	}
	return a.socketFlag(cmd)
}

// reloadTime is how long the daemon may take to end what it does and start anew.
const reloadTime = time.Minute

func (a *app) reload(cmd *cobra.Command) error {
	if _, err := a.load(); err != nil {
		return err
	}
	socket, err := a.controlSocket(cmd)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), reloadTime)
	defer cancel()
	before, err := agent.Calls.Status.Ask(ctx, socket, control.None{}, nil)
	if err != nil {
		return err
	}
	if err := agent.Calls.Reload.Do(ctx, socket, control.None{}, nil); err != nil {
		return err
	}
	for {
		now, err := agent.Calls.Status.Ask(ctx, socket, control.None{}, nil)
		switch {
		case err == nil && now.Since.After(before.Since):
			for _, p := range now.Problems {
				if p.What == agent.ProblemConfiguration {
					return &exitError{exitFailure, "bouncefeed: " + p.Text}
				}
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "reloaded: %d inputs, %d outputs\n", len(now.Inputs), len(now.Outputs))
			return err
		case ctx.Err() != nil:
			return fmt.Errorf("the daemon has not come back within %s: look at journalctl -u bouncefeed", reloadTime)
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}
