package main

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
)

func newTest(a *app) *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use:   "test",
		Short: "run the tests: of the configuration",
		Long: `Holds your rules to what you expect: each of the configuration's tests: is a line of a log, an SMTP reply or a file, with the
type, reason or recipient that is to come of it, or type: none. Nothing is read, stored or sent beside these.` + "\n" + exitHelp,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.load()
			if err != nil {
				return err
			}
			all, err := agent.Test(cmd.Context(), cfg, a.configPath, version, slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			failed := 0
			for _, r := range all {
				if !r.OK {
					failed++
				}
				if a.json {
					err = printJSON(cmd, r)
				} else {
					err = printTest(cmd, r)
				}
				if err != nil {
					return err
				}
			}
			switch {
			case failed > 0:
				return &exitError{exitFailure, fmt.Sprintf("bouncefeed: %d of %s failed", failed, plural(uint64(len(all)), "test"))}
			case len(all) == 0:
				return &exitError{exitFailure, "bouncefeed: there are no tests: in " + a.configPath}
			}
			return nil
		},
	})
}

func printTest(cmd *cobra.Command, r agent.TestResult) (err error) {
	if r.OK {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "ok      %s: %s\n", clean(r.Name), clean(r.Want))
		return err
	}
	by := ""
	if r.Rule != "" {
		by = " (rule " + r.Rule + ")"
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "FAILED  %s: %s%s, expected %s\n", clean(r.Name), clean(r.Got), clean(by), clean(r.Want))
	return err
}
