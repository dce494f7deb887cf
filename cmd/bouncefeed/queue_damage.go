package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/control"
)

func newQueueAcknowledge(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "acknowledge", Short: "take note of damage to the queue's file: status reminds of it until then", Args: noArgs,
		Long: `A damaged file is mended when it is opened: what can be read is kept, what can't is counted. 'bouncefeed status' shows that as a
PROBLEM until this command, which changes nothing else. The damaged file stays where it says: it is yours to delete.` + "\n" + exitHelp,
		RunE: func(cmd *cobra.Command, _ []string) error { return acknowledgeDamage(a, cmd) },
	}
	return a.socketFlag(a.jsonFlag(cmd))
}

func acknowledgeDamage(a *app, cmd *cobra.Command) error {
	n := 0
	err := eachStored(a, cmd, agent.Calls.Acknowledge, control.None{}, func(d agent.Damage, raw json.RawMessage) error {
		n++
		if a.json {
			return printRaw(cmd, raw)
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "acknowledged: %s, %s; kept as %s\n", d.Time.Local().Format(time.RFC3339), clean(d.Cause), clean(d.Aside))
		return err
	})
	if err == nil && n == 0 && !a.json {
		fmt.Fprintln(cmd.ErrOrStderr(), "there is no damage to take note of")
	}
	return err
}
