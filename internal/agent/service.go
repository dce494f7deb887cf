package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"bouncefeed/internal/config"
)

// Service runs one Agent after another, a new one for each changed configuration. Between two of them nothing is lost:
// the first ends as at a shutdown, the next goes on at its checkpoints.
type Service struct {
	File, Version string
	Load          func() (*config.Config, error) // reads and checks File; the error has every mistake
	Logger        func(config.Log) *slog.Logger
	Level         *slog.LevelVar // of what Logger gave last, if it may be changed while that is used

	mu   sync.Mutex
	now  *Agent
	stop context.CancelFunc // of now
	next *config.Config     // what is to run when now has ended
}

// Run runs cfg, and what is loaded later, until ctx ends or an Agent breaks. ready is called whenever one has started.
// A configuration with which none starts gives way to the one before.
func (s *Service) Run(ctx context.Context, cfg *config.Config, ready func()) error {
	var before *config.Config
	problem := ""
	for {
		log := s.Logger(cfg.Log)
		began, err := s.runOne(ctx, cfg, log, problem, ready)
		next := s.take()
		switch {
		case ctx.Err() != nil:
			return err
		case err != nil && !began && before != nil:
			log.Error("nothing starts with the changed configuration: going back to the one before", "error", err)
			problem = fmt.Sprintf("the changed configuration does not work, the one before is in use: %v", err)
			cfg, before = before, nil
		case err == nil && next != nil:
			cfg, before, problem = next, cfg, ""
		default:
			return err
		}
	}
}

func (s *Service) runOne(ctx context.Context, cfg *config.Config, log *slog.Logger, problem string, ready func()) (began bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a, err := New(cfg, s.File, s.Version, log)
	if err != nil {
		return false, err
	}
	a.reload, a.problem, a.Level = s.Reload, problem, s.Level
	s.mu.Lock()
	s.stop = cancel
	s.mu.Unlock()
	err = a.Run(ctx, func() {
		began = true
		s.mu.Lock()
		s.now = a
		s.mu.Unlock()
		ready()
	})
	return began, err
}

// take gives what is to run next; nil: nothing. Nobody runs meanwhile.
func (s *Service) take() *config.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.next
	s.now, s.stop, s.next = nil, nil, nil
	return next
}

// replyFirst is the time in which who asked for a reload has his answer, before the socket that it comes by is closed.
const replyFirst = 200 * time.Millisecond

// Reload reads the file anew. An error: it has mistakes, and nothing changes. nil: it is in use in a moment.
func (s *Service) Reload() error {
	cfg, err := s.Load()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil {
		return errors.New("busy starting: try again in a moment")
	}
	s.next = cfg
	Notify(reloading())
	time.AfterFunc(replyFirst, s.stop)
	return nil
}

// reloading is what systemd wants to know of it (sd_notify(3)).
func reloading() string {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", t.Nano()/1000)
}
