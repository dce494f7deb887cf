package agent

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"

	"bouncefeed/inputs/mailbox"
	"bouncefeed/internal/control"
	"bouncefeed/internal/event"
)

// listenForMessages opens the socket of `bouncefeed deliver`; nil if no input takes messages.
func (a *Agent) listenForMessages() (net.Listener, error) {
	for _, in := range a.inputs {
		if _, ok := in.built.Input.(mailbox.Pipe); ok {
			d := a.config.Deliver
			return control.Listen(d.Socket, fs.FileMode(d.Mode), d.Group)
		}
	}
	return nil, nil
}

// answerDeliver stores the message in body for the pipe that the arguments name. No error: it is on disk.
func (a *Agent) answerDeliver(ctx context.Context, args DeliverArgs, body io.Reader, _ func(control.None) error) error {
	sink, pipe, err := a.pipe(args.Input)
	if err != nil {
		return err
	}
	rec, err := pipe.Message(body)
	if err != nil {
		return err
	}
	return sink.Commit(ctx, []event.Record{rec}, nil)
}

func (a *Agent) pipe(name string) (sink *sink, pipe mailbox.Pipe, err error) {
	for _, in := range a.inputs {
		p, ok := in.built.Input.(mailbox.Pipe)
		switch {
		case !ok || name != "" && in.name != name:
		case pipe != nil:
			return nil, nil, fmt.Errorf("several inputs have type: pipe: name one with --input")
		default:
			sink, pipe = in.sink, p
		}
	}
	if pipe == nil {
		return nil, nil, fmt.Errorf("the running configuration has no input %q with type: pipe", name)
	}
	return sink, pipe, nil
}
