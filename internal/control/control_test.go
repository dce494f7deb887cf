package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func serveCalls(t *testing.T, calls Calls) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run", "control.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, calls) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return path
}

func TestDoStreamsAnswersAndErrors(t *testing.T) {
	path := serveCalls(t, Calls{
		"echo": func(_ context.Context, args url.Values, body io.Reader, reply func(any) error) error {
			data, err := io.ReadAll(body)
			if err != nil {
				return err
			}
			if err := reply(args.Get("a")); err != nil {
				return err
			}
			return reply(string(data))
		},
		"broken": func(_ context.Context, _ url.Values, _ io.Reader, reply func(any) error) error {
			reply(1)
			return errors.New("no such letter")
		},
	})
	var got []string
	each := func(v json.RawMessage) error { got = append(got, string(v)); return nil }
	if err := Do(t.Context(), path, "echo", url.Values{"a": {"x y"}}, strings.NewReader("body"), each); err != nil {
		t.Fatal(err)
	}
	if strings.Join(got, ",") != `"x y","body"` {
		t.Errorf("got %q", got)
	}
	if err := Do(t.Context(), path, "broken", nil, nil, each); err == nil || err.Error() != "no such letter" {
		t.Errorf("got %v", err)
	}
	if err := Do(t.Context(), path, "unknown", nil, nil, each); err == nil || !strings.Contains(err.Error(), "older version") {
		t.Errorf("got %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("socket mode %v, %v", info.Mode(), err)
	}
	if _, err := Listen(path); err == nil {
		t.Error("a second daemon took the socket of a running one")
	}
}

func TestNotRunning(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control.sock")
	err := Do(t.Context(), path, "status", nil, nil, nil)
	if !errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), "systemctl start") {
		t.Errorf("got %v", err)
	}
	// A killed daemon leaves its socket behind: refused, then replaced.
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if err := Do(t.Context(), path, "status", nil, nil, nil); !errors.Is(err, ErrNotRunning) {
		t.Errorf("got %v", err)
	}
	again, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}
