package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"bouncefeed/inputs"
	"bouncefeed/internal/web"
)

// newWeb is the listener with all that it serves; nil if the configuration wants none.
func (a *Agent) newWeb() *web.Server {
	if !a.config.Web.On() {
		return nil
	}
	s := web.New(a.config.Web, a.log.With("listener", ProblemWeb))
	s.HandleOpen("GET /live", probe(a.Alive))
	s.HandleOpen("GET /ready", probe(a.Ready))
	s.Handle("GET /metrics", http.HandlerFunc(a.serveMetrics))
	a.servePage(s, a.report)
	return s
}

// serveWeb serves until ctx ends. That somebody can't look on is a problem, and no reason to carry no bounces.
func (a *Agent) serveWeb(ctx context.Context) error {
	log := a.log.With("listener", ProblemWeb)
	return supervise(ctx, log, &a.webState, isFatal, func(ctx context.Context) error {
		return a.web.Run(ctx, func() {
			a.webState.succeed()
			log.Info("serving", "at", strings.Join(a.config.Web.Listen, ", "))
		})
	})
}

// probe answers with a status alone: why, `bouncefeed status` says to whom it is to be told.
func probe(ask func() error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if err := ask(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, "no: 'bouncefeed status' says why\n")
			return
		}
		io.WriteString(w, "yes\n")
	})
}

// Ready says what keeps the daemon from taking in what comes: a source that is not open, or a queue that takes no writes.
// A receiver that is away does not: its events wait.
func (a *Agent) Ready() error {
	st, err := a.Status()
	if err != nil {
		return fmt.Errorf("ask the queue: %w", err)
	}
	return a.readyWith(&st)
}

func (a *Agent) readyWith(st *Status) error {
	if !a.running.Load() {
		return errors.New("starting")
	}
	if err := a.Alive(); err != nil {
		return err
	}
	if st.Queue.Full {
		return errors.New("the queue is full")
	}
	if problem, _, _ := a.maintenance.report(); problem != "" {
		return fmt.Errorf("queue maintenance: %s", problem)
	}
	for i, in := range st.Inputs {
		if o, ok := a.inputs[i].built.Input.(inputs.Opener); in.Problem == "" && ok && !o.IsOpen() {
			in.Problem = "it is not open yet"
		}
		if in.Problem != "" {
			return fmt.Errorf("input %s: %s", in.Name, in.Problem)
		}
	}
	return nil
}
