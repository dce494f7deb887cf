package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/config"
)

// What the garbage collector goes by, unless GOMEMLIMIT and GOGC are set. Little is held beside what a log's messages take
// (memory:, 16 MiB), and much passes through: it may come to twice what is held before it is collected, and to memoryAim
// bytes in all. That leaves room enough above the former that collecting does not become most of the work.
const (
	memoryAim      = 56 << 20
	collectPercent = 200
)

func newRun(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "run the daemon",
		Long: `Reads the configured inputs and ships what they say, until SIGTERM or SIGINT. systemd starts this as bouncefeed.service.

SIGHUP reads a changed configuration, as 'bouncefeed reload' does: with a mistake in it the one before stays in use.` + "\n" + exitHelp,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.run(cmd.Context(), cmd.ErrOrStderr()) },
	}
}

func (a *app) run(ctx context.Context, errs io.Writer) error {
	cfg, err := a.load()
	if err != nil {
		return &exitError{exitConfig, describe(err)} // an unreadable file too: no restart cures it
	}
	s := &agent.Service{File: a.configPath, Version: version, Load: a.load}
	s.Logger = func(c config.Log) (log *slog.Logger) {
		log, s.Level = newLeveled(errs, c)
		return log
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryAim)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectPercent)
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	go reloadAt(ctx, hup, s, newLogger(errs, cfg.Log))
	defer agent.Notify("STOPPING=1")
	return s.Run(ctx, cfg, func() { agent.Notify("READY=1") })
}

// reloadAt reloads at each signal, and tells what is wrong with the new configuration.
func reloadAt(ctx context.Context, signals <-chan os.Signal, s *agent.Service, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
		}
		if err := s.Reload(); err != nil {
			log.Error("the configuration was not reloaded, the one before stays in use", "error", strings.ReplaceAll(describe(err), "\n", "; "))
		}
	}
}
