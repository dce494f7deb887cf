// Package control is the unix socket between the daemon and the other subcommands: a call has a name, arguments and
// perhaps a body, and is answered by a stream of JSON values. What the calls mean is the agent's.
//
// It is HTTP: POST /NAME?args=JSON. The answer is a line of JSON for each value, {"value":…}, then {"end":true}, with
// "error" if it failed. Beside the calls /debug/pprof/ has the profiles of net/http/pprof.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"path/filepath"
	"strings"
	"time"

	"bouncefeed/internal/disk"
)

// ErrNotRunning says that nobody listens on the socket.
var ErrNotRunning = errors.New("bouncefeed is not running")

// line is one line of the stream: a value, or the error that ended it, or the end.
type line struct {
	Value json.RawMessage `json:"value,omitempty"`
	Error string          `json:"error,omitempty"`
	End   bool            `json:"end,omitempty"`
}

// Listen opens the socket at path, mode 0660. A socket that a killed daemon left behind is replaced, one that answers
// is not.
func Listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l, err := disk.Listen(path, 0o660)
	switch {
	case errors.Is(err, disk.ErrAnswers):
		return nil, fmt.Errorf("control socket %s: another bouncefeed answers there", path)
	case err != nil:
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return l, nil
}

// Serve answers calls on l until ctx ends, then closes it.
func Serve(ctx context.Context, l net.Listener, answers []Answer) error {
	byName := map[string]Answer{}
	for _, a := range answers {
		byName[a.name] = a
	}
	server := &http.Server{
		Handler:           handler(byName),
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}

func handler(answers map[string]Answer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { serve(w, r, answers) })
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

func serve(w http.ResponseWriter, r *http.Request, answers map[string]Answer) {
	answer, ok := answers[strings.TrimPrefix(r.URL.Path, "/")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	enc := json.NewEncoder(w)
	err := answer.give(r.Context(), r.URL.Query().Get("args"), r.Body, func(v any) error {
		raw, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if err := enc.Encode(line{Value: raw}); err != nil {
			return err
		}
		return http.NewResponseController(w).Flush()
	})
	last := line{End: true}
	if err != nil {
		last.Error = err.Error()
	}
	enc.Encode(last)
}
