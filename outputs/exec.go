package outputs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
)

// execConfig is a section `type: exec`.
type execConfig struct {
	Settings
	Command []string        `yaml:"command"` // its absolute path, and what it is called with: no shell reads it
	Timeout config.Duration `yaml:"timeout"`
}

func init() {
	register("exec", execConfig{Settings: Settings{Send: DefaultSend, Batch: 1}, Timeout: config.Duration(30 * time.Second)}, newExec)
}

// Exit codes of sysexits.h that say more than "later".
const (
	exDataErr = 65 // it will never take this event
	exNoUser  = 67 // it knows no such contact
)

// execOutput runs a command for each event, which reads it as JSON, one line, from its standard input. Exit code 0: it has
// it. Of the rest, 65 (EX_DATAERR) and 67 (EX_NOUSER) are for good; anything else is tried again. It runs as the daemon's
// user and in its sandbox, with an environment of PATH alone.
type execOutput struct {
	command []string
	timeout time.Duration
}

func newExec(_ config.Env, section config.Section, c *execConfig) (Output, error) {
	var errs []error
	if len(c.Command) == 0 || !filepath.IsAbs(c.Command[0]) {
		errs = append(errs, section.Errorf("command", "must begin with an absolute path: [/usr/local/bin/bounced, --list, news]"))
	}
	if c.Timeout <= 0 {
		errs = append(errs, section.Errorf("timeout", "must be more than 0"))
	}
	return &execOutput{c.Command, c.Timeout.Std()}, config.Join("", errs...)
}

func (e *execOutput) String() string { return e.command[0] }

func (e *execOutput) Send(ctx context.Context, batch []event.Event) error {
	if len(batch) == 0 {
		return nil
	}
	if len(batch) > 1 {
		return fmt.Errorf("a command takes one event at a time, not %d", len(batch))
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("run %s: %w", e.command[0], err)
	}
	line, err := encode(&batch[0])
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	var said limitedBuffer
	c := exec.CommandContext(limited, e.command[0], e.command[1:]...)
	c.Env, c.Dir, c.WaitDelay = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, "/", time.Second
	c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(append(line, '\n')), io.Discard, &said
	err = c.Run()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("run %s: %w", e.command[0], ctx.Err())
	case limited.Err() != nil:
		return fmt.Errorf("run %s: not done within %s", e.command[0], e.timeout)
	}
	code := -1
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	}
	if words := clean(redact(said.String(), nil), textLimit); words != "" {
		err = fmt.Errorf("run %s: %w (it said: %s)", e.command[0], err, words)
	} else {
		err = fmt.Errorf("run %s: %w", e.command[0], err)
	}
	switch code {
	case exDataErr:
		return event.Permanent(err)
	case exNoUser:
		return &UnknownError{err}
	}
	return err
}

// Probe looks whether the command may be run. It does not run it.
func (e *execOutput) Probe(context.Context) ([]string, error) {
	if err := unix.Access(e.command[0], unix.X_OK); err != nil {
		return nil, fmt.Errorf("run %s: %w", e.command[0], err)
	}
	return nil, nil
}

// limitedBuffer keeps the beginning of what a command says, and reads on.
type limitedBuffer struct{ bytes.Buffer }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), max(0, answerLimit-b.Len()))])
	return len(p), nil
}
