package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
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
("|bouncefeed deliver"), Postfix's and Exim's pipe transports, and Sieve. It runs as a user that may use the control
socket: a member of group bouncefeed.

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
			socket, err := a.controlSocket(cmd)
			if err != nil {
				return temporary(err)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), deliverTime)
			defer cancel()
			err = agent.Calls.Deliver.Do(ctx, socket, agent.DeliverArgs{Input: input}, message)
			if errors.Is(err, context.DeadlineExceeded) {
				err = fmt.Errorf("not stored within %v: is the queue full?", deliverTime)
			}
			return temporary(err)
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return &exitError{exitDeliverUsage, "bouncefeed: " + err.Error() + " (see 'bouncefeed deliver --help')"}
	})
	cmd.Flags().StringVar(&input, "input", "", "the `name` of the input, where several have type: pipe")
	return a.socketFlag(cmd)
}

// temporary asks the mail server to keep the message.
func temporary(err error) error {
	if err == nil {
		return nil
	}
	return &exitError{exitTemporary, "bouncefeed: " + err.Error()}
}
