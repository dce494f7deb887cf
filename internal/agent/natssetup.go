package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"bouncefeed/internal/config"
	"bouncefeed/internal/jetstream"
)

// NATSSetup makes the streams and consumers that a configuration's modules of type nats talk to, or changes them.
type NATSSetup struct {
	Config        *config.Config
	File, Version string
	Wish          jetstream.Wish
	Apply         bool // else it only tells what there is to do
}

// Run tells each step of what it would do, or has done, and whether any is left.
func (n NATSSetup) Run(ctx context.Context, tell func(Finding)) (left bool, err error) {
	p, err := newPlan(n.Config, n.File, n.Version, slog.New(slog.DiscardHandler))
	if err != nil {
		return false, err
	}
	var needs []jetstream.Need
	for _, out := range p.outputs {
		if m, ok := out.built.Output.(jetstream.Needer); ok {
			needs = append(needs, m.Needs())
		}
	}
	for _, in := range p.inputs {
		if m, ok := in.built.Input.(jetstream.Needer); ok {
			needs = append(needs, m.Needs())
		}
	}
	if len(needs) == 0 {
		return false, fmt.Errorf("no input or output of type nats in %s", n.File)
	}
	for _, need := range needs {
		more, err := n.one(ctx, need, tell)
		left = left || more
		if err != nil {
			return left, err
		}
	}
	return left, nil
}

func (n NATSSetup) one(ctx context.Context, need jetstream.Need, tell func(Finding)) (left bool, err error) {
	conn, err := need.Connect(ctx, "bouncefeed nats setup", func(error) {})
	if err != nil {
		return false, err
	}
	defer conn.Close()
	steps, err := need.Plan(ctx, conn, need, n.Wish)
	if err != nil {
		return false, err
	}
	for _, s := range steps {
		f := Finding{What: s.What, OK: true, Detail: "as it should be"}
		if s.Detail != "" {
			f.Detail = s.Detail
			f.Warning = !n.Apply
			left = left || !n.Apply
		}
		if n.Apply {
			if err := need.Apply(ctx, conn, s); err != nil {
				f.OK, f.Detail = false, s.Detail+": "+err.Error()
				tell(f)
				return true, errors.New("not everything could be done")
			}
		}
		tell(f)
	}
	return left, nil
}
