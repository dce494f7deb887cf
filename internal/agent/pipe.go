package agent

import (
	"context"
	"fmt"
	"io"
	"net/url"

	"bouncefeed/inputs"
	"bouncefeed/internal/event"
)

// callDeliver stores the message in body for the input that the argument names, the only pipe if none is named. No
// error: it is on disk.
func (a *Agent) callDeliver(ctx context.Context, args url.Values, body io.Reader, _ func(any) error) error {
	sink, pipe, err := a.pipe(args.Get("input"))
	if err != nil {
		return err
	}
	rec, err := pipe.Message(body)
	if err != nil {
		return err
	}
	return sink.Commit(ctx, []event.Record{rec}, nil)
}

func (a *Agent) pipe(name string) (sink *sink, pipe inputs.Pipe, err error) {
	for _, in := range a.inputs {
		p, ok := in.built.Input.(inputs.Pipe)
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
