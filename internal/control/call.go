package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"
)

// None stands for no arguments, or for an answer without values.
type None struct{}

// Right says who may make a call.
type Right int

// The rights, the strictest first.
const (
	Owner  Right = iota // root and the user that the daemon runs as
	Anyone              // whoever may open the socket
)

// Call is one thing that the daemon can be asked: by what name, with arguments A, for an answer of any number of values
// R. Both sides use the same Call, so that neither can mean something else by it.
type Call[A, R any] struct {
	Name  string
	Right Right
	Body  int64 // the most that its body may hold, in bytes; 0: it has none
}

// Answer is what the daemon does when it is called. Call.Answer makes it.
type Answer struct {
	name  string
	right Right
	body  int64
	give  func(ctx context.Context, args string, body io.Reader, reply func(any) error) error
}

// Name is the call's that it answers.
func (a Answer) Name() string { return a.name }

// Answer has f answer the call. Each reply is sent at once; an error ends the answer and reaches the caller as text.
func (c Call[A, R]) Answer(f func(ctx context.Context, args A, body io.Reader, reply func(R) error) error) Answer {
	return Answer{c.Name, c.Right, c.Body, func(ctx context.Context, text string, body io.Reader, reply func(any) error) error {
		var args A
		if text != "" {
			if err := json.Unmarshal([]byte(text), &args); err != nil {
				return fmt.Errorf("arguments of %q: %w", c.Name, err)
			}
		}
		return f(ctx, args, body, func(v R) error { return reply(v) })
	}}
}

// Ask makes a call over the socket and gives the only value of its answer. ErrNotRunning: nobody listens.
func (c Call[A, R]) Ask(ctx context.Context, socket string, args A, body io.Reader) (value R, err error) {
	n := 0
	err = c.Each(ctx, socket, args, body, func(v R, _ json.RawMessage) error {
		value = v
		n++
		return nil
	})
	if err == nil && n != 1 {
		err = fmt.Errorf("the running bouncefeed answers %q with %d values: is it of another version?", c.Name, n)
	}
	return value, err
}

// Each makes a call over the socket and hands every value of the answer to each, also as it came. It ends with the
// answer, with ctx, or with each's error. ErrNotRunning: nobody listens.
func (c Call[A, R]) Each(ctx context.Context, socket string, args A, body io.Reader, each func(R, json.RawMessage) error) error {
	text, err := json.Marshal(args)
	if err != nil {
		return err
	}
	return do(ctx, socket, c.Name, string(text), body, func(raw json.RawMessage) error {
		var v R
		if err := json.Unmarshal(raw, &v); err != nil {
			return fmt.Errorf("the answer to %q can't be read: is the running bouncefeed of another version? %w", c.Name, err)
		}
		return each(v, raw)
	})
}

// Do is Each for an answer without values.
func (c Call[A, R]) Do(ctx context.Context, socket string, args A, body io.Reader) error {
	return c.Each(ctx, socket, args, body, func(R, json.RawMessage) error { return nil })
}

func do(ctx context.Context, socket, name, args string, body io.Reader, each func(json.RawMessage) error) error {
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true,
	}}
	url := "http://bouncefeed/" + name + "?" + url.Values{"args": {args}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return dialError(socket, err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusForbidden:
		why, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return fmt.Errorf("%w: %s", ErrNoAccess, bytes.TrimSpace(why))
	case http.StatusNotFound:
		return fmt.Errorf("the running bouncefeed does not know %q: is it an older version?", name)
	case http.StatusRequestHeaderFieldsTooLarge:
		return errors.New("that is too much for one call: name fewer at a time")
	default:
		return fmt.Errorf("the running bouncefeed answers %q with %s", name, resp.Status)
	}
	return readAnswer(ctx, resp.Body, each)
}

func readAnswer(ctx context.Context, body io.Reader, each func(json.RawMessage) error) error {
	for dec := json.NewDecoder(body); ; {
		var l line
		if err := dec.Decode(&l); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("bouncefeed went away in the middle of the answer: %w", err)
		}
		switch {
		case l.Error != "":
			return errors.New(l.Error)
		case l.End:
			return nil
		}
		if err := each(l.Value); err != nil {
			return err
		}
	}
}

func dialError(socket string, err error) error {
	switch {
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w to the socket %s: run this as root", ErrNoAccess, socket)
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w (nobody answers on %s): start it with 'systemctl start bouncefeed'", ErrNotRunning, socket)
	}
	return fmt.Errorf("control socket %s: %w", socket, err)
}
