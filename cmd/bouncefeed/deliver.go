package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/control"
)

// What a mail server understands of an exit code (sysexits.h). It keeps the message for later at exitTemporary, and
// returns or drops it at anything else but 0.
const (
	exitDeliverUsage = 64 // EX_USAGE
	exitNoMessage    = 65 // EX_DATAERR
	exitTemporary    = 75 // EX_TEMPFAIL

	deliverTime = time.Minute
)

func newDeliver(a *app) *cobra.Command {
	var input string
	cmd := &cobra.Command{
		Use:   "deliver",
		Short: "take one message from a mail server's pipe",
		Long: `Reads one message on standard input and hands it to the running daemon, for an input with type: pipe. For aliases
("|bouncefeed deliver"), Postfix's and Exim's pipe transports, and Sieve. It may run as any user that the configuration's
deliver: lets in, by default everybody; its socket takes messages and nothing else.

Exit codes, as mail servers understand them: 0 it is stored, 64 wrong usage, 65 there was no message, 75 it can't be
stored now: keep it and try again.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return &exitError{exitDeliverUsage, fmt.Sprintf("bouncefeed: deliver takes no argument %q: the message comes on standard input", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			message := bufio.NewReader(cmd.InOrStdin())
			if _, err := message.Peek(1); err == io.EOF {
				return &exitError{exitNoMessage, "bouncefeed: there was no message on standard input"}
			}
			cfg, err := a.configured(cmd)
			if err != nil {
				return temporary(err)
			}
			socket := cmp.Or(a.socket, cfg.Deliver.Socket)
			ctx, cancel := context.WithTimeout(cmd.Context(), deliverTime)
			defer cancel()
			err = agent.Calls.Deliver.Do(ctx, socket, agent.DeliverArgs{Input: input}, io.LimitReader(message, agent.MaxDelivered))
			switch {
			case errors.Is(err, context.DeadlineExceeded):
				err = fmt.Errorf("not stored within %v: is the queue full?", deliverTime)
			case errors.Is(err, control.ErrNotRunning):
				err = fmt.Errorf("%w, with an input that has type: pipe", err)
			case errors.Is(err, control.ErrNoAccess):
				err = fmt.Errorf("%w, or let this user in: deliver: in the configuration has a mode and a group", err)
			case err == nil: // it is stored; a mail server that can't write all of it might think otherwise
				io.Copy(io.Discard, message)
			}
			return temporary(err)
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return &exitError{exitDeliverUsage, "bouncefeed: " + err.Error() + " (see 'bouncefeed deliver --help')"}
	})
	cmd.Flags().StringVar(&input, "input", "", "the `name` of the input, where several have type: pipe")
	cmd.Flags().StringVar(&a.socket, "socket", "", "the daemon's `socket` (default: as configured)")
	return cmd
}

// temporary asks the mail server to keep the message.
func temporary(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{exitTemporary, "bouncefeed: " + err.Error()}
}
