// Package control is the unix socket between the daemon and the other subcommands: a call has a name, arguments and
// perhaps a body, and is answered by a stream of JSON values. What the calls mean is the agent's.
//
// It is HTTP: POST /NAME?args=JSON. The answer is a line of JSON for each value, {"value":…}, then {"end":true}, with
// "error" if it failed; or 403 with the reason, to a caller without the right. Who calls is asked of the kernel
// (SO_PEERCRED, unix(7)). Beside the calls of Serve /debug/pprof/ has the profiles of net/http/pprof.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"bouncefeed/internal/disk"
)

var (
	// ErrNotRunning says that nobody listens on the socket.
	ErrNotRunning = errors.New("bouncefeed is not running")
	// ErrNoAccess says that this user may not open the socket, or not make that call.
	ErrNoAccess = errors.New("no access")
)

// line is one line of the stream: a value, or the error that ended it, or the end.
type line struct {
	Value json.RawMessage `json:"value,omitempty"`
	Error string          `json:"error,omitempty"`
	End   bool            `json:"end,omitempty"`
}

// Listen opens the socket at path for root and the daemon's user, and for group, empty: the daemon's own; mode says
// what these may do. A socket that a killed daemon left behind is replaced, one that answers is not.
func Listen(path string, mode fs.FileMode, group string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	l, err := disk.Listen(path, 0o600)
	switch {
	case errors.Is(err, disk.ErrAnswers):
		return nil, fmt.Errorf("control socket %s: another bouncefeed answers there", path)
	case err != nil:
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := errors.Join(giveTo(path, group), os.Chmod(path, mode)); err != nil {
		l.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return l, nil
}

func giveTo(path, group string) error {
	if group == "" {
		return nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		return err
	}
	err = os.Lchown(path, -1, gid)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: only a member may give it to group %s: systemctl edit bouncefeed, [Service] SupplementaryGroups=%s and SystemCallFilter=@chown", err, group, group)
	}
	return err
}

// How many calls of one listener that have a body are answered at a time, so that their memory is bounded: of all users,
// and of one, so that a user who lets his bodies dawdle is in nobody else's way.
const (
	maxAtOnce  = 32
	maxForUser = 4
)

// bodyTime is how long a body may take to arrive.
const bodyTime = time.Minute

// Serve answers calls on l until ctx ends, then closes it. For the owner it has the profiles, too.
func Serve(ctx context.Context, l net.Listener, answers []Answer) error {
	return newServer(answers, http.HandlerFunc(profile)).run(ctx, l)
}

// ServePublic is Serve for a socket that strangers may open: it has nothing beside answers.
func ServePublic(ctx context.Context, l net.Listener, answers []Answer) error {
	return newServer(answers, http.NotFoundHandler()).run(ctx, l)
}

type server struct {
	answers map[string]Answer
	other   http.Handler  // of what is no call
	bodies  chan struct{} // a token for each call with a body

	mu    sync.Mutex
	users map[int]chan struct{} // the same, of each user
}

func newServer(answers []Answer, other http.Handler) *server {
	s := &server{answers: map[string]Answer{}, other: other, bodies: make(chan struct{}, maxAtOnce), users: map[int]chan struct{}{}}
	for _, a := range answers {
		s.answers[a.name] = a
	}
	return s
}

func (s *server) run(ctx context.Context, l net.Listener) error {
	h := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       withCaller,
	}
	stop := context.AfterFunc(ctx, func() { h.Close() })
	defer stop()
	if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}

// ServeHTTP makes sure of the caller's right and of the body's bounds.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, ok := s.answers[strings.TrimPrefix(r.URL.Path, "/")]
	if !ok {
		s.other.ServeHTTP(w, r)
		return
	}
	if err := permit(r.Context(), answer.name, answer.right); err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, answer.body)
	if answer.body > 0 {
		for _, tokens := range []chan struct{}{s.tokensOf(r.Context()), s.bodies} {
			select {
			case tokens <- struct{}{}:
				defer func() { <-tokens }()
			case <-r.Context().Done():
				return
			}
		}
		deadline := http.NewResponseController(w)
		deadline.SetReadDeadline(time.Now().Add(bodyTime))
		r.Body = &timedBody{r.Body, func() { deadline.SetReadDeadline(time.Time{}) }}
	}
	reply(w, r, answer)
}

func (s *server) tokensOf(ctx context.Context) chan struct{} {
	uid := callerIn(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users[uid] == nil {
		s.users[uid] = make(chan struct{}, maxForUser)
	}
	return s.users[uid]
}

// timedBody lifts the deadline at its end: what follows is waiting for the answer.
type timedBody struct {
	io.ReadCloser
	end func()
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.end()
	}
	return n, err
}

// profile shows what the process does and holds, which is no stranger's business.
func profile(w http.ResponseWriter, r *http.Request) {
	if err := permit(r.Context(), r.URL.Path, Owner); err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.ServeHTTP(w, r)
}

func reply(w http.ResponseWriter, r *http.Request, answer Answer) {
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
