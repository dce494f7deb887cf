package agent

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
)

// stepping is an output whose attempts last until they are let go.
type stepping struct {
	began, letGo chan struct{}
	n            atomic.Int64
}

func (s *stepping) Send(ctx context.Context, batch []event.Event) error {
	s.n.Add(int64(len(batch)))
	select {
	case s.began <- struct{}{}:
	default:
	}
	select {
	case <-s.letGo:
	case <-ctx.Done():
	}
	return nil
}

// A pause lets the attempt under way end, and sends nothing of what was fetched ahead.
func TestPausedDeliveryGoesOn(t *testing.T) {
	t.Parallel()
	q := openTestQueue(t, t.TempDir())
	fill(t, q, 20, event.Event{Recipient: "@ok.example", Type: event.Hard, Fault: event.FaultRecipient})
	out := &stepping{began: make(chan struct{}, 1), letGo: make(chan struct{})}
	startDelivery(t, q, out)
	<-out.began
	if err := q.Pause("out"); err != nil {
		t.Fatal(err)
	}
	close(out.letGo)
	eventually(t, "what was under way is noted", func() bool { return pending(t, q) == 19 })
	fill(t, q, 1, event.Event{Recipient: "@later.example", Type: event.Hard, Fault: event.FaultRecipient})
	if n := out.n.Load(); n != 1 {
		t.Errorf("%d were sent while it was paused", n)
	}
	if err := q.Continue("out"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all are sent", func() bool { return pending(t, q) == 0 })
	if n := out.n.Load(); n != 21 {
		t.Errorf("%d were sent of 21", n)
	}
}

func TestOutputSettingsAreChecked(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"inputs: [mx, backfill], reasons: [moved], recipients: ['*@example.org'], start: oldest": "",
		"inputs: [mx2]":             `outputs.f.inputs[0]: there is no input "mx2"`,
		"reasons: [gone]":           `"gone" is no reason`,
		"recipients: [example.org]": `write jo@example.org, or *@example.org for all of a domain`,
		"start: yesterday":          `"yesterday" is none of now, oldest`,
	} {
		cfg, err := config.Parse("c.yaml", []byte("inputs: {mx: {type: logfile, path: /var/log/mail.log, parser: postfix}}\noutputs: {f: {type: file, path: /tmp/out, "+text+"}}\n"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = New(cfg, "c.yaml", "1", slog.New(slog.DiscardHandler))
		if want == "" && err == nil {
			if names := fromOldest(cfg); len(names) != 1 || names[0] != "f" {
				t.Errorf("from the oldest: %q", names)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
