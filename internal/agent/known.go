package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"bouncefeed/internal/control"
	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
)

// askKnown asks whoever answers on socket which of events were reported before.
func askKnown(ctx context.Context, socket string, events []event.Event) ([]bool, error) {
	keys := make([][]event.Key, len(events))
	for i := range events {
		keys[i] = append(events[i].Keys(), events[i].Claims()...)
	}
	body, err := json.Marshal(keys)
	if err != nil {
		return nil, err
	}
	found, err := Calls.Known.Ask(ctx, socket, control.None{}, bytes.NewReader(body))
	if err == nil && len(found) != len(events) {
		err = fmt.Errorf("asked about %d events, answered about %d", len(events), len(found))
	}
	return found, err
}

// answerKnown says which events would be repeats.
func answerKnown(q *queue.Queue) func(context.Context, control.None, io.Reader, func([]bool) error) error {
	return func(_ context.Context, _ control.None, body io.Reader, reply func([]bool) error) error {
		var keys [][]event.Key
		if err := json.NewDecoder(body).Decode(&keys); err != nil {
			return fmt.Errorf("read the keys: %w", err)
		}
		known, err := q.Known(keys)
		if err != nil {
			return err
		}
		return reply(known)
	}
}
