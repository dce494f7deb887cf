package agent

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"

	"bouncefeed/internal/config"
	"bouncefeed/internal/control"
	"bouncefeed/outputs"
)

// answerPause has an output wait, or go on.
func (a *Agent) answerPause(said string, do func(output string) error) func(context.Context, string, io.Reader, func(control.None) error) error {
	return func(_ context.Context, name string, _ io.Reader, _ func(control.None) error) error {
		if err := do(name); err != nil {
			return err
		}
		a.log.Info(said, "output", name)
		return nil
	}
}

// checkNamedInputs tells of inputs that an output names and that are not there.
func checkNamedInputs(cfg *config.Config, out config.Section, names []string) error {
	var errs []error
	for i, name := range names {
		if name != config.Backfill && !slices.ContainsFunc(cfg.Inputs, func(in config.Named[config.Section]) bool { return in.Name == name }) {
			errs = append(errs, out.Errorf(fmt.Sprintf("inputs[%d]", i), "there is no input %q", name))
		}
	}
	return config.Join("", errs...)
}

// fromOldest names the outputs that begin with the oldest event if they are new.
func fromOldest(cfg *config.Config) (names []string) {
	for _, out := range cfg.Outputs {
		built, err := outputs.Modules.Build(config.Env{Name: out.Name, Host: cfg.Host, Log: slog.New(slog.DiscardHandler)}, out.Value)
		if err == nil && built.Settings.FromOldest() { // who has mistakes in it learns of them elsewhere
			names = append(names, out.Name)
		}
	}
	return names
}

func outputNames(cfg *config.Config) []string {
	names := make([]string, len(cfg.Outputs))
	for i, out := range cfg.Outputs {
		names[i] = out.Name
	}
	return names
}
