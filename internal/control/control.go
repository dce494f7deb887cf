// Package control is the unix socket between the daemon and the other subcommands: a call has a name, arguments and
// perhaps a body, and is answered by a stream of JSON values. What the calls mean is the agent's.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"bouncefeed/internal/disk"
)

// Call answers one call. Each reply is sent at once; an error ends the answer and reaches the caller as text.
type Call func(ctx context.Context, args url.Values, body io.Reader, reply func(v any) error) error

// Calls are the calls by name.
type Calls map[string]Call

// ErrNotRunning says that nobody listens on the socket.
var ErrNotRunning = errors.New("bouncefeed is not running")

// answer is one line of the stream: a value, or the error that ended it, or the end.
type answer struct {
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
func Serve(ctx context.Context, l net.Listener, calls Calls) error {
	server := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(w, r, calls) }),
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

func serve(w http.ResponseWriter, r *http.Request, calls Calls) {
	call, ok := calls[strings.TrimPrefix(r.URL.Path, "/")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	enc := json.NewEncoder(w)
	err := call(r.Context(), r.URL.Query(), r.Body, func(v any) error {
		raw, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if err := enc.Encode(answer{Value: raw}); err != nil {
			return err
		}
		return http.NewResponseController(w).Flush()
	})
	last := answer{End: true}
	if err != nil {
		last.Error = err.Error()
	}
	enc.Encode(last)
}

// Do makes one call over the socket at path and hands every value of the answer to each. It ends with the answer, with
// ctx, or with each's error. ErrNotRunning: nobody listens.
func Do(ctx context.Context, path, name string, args url.Values, body io.Reader, each func(json.RawMessage) error) error {
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", path)
		},
		DisableKeepAlives: true,
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://bouncefeed/"+name+"?"+args.Encode(), body)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return dialError(path, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the running bouncefeed does not know %q: is it an older version?", name)
	}
	dec := json.NewDecoder(resp.Body)
	for {
		var a answer
		if err := dec.Decode(&a); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("bouncefeed went away in the middle of the answer: %w", err)
		}
		switch {
		case a.Error != "":
			return errors.New(a.Error)
		case a.End:
			return nil
		}
		if err := each(a.Value); err != nil {
			return err
		}
	}
}

func dialError(path string, err error) error {
	switch {
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("no access to the control socket %s: run this as root or as a member of group bouncefeed", path)
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w (nobody answers on %s): start it with 'systemctl start bouncefeed'", ErrNotRunning, path)
	}
	return fmt.Errorf("control socket %s: %w", path, err)
}
