package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/control"
)

func newTail(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "watch events as they are found and sent",
		Long: `Shows every event from now on: when an input found it (queued, repeat, held) and what came of it at an output (sent,
not_sent, dead). It ends with Ctrl-C and never slows the daemon down.` + "\n" + exitHelp,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			socket, err := a.controlSocket(cmd)
			if err != nil {
				return err
			}
			err = agent.Calls.Tail.Each(cmd.Context(), socket, control.None{}, nil, func(l agent.Line, raw json.RawMessage) error {
				if a.json {
					return printRaw(cmd, raw)
				}
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %-8s %-12s %-9s %-18s %s %s\n", time.Now().Format(time.TimeOnly), l.Outcome, l.Module, l.Event.Type, l.Event.Reason, clean(l.Event.Recipient), clean(short(l.Event.Diagnostic, 80)))
				return err
			})
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		},
	}
	return a.socketFlag(a.jsonFlag(cmd))
}
