package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"bouncefeed/internal/agent"
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

SIGHUP is ignored: 'systemctl restart bouncefeed' reads a changed configuration; nothing is lost or doubled by it.` + "\n" + exitHelp,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.run(cmd.Context(), cmd.ErrOrStderr()) },
	}
}

func (a *app) run(ctx context.Context, errs io.Writer) error {
	cfg, err := a.load()
	if err != nil {
		return &exitError{exitConfig, describe(err)} // an unreadable file too: no restart cures it
	}
	log := newLogger(errs, cfg.Log)
	daemon, err := agent.New(cfg, a.configPath, version, log)
	if err != nil {
		return err
	}
	signal.Ignore(syscall.SIGHUP)
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryAim)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectPercent)
	}
	defer agent.Notify("STOPPING=1")
	return daemon.Run(ctx, func() { agent.Notify("READY=1") })
}
