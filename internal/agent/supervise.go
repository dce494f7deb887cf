package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"time"
)

// Waiting times between attempts: doubled from first to last, each shortened or prolonged by up to half.
const (
	backoffFirst = time.Second
	backoffLast  = time.Minute
)

// backoff counts failures in a row.
type backoff struct{ failures int }

// next is how long to wait after one more failure.
func (b *backoff) next() time.Duration {
	d := backoffLast
	if b.failures < 10 {
		d = min(backoffFirst<<b.failures, backoffLast)
	}
	b.failures++
	return d/2 + rand.N(d)
}

// wait returns after d, or at once with false when ctx ends.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// supervise runs f again and again until ctx ends or f's error is fatal. Each kind of failure is
// logged once, and that it is over.
func supervise(ctx context.Context, log *slog.Logger, state *condition, fatal func(error) bool, f func(context.Context) error) error {
	var b backoff
	for {
		started := time.Now()
		err := guarded(ctx, f)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			err = errors.New("ended by itself")
		}
		if fatal(err) {
			return err
		}
		if errors.Is(err, errForgotten) {
			continue
		}
		if time.Since(started) > backoffLast {
			b = backoff{}
		}
		if state.fail(err) {
			log.Warn("stopped, trying again until it works", "error", err)
		}
		if !wait(ctx, b.next()) {
			return nil
		}
	}
}

// guarded turns a panic of a module into an error: one broken module must not take the others down.
func guarded(ctx context.Context, f func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return f(ctx)
}
