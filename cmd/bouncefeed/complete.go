package main

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/config"
	"bouncefeed/internal/control"
	"bouncefeed/internal/event"
)

// completeFlags has shells complete the values of flags that every command means alike.
func (a *app) completeFlags(cmd *cobra.Command) {
	for flag, values := range map[string]func(*cobra.Command) []string{
		"as":        formats,
		"trust":     fixed("proof", "any"),
		"container": fixed("json-file", "compose"),
		"type":      fixed("hard", "soft", "complaint"),
		"reason":    func(*cobra.Command) []string { return reasons() },
		"input": func(cmd *cobra.Command) []string {
			return a.names(cmd, func(c *config.Config) config.Map[config.Section] { return c.Inputs })
		},
		"output": func(cmd *cobra.Command) []string {
			return a.names(cmd, func(c *config.Config) config.Map[config.Section] { return c.Outputs })
		},
	} {
		if cmd.Flags().Lookup(flag) == nil || cmd.Name() == "support" {
			continue
		}
		cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			return values(cmd), cobra.ShellCompDirectiveNoFileComp
		})
	}
}

func (a *app) completeAll(cmd *cobra.Command) {
	a.completeFlags(cmd)
	for _, sub := range cmd.Commands() {
		a.completeAll(sub)
	}
}

func fixed(values ...string) func(*cobra.Command) []string {
	return func(*cobra.Command) []string { return values }
}

func formats(cmd *cobra.Command) []string {
	if cmd.Name() == "backfill" {
		return append([]string{agent.AsAuto}, agent.BackfillFormats()...)
	}
	return append(append([]string{agent.AsAuto}, agent.Formats()...), "reply")
}

func reasons() (all []string) {
	for _, r := range event.Reasons() {
		all = append(all, string(r))
	}
	return all
}

// names are those of the configured modules.
func (a *app) names(cmd *cobra.Command, of func(*config.Config) config.Map[config.Section]) (all []string) {
	cfg, _ := a.loadIfThere(cmd)
	if cfg == nil {
		return nil
	}
	for _, m := range of(cfg) {
		all = append(all, m.Name)
	}
	return all
}

// numbersOf completes the numbers of what which names, with whom each is about.
func numbersOf[A, T any](a *app, call control.Call[A, T], which A, number, about func(T) string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, given []string, _ string) (all []cobra.Completion, _ cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Second)
		defer cancel()
		socket, err := a.controlSocket(cmd)
		if err == nil {
			call.Each(ctx, socket, which, nil, func(v T, _ json.RawMessage) error {
				if n := number(v); !slices.Contains(given, n) {
					all = append(all, cobra.CompletionWithDesc(n, about(v)))
				}
				return nil
			})
		}
		return all, cobra.ShellCompDirectiveNoFileComp
	}
}
