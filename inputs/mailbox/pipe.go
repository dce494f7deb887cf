package mailbox

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
)

// Pipe is an input that is handed its records, one message at a time, by `bouncefeed deliver`.
type Pipe interface {
	inputs.Input
	// Message makes a record of what the mail server wrote; it reads to the end of r. The error: there was no message.
	Message(r io.Reader) (event.Record, error)
}

type pipeConfig struct {
	inputs.Settings `yaml:",inline"`
	Trust           mailTrust `yaml:"trust"` // who may be believed; no default
}

func init() {
	inputs.Register("pipe", pipeConfig{Settings: inputs.Settings{Parser: config.Section{Type: "mail"}}}, buildPipe)
}

func buildPipe(_ config.Env, section config.Section, c *pipeConfig) (inputs.Input, error) {
	c.Settings.Trust = string(c.Trust)
	return pipe{}, c.Trust.check(section)
}

// pipe takes messages from a mail server's pipe: an alias, a transport or a Sieve script. It has no position: the mail
// server keeps a message until it is told that it is stored.
type pipe struct{}

// Run waits: messages come by the control socket.
func (pipe) Run(ctx context.Context, _ inputs.Sink) error {
	<-ctx.Done()
	return nil
}

// Message implements Pipe. Local delivery agents put a From_ line before the header.
func (pipe) Message(r io.Reader) (event.Record, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxMessage+1))
	if err != nil {
		return event.Record{}, err
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		return event.Record{}, err
	}
	truncated := len(body) > maxMessage
	body = body[:min(len(body), maxMessage)]
	if bytes.HasPrefix(body, []byte("From ")) {
		_, body, _ = bytes.Cut(body, []byte("\n"))
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return event.Record{}, errors.New("there is no message")
	}
	return messageRecord(body, truncated, time.Time{}), nil
}
