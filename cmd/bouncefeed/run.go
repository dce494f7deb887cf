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

// memoryAim is what the garbage collector tries to stay below while a backlog is read, in bytes.
const memoryAim = 48 << 20

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
	defer agent.Notify("STOPPING=1")
	return daemon.Run(ctx, func() { agent.Notify("READY=1") })
}
