package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type sum struct {
	A int `json:"a"`
	B int `json:"b"`
}

var (
	add  = Call[sum, int]{Name: "add"}
	echo = Call[None, string]{Name: "echo", Body: 1 << 20} // the body, line by line
	hang = Call[None, int]{Name: "hang"}
)

func answerAdd(_ context.Context, args sum, _ io.Reader, reply func(int) error) error {
	if err := reply(args.A + args.B); err != nil {
		return err
	}
	if args.A+args.B < 0 {
		return errors.New("below zero")
	}
	return nil
}

func answerEcho(_ context.Context, _ None, body io.Reader, reply func(string) error) error {
	text, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		if err := reply(strings.TrimSpace(line)); err != nil {
			return err
		}
	}
	return nil
}

func TestAsk(t *testing.T) {
	t.Parallel()
	socket, _ := serveAnswers(t, add.Answer(answerAdd), echo.Answer(answerEcho))
	if v, err := add.Ask(t.Context(), socket, sum{2, 3}, nil); v != 5 || err != nil {
		t.Errorf("got %d, %v", v, err)
	}
	if _, err := add.Ask(t.Context(), socket, sum{2, -3}, nil); err == nil || err.Error() != "below zero" {
		t.Errorf("an error behind a value: %v", err)
	}
	for _, body := range []string{"", "one\ntwo\n"} {
		if _, err := echo.Ask(t.Context(), socket, None{}, strings.NewReader(body)); err == nil || !strings.Contains(err.Error(), "values: is it of another version?") {
			t.Errorf("body %q: %v", body, err)
		}
	}
}

func TestEach(t *testing.T) {
	t.Parallel()
	socket, _ := serveAnswers(t, echo.Answer(answerEcho))
	var values, raw []string
	if err := echo.Each(t.Context(), socket, None{}, strings.NewReader("x <y>\nsecond\n"), func(v string, r json.RawMessage) error {
		values, raw = append(values, v), append(raw, string(r))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if strings.Join(values, "|") != "x <y>|second" || strings.Join(raw, "|") != `"x \u003cy\u003e"|"second"` {
		t.Errorf("values %q, as they came %q", values, raw)
	}
	n, enough := 0, errors.New("enough")
	err := echo.Each(t.Context(), socket, None{}, strings.NewReader("1\n2\n3\n"), func(string, json.RawMessage) error { n++; return enough })
	if !errors.Is(err, enough) || n != 1 {
		t.Errorf("the caller's own error: %v after %d values", err, n)
	}
}

// A body may hold what its call says, and no more.
func TestBodies(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	length := Call[None, int64]{Name: "length", Body: size}
	bodiless := Call[None, int64]{Name: "bodiless"}
	answer := func(_ context.Context, _ None, body io.Reader, reply func(int64) error) error {
		n, err := io.Copy(io.Discard, body)
		if err != nil {
			return err
		}
		return reply(n)
	}
	socket, _ := serveAnswers(t, length.Answer(answer), bodiless.Answer(answer))
	if n, err := length.Ask(t.Context(), socket, None{}, bytes.NewReader(make([]byte, size))); n != size || err != nil {
		t.Errorf("%d bytes arrived, %v", n, err)
	}
	if n, err := length.Ask(t.Context(), socket, None{}, bytes.NewReader(make([]byte, size+1))); err == nil {
		t.Errorf("%d bytes arrived", n)
	}
	if n, err := bodiless.Ask(t.Context(), socket, None{}, strings.NewReader("x")); err == nil {
		t.Errorf("%d bytes arrived where none belong", n)
	}
	broken := io.MultiReader(strings.NewReader("half"), errorReader{})
	if _, err := length.Ask(t.Context(), socket, None{}, broken); err == nil || !strings.Contains(err.Error(), "the disk broke") {
		t.Errorf("a body that ends with an error: %v", err)
	}
}

type errorReader struct{}

func (errorReader) Read([]byte) (int, error) { return 0, errors.New("the disk broke") }

func TestArgumentsHaveABound(t *testing.T) {
	t.Parallel()
	numbers := Call[[]int, int]{Name: "numbers"}
	socket, _ := serveAnswers(t, numbers.Answer(func(_ context.Context, all []int, _ io.Reader, reply func(int) error) error { return reply(len(all)) }))
	if n, err := numbers.Ask(t.Context(), socket, make([]int, 1000), nil); n != 1000 || err != nil {
		t.Errorf("a thousand: %d, %v", n, err)
	}
	if _, err := numbers.Ask(t.Context(), socket, make([]int, 100_000), nil); err == nil || !strings.Contains(err.Error(), "too much for one call") {
		t.Errorf("a hundred thousand: %v", err)
	}
	if _, err := (Call[func(), int]{Name: "numbers"}).Ask(t.Context(), socket, nil, nil); err == nil {
		t.Error("what is no JSON was asked")
	}
}

// The two sides may be of different versions for a while.
func TestAnotherVersion(t *testing.T) {
	t.Parallel()
	socket, _ := serveAnswers(t, add.Answer(answerAdd))
	if err := (Call[None, None]{Name: "unheard-of"}).Do(t.Context(), socket, None{}, nil); err == nil || !strings.Contains(err.Error(), `does not know "unheard-of": is it an older version?`) {
		t.Errorf("an unknown call: %v", err)
	}
	if _, err := (Call[sum, []string]{Name: "add"}).Ask(t.Context(), socket, sum{}, nil); err == nil || !strings.Contains(err.Error(), `the answer to "add" can't be read`) {
		t.Errorf("an answer of another type: %v", err)
	}
	if _, err := (Call[string, int]{Name: "add"}).Ask(t.Context(), socket, "two and three", nil); err == nil || !strings.Contains(err.Error(), `arguments of "add"`) {
		t.Errorf("arguments of another type: %v", err)
	}
	if v, err := (Call[map[string]int, int]{Name: "add"}).Ask(t.Context(), socket, map[string]int{"a": 1, "new": 7}, nil); v != 1 || err != nil {
		t.Errorf("an argument that it does not know yet: %d, %v", v, err)
	}
}

func TestNotRunning(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	for _, what := range []string{"no socket", "a dead socket"} {
		err := add.Do(t.Context(), path, sum{}, nil)
		if !errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), "systemctl start") || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", what, err)
		}
		if what == "no socket" {
			dead(t, path)
		}
	}
	if err := add.Do(t.Context(), filepath.Dir(path), sum{}, nil); err == nil {
		t.Error("a folder answered")
	}
}

func TestNoAccess(t *testing.T) {
	t.Parallel()
	// Root may do everything: the error is made, not met.
	err := dialError("/run/x.sock", &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", os.ErrPermission)})
	if !errors.Is(err, ErrNoAccess) || !strings.Contains(err.Error(), "as root") || strings.Contains(err.Error(), "group") || !strings.Contains(err.Error(), "/run/x.sock") {
		t.Errorf("got %v", err)
	}
	if err := dialError("/run/x.sock", io.ErrUnexpectedEOF); !errors.Is(err, io.ErrUnexpectedEOF) || !strings.HasPrefix(err.Error(), "control socket /run/x.sock: ") {
		t.Errorf("anything else: %v", err)
	}
}

// answerHang answers with a value, and then nothing until the caller goes away.
func answerHang(gone chan<- struct{}) func(context.Context, None, io.Reader, func(int) error) error {
	return func(ctx context.Context, _ None, _ io.Reader, reply func(int) error) error {
		defer close(gone)
		if err := reply(1); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}
}

func TestCancelledCaller(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{})
	socket, _ := serveAnswers(t, hang.Answer(answerHang(gone)))
	ctx, cancel := context.WithCancel(t.Context())
	err := hang.Each(ctx, socket, None{}, nil, func(int, json.RawMessage) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	select {
	case <-gone: // the daemon noticed
	case <-time.After(2 * time.Minute):
		t.Error("the daemon goes on answering nobody")
	}
	if err := hang.Do(ctx, socket, None{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before the call: %v", err)
	}
}

// A connection that breaks is told, and ends that call alone.
func TestDaemonGoesAway(t *testing.T) {
	t.Parallel()
	broken := Call[None, int]{Name: "broken"}
	socket, _ := serveAnswers(t, add.Answer(answerAdd), broken.Answer(func(_ context.Context, _ None, _ io.Reader, reply func(int) error) error {
		reply(1)
		panic(http.ErrAbortHandler) // closes the connection
	}))
	n := 0
	err := broken.Each(t.Context(), socket, None{}, nil, func(int, json.RawMessage) error { n++; return nil })
	if n != 1 || err == nil || !strings.Contains(err.Error(), "went away in the middle of the answer") {
		t.Errorf("%d values, %v", n, err)
	}
	if v, err := add.Ask(t.Context(), socket, sum{1, 1}, nil); v != 2 || err != nil {
		t.Errorf("the next call: %d, %v", v, err)
	}
}

// At shutdown the answers that still run are ended.
func TestShutdownEndsAnswers(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{})
	socket, stop := serveAnswers(t, hang.Answer(answerHang(gone)))
	err := hang.Each(t.Context(), socket, None{}, nil, func(int, json.RawMessage) error { stop(); return nil })
	if err == nil {
		t.Error("no error")
	}
	<-gone
}
