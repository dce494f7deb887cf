package main

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/config"
)

func newDemo(a *app) *cobra.Command {
	var verbose, page bool
	var listen string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "show on a sample mail log what would be reported, and what not, and why",
		Long: `Writes a sample mail log into a temporary folder, runs the real daemon over it, delivers to a receiver of its own on
loopback and shows what arrived there and what did not. It needs no rights and no configuration, and leaves nothing
behind. The exit code is 0 only if everything was as it should be.

With --page it has the daemon read two months of a made-up mail server's log, in which a big provider blocks the mail since a
week, another puts it off and some have mistyped their addresses, and serves the page about it, until Ctrl-C.` + "\n" + exitHelp,
		Example: "  bouncefeed demo\n  bouncefeed demo --page",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log := slog.New(slog.DiscardHandler)
			if verbose {
				log = newLogger(cmd.ErrOrStderr(), config.Log{Level: "debug", Format: "text"})
			}
			if page {
				return agent.DemoPage(cmd.Context(), version, listen, log, func(url string) {
					fmt.Fprintf(cmd.OutOrStdout(), "The page, over two months of a made-up mail server: %s\nCtrl-C ends it.\n", url)
				})
			}
			rows, strangers, made, err := agent.Demo(cmd.Context(), version, log)
			if err != nil {
				return err
			}
			if err := a.printDemo(cmd, rows, strangers, verbose); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "\nWhat 'bouncefeed report' says of the same log; a larger one in a browser: 'bouncefeed demo --page'.\n\n")
			return a.printReport(cmd, made, &reportForm{by: "provider"})
		},
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "show the daemon's log and the posts too")
	cmd.Flags().BoolVar(&page, "page", false, "serve the page over two months of a made-up mail server, until Ctrl-C")
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "where --page serves: `ADDRESS:PORT`, port 0 is any that is free")
	return cmd
}

func (a *app) printDemo(cmd *cobra.Command, rows []agent.DemoRow, strangers []agent.DemoPost, verbose bool) error {
	t := newTable(cmd)
	fmt.Fprintln(t, "RECIPIENT\tTHE MAIL SERVER SAID\tREPORTED\tWHY")
	wrong := len(strangers)
	for _, r := range rows {
		reported, why := "-", r.Why
		if len(r.Got) > 0 {
			reported, why = r.Got[0].Type, r.Got[0].Reason
		}
		if !r.Right() {
			wrong++
			reported = fmt.Sprintf("%s (WRONG, %d posts, wanted %q)", reported, len(r.Got), r.Want)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", r.Recipient, r.Said, reported, why)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if verbose {
		for _, r := range rows {
			for _, p := range r.Got {
				fmt.Fprintf(out, "POST /webhooks/bounce %s\n", p.Body)
			}
		}
	}
	for _, p := range strangers {
		fmt.Fprintf(out, "WRONG, posted for nobody in the list: %s\n", p.Body)
	}
	if wrong > 0 {
		return &exitError{exitFailure, fmt.Sprintf("bouncefeed: %d of %d are not as they should be", wrong, len(rows))}
	}
	fmt.Fprintf(out, "\nAll as it should be. Next: /etc/bouncefeed/config.yaml, then 'bouncefeed check --online'.\n")
	return nil
}
