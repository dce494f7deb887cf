package agent

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"bouncefeed/internal/classify"
	"bouncefeed/internal/config"
	"bouncefeed/internal/queue"
)

// nowhere is a store that takes everything.
type nowhere struct{}

func (nowhere) Commit(_ context.Context, b queue.Batch) (queue.Result, error) {
	return queue.Result{Repeat: make([]bool, len(b.Events))}, nil
}

func (nowhere) Checkpoint(string) (map[string]string, error) { return nil, nil }

// BenchmarkSink has a sink parse, judge and account for the lines of a busy Postfix, one bounce in fifty messages, in
// blocks and batches of 600 lines; counted: as rows of statistics, too. Storing is not part of it.
func BenchmarkSink(b *testing.B) {
	b.Run("plain", func(b *testing.B) { benchmarkSink(b, nil) })
	b.Run("counted", func(b *testing.B) { benchmarkSink(b, newPasses(newCounting(classify.Default(), nil), true)) })
}

func benchmarkSink(b *testing.B, counts *passes) {
	var lines []byte
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	line := func(program, format string, args ...any) {
		at = at.Add(3 * time.Millisecond)
		lines = fmt.Appendf(lines, at.Format("2006-01-02T15:04:05.000000-07:00")+" mx1 postfix/"+program+"[4711]: "+format+"\n", args...)
	}
	for i := range 100 {
		id := fmt.Sprintf("%05X%06X", i, 0x10000+i)
		line("smtpd", "connect from lists.example.com[192.0.2.80]")
		line("smtpd", "%s: client=lists.example.com[192.0.2.80]", id)
		line("cleanup", "%s: message-id=<%024x@news.example.com>", id, i)
		line("qmgr", "%s: from=<bounces+%d@news.example.com>, size=24711, nrcpt=1 (queue active)", id, i)
		if i%50 == 7 {
			line("smtp", "%s: to=<s%d@dest.example.org>, relay=mx.dest.example.org[192.0.2.7]:25, delay=0.4, delays=0.02/0.01/0.2/0.17, dsn=5.1.1, status=bounced (host mx.dest.example.org[192.0.2.7] said: 550 5.1.1 <s%d@dest.example.org>: User unknown (in reply to RCPT TO command))", id, i, i)
		} else {
			line("smtp", "%s: to=<s%d@dest.example.org>, relay=mx.dest.example.org[192.0.2.7]:25, delay=0.4, delays=0.02/0.01/0.2/0.17, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 1A20202B8F4)", id, i)
		}
		line("qmgr", "%s: removed", id)
	}
	s := newSink(sinkConfig{
		name: "postfix", format: config.Section{Type: "postfix"}, classifier: classify.Default(), store: nowhere{}, now: time.Now,
		ledger: ledger{key: make([]byte, 32)}, senders: []string{"*@news.example.com"}, env: config.Env{Log: slog.New(slog.DiscardHandler)}, passes: counts,
	})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Read(lines, at, 0); err != nil {
			b.Fatal(err)
		}
		if err := s.Store(b.Context(), nil, nil); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Settle(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(bytes.Count(lines, []byte("\n"))*b.N)/b.Elapsed().Seconds(), "lines/s")
}
