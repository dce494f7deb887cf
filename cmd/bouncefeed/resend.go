package main

import (
	"time"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
)

func newResend(a *app) *cobra.Command {
	var since time.Duration
	var output string
	cmd := &cobra.Command{
		Use:   "resend --since DURATION",
		Short: "post once more what a receiver has answered for and lost",
		Long: `For a listmonk whose bounces the daemon may not read back: it answers before it has stored a bounce, and a crash loses what it
held. What it did store is counted twice then. Of every output as much is there as its keep: says; what was posted before
the daemon started counts as posted at that time.` + "\n" + exitHelp,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return countEvents(a, cmd, agent.Calls.Resend, agent.ResendArgs{Since: time.Now().Add(-since), Output: output}, "queued to be posted again")
		},
	}
	cmd.Flags().DurationVar(&since, "since", 0, "what was posted in the last `duration`, like 10m")
	cmd.Flags().StringVar(&output, "output", "", "only those of this `output`; default: of all")
	if err := cmd.MarkFlagRequired("since"); err != nil {
		panic(err)
	}
	return a.socketFlag(a.jsonFlag(cmd))
}
