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
	i, pipe, err := a.pipe(args.Get("input"))
	if err != nil {
		return err
	}
	rec, err := pipe.Message(body)
	if err != nil {
		return err
	}
	return a.sinks[i].Commit(ctx, []event.Record{rec}, nil)
}

func (a *Agent) pipe(name string) (index int, pipe inputs.Pipe, err error) {
	for i, in := range a.plan.inputs {
		p, ok := in.built.Input.(inputs.Pipe)
		switch {
		case !ok || name != "" && in.name != name:
		case pipe != nil:
			return 0, nil, fmt.Errorf("several inputs have type: pipe: name one with --input")
		default:
			index, pipe = i, p
		}
	}
	if pipe == nil {
		return 0, nil, fmt.Errorf("the running configuration has no input %q with type: pipe", name)
	}
	return index, pipe, nil
}
