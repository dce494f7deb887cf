package agent

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
	"bouncefeed/outputs"
)

// pausing is an output that takes a while for each.
type pausing struct {
	taking
	pause time.Duration
}

func (p *pausing) Send(ctx context.Context, batch []event.Event) error {
	for began := time.Now(); time.Since(began) < p.pause; {
		if p.pause > time.Millisecond {
			time.Sleep(p.pause)
		}
	}
	return p.taking.Send(ctx, batch)
}

// BenchmarkInDoubt is a delivery an event at a time to receivers of different speeds, and how many of what was sent a kill at any
// moment would have sent again: those that are not noted, and the one under way.
func BenchmarkInDoubt(b *testing.B) {
	for _, pause := range []time.Duration{0, 100 * time.Microsecond, time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond} {
		b.Run(pause.String(), func(b *testing.B) {
			q, err := queue.Open(filepath.Join(b.TempDir(), "queue.db"), queue.Options{Outputs: []string{"out"}})
			if err != nil {
				b.Fatal(err)
			}
			defer q.Close()
			batch := queue.Batch{Input: "in"}
			for i := range 100_000 {
				e := event.Event{Time: time.Unix(1_800_000_000, 0), Type: event.Hard, Recipient: fmt.Sprintf("person%d@example.org", i), QueueID: fmt.Sprintf("4X%dz", i), QueueIDIssuer: "mx1"}
				e.ID = e.MakeID()
				batch.Events = append(batch.Events, e)
			}
			if _, err := q.Commit(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(b.Context())
			out := &pausing{pause: pause}
			d := &delivery{name: "out", out: out, queue: q, log: slog.New(slog.DiscardHandler), observe: func(string, *event.Event) {},
				settings: &outputs.Settings{Send: outputs.DefaultSend, Batch: 1}}
			var group sync.WaitGroup
			group.Go(func() {
				if err := d.run(ctx); err != nil {
					b.Error(err)
				}
			})
			for out.n.Load() == 0 {
				time.Sleep(time.Millisecond)
			}
			began, sent := time.Now(), out.n.Load()
			var doubts, most, looks int
			for b.Loop() {
				for end := time.Now().Add(2 * time.Second); time.Now().Before(end) && out.n.Load() < 90_000; looks++ {
					time.Sleep(time.Duration(rand.IntN(5000)) * time.Microsecond)
					d.settler.mu.Lock()
					n := 1 + len(d.settler.waiting) + d.settler.under
					d.settler.mu.Unlock()
					doubts, most = doubts+n, max(most, n)
				}
			}
			b.ReportMetric(float64(out.n.Load()-sent)/time.Since(began).Seconds(), "sent/s")
			b.ReportMetric(float64(doubts)/float64(looks), "in-doubt")
			b.ReportMetric(float64(most), "most")
			cancel()
			group.Wait()
		})
	}
}
