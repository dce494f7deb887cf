package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"bouncefeed/inputs"
	"bouncefeed/internal/config"
	"bouncefeed/internal/control"
	"bouncefeed/internal/queue"
	"bouncefeed/internal/web"
	"bouncefeed/outputs"
)

// Finding is one thing that check looked at.
type Finding struct {
	What   string `json:"what"`             // "input postfix", "queue", "output listmonk"
	OK     bool   `json:"ok"`               // it works
	Detail string `json:"detail,omitempty"` // what is wrong and what mends it, or what was found
	// Line and Col are of a mistake in the configuration, from 1; 0 where it has no place.
	Line int `json:"line,omitempty"`
	Col  int `json:"col,omitempty"`
	// Warning: it works, but something beside it is better mended; Detail says what.
	Warning bool `json:"warning,omitempty"`
}

const probeTime = 20 * time.Second

// Check builds every module of cfg without any I/O. The error is a config.Errors.
func Check(cfg *config.Config, file, version string, log *slog.Logger) error {
	_, err := newPlan(cfg, file, version, log)
	return err
}

// CheckFormat says whether this version can use the queue file that cfg names. It is what `check` looks at besides the
// configuration, and what an upgrade or downgrade asks before it ends the daemon that runs.
func CheckFormat(cfg *config.Config) (wrong []Finding) {
	if err := queue.CheckFormat(cfg.Queue.Path); err != nil {
		wrong = append(wrong, Finding{What: "queue", Detail: cfg.Queue.Path + ": " + err.Error()})
	}
	return wrong
}

// IsNewer says whether the daemon ended because a newer version has written its queue: no restart cures that.
func IsNewer(err error) bool { return errors.Is(err, queue.ErrNewer) }

// CheckOnline asks the environment: can the inputs be read, can the queue be written, would the receivers take events.
// It changes nothing.
func CheckOnline(ctx context.Context, cfg *config.Config, file, version string, log *slog.Logger) ([]Finding, error) {
	p, err := newPlan(cfg, file, version, log)
	if err != nil {
		return nil, err
	}
	var found []Finding
	for _, in := range p.inputs {
		if probe, ok := in.built.Input.(inputs.Probe); ok {
			found = append(found, ask(ctx, "input "+in.name, without(probe.Probe))...)
		}
	}
	found = append(found, mailServerWarnings(ctx, p)...)
	found = append(found, hintsOf(ctx, cfg)...)
	found = append(found, ask(ctx, "queue", without(func(ctx context.Context) error { return probeQueue(ctx, cfg) }))...)
	if cfg.Web.On() {
		found = append(found, ask(ctx, ProblemWeb, without(web.New(cfg.Web, log).Probe))...)
	}
	if p.alerts != nil {
		found = append(found, ask(ctx, ProblemAlerts, p.alerts.Probe)...)
	}
	return append(found, askReceivers(ctx, p)...), nil
}

// CheckReceivers asks the receivers of a configuration that is not written yet.
func CheckReceivers(ctx context.Context, file, version string, data []byte) []Finding {
	cfg, err := config.Parse(file, data)
	var p *plan
	if err == nil {
		p, err = newPlan(cfg, file, version, slog.New(slog.DiscardHandler))
	}
	if err != nil {
		return []Finding{{What: "configuration", Detail: err.Error()}}
	}
	return askReceivers(ctx, p)
}

func askReceivers(ctx context.Context, p *plan) (found []Finding) {
	for _, out := range p.outputs {
		if probe, ok := out.built.Output.(outputs.Probe); ok {
			found = append(found, ask(ctx, "output "+out.name, probe.Probe)...)
		}
	}
	return found
}

func without(f func(context.Context) error) func(context.Context) ([]string, error) {
	return func(ctx context.Context) ([]string, error) { return nil, f(ctx) }
}

// ask lets f look at something, and gives what it told.
func ask(ctx context.Context, what string, f func(context.Context) ([]string, error)) (found []Finding) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	var told []string
	err := guarded(ctx, func(ctx context.Context) (err error) { told, err = f(ctx); return err })
	for _, one := range told {
		found = append(found, Finding{What: what, OK: true, Detail: one})
	}
	if err != nil {
		return append(found, Finding{What: what, Detail: err.Error()})
	}
	if len(told) == 0 {
		found = append(found, Finding{What: what, OK: true})
	}
	return found
}

// hintsOf asks the daemon, if it runs, what it has seen that its settings may lack.
func hintsOf(ctx context.Context, cfg *config.Config) (found []Finding) {
	st, err := Calls.Status.Ask(ctx, cfg.Control.Socket, control.None{}, nil)
	if err != nil {
		return nil // probeQueue says whether it should run
	}
	for _, in := range st.Inputs {
		for _, hint := range in.Hints {
			found = append(found, Finding{What: "input " + in.Name, OK: true, Warning: true, Detail: hint})
		}
	}
	return found
}

// probeQueue says whether the daemon could keep its queue: it runs and does, or the place can be written.
func probeQueue(ctx context.Context, cfg *config.Config) error {
	if running(ctx, cfg) {
		return nil
	}
	dir := filepath.Dir(cfg.Queue.Path)
	for {
		info, err := os.Stat(dir)
		if errors.Is(err, os.ErrNotExist) && dir != filepath.Dir(dir) {
			dir = filepath.Dir(dir) // it is made on the first start
			continue
		}
		if err != nil {
			return fmt.Errorf("queue directory: %w", err)
		}
		if !info.IsDir() {
			return fmt.Errorf("%s is no directory: queue.path must lie in one", dir)
		}
		break
	}
	if info, err := os.Lstat(cfg.Queue.Path); err == nil && info.Mode().Type() == os.ModeSymlink {
		return fmt.Errorf("%s is a symlink, which is not followed: name the file itself in queue.path", cfg.Queue.Path)
	}
	// Root makes no file in a directory of the service's.
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("the queue can't be written: %w: run the check as the daemon's user (sudo -u bouncefeed), or mend the owner of %s", err, dir)
	}
	return nil
}

func running(ctx context.Context, cfg *config.Config) bool {
	return Calls.Status.Do(ctx, cfg.Control.Socket, control.None{}, nil) == nil
}
