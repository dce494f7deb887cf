package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/config"
)

func newCheck(a *app) *cobra.Command {
	var online bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "check the configuration and, with --online, the environment",
		Long: `Reads the configuration and names every mistake with file:line:column and its remedy, and tells the URL of every
webhook, to paste into the provider's settings, and whom a log is believed from. With --online it also asks the
environment: can the inputs be read, can the queue be written, would the receivers take events, does the mail server's
setup spoil what is read. As root it does so with the rights and in the sandbox of bouncefeed.service. It changes nothing and
sends no event but one about nobody, by which listmonk shows whether it processes any.` + "\n" + exitHelp,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.check(cmd, online) },
	}
	cmd.Flags().BoolVar(&online, "online", false, "also ask the environment: files, queue, receivers")
	return a.jsonFlag(cmd)
}

func (a *app) check(cmd *cobra.Command, online bool) error {
	if online {
		if done, err := a.checkAsService(cmd); done {
			return err
		}
	}
	cfg, err := a.load()
	if err != nil {
		return a.mistakes(cmd, err)
	}
	notes, err := agent.Notes(cmd.Context(), cfg, a.configPath, version, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	found := append([]agent.Finding{{What: "configuration " + a.configPath, OK: true}}, notes...)
	found = append(found, agent.CheckFormat(cfg)...)
	if online {
		asked, err := agent.CheckOnline(cmd.Context(), cfg, a.configPath, version, slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		found = append(found, asked...)
	}
	wrong := 0
	for _, f := range found {
		if !f.OK {
			wrong++
		}
		if a.json {
			err = printJSON(cmd, f)
		} else {
			err = printFinding(cmd.OutOrStdout(), f)
		}
		if err != nil {
			return err
		}
	}
	if wrong > 0 {
		return &exitError{exitFailure, fmt.Sprintf("bouncefeed: %d of %d checks went wrong", wrong, len(found))}
	}
	return nil
}

func printFinding(w io.Writer, f agent.Finding) error {
	word := "ok    "
	switch {
	case !f.OK:
		word = "WRONG "
	case f.Warning:
		word = "warn  "
	}
	line := word + " " + f.What
	if f.Detail != "" {
		line += ": " + f.Detail
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// mistakes prints them as JSON where that was asked for.
func (a *app) mistakes(cmd *cobra.Command, err error) error {
	errs, ok := errors.AsType[config.Errors](err)
	if !a.json || !ok {
		return err
	}
	for _, e := range errs {
		if err := printJSON(cmd, agent.Finding{What: "configuration " + e.File, Detail: e.Message, Line: e.Line, Col: e.Col}); err != nil {
			return err
		}
	}
	return &exitError{exitConfig, fmt.Sprintf("bouncefeed: %d mistakes in the configuration", len(errs))}
}
