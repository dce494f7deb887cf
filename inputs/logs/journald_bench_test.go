package logs

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os/exec"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/event"
)

// BenchmarkJournald reads a journal of mail entries, all but the parsing, and compares with `journalctl -o json | wc -l`
// on the same journal.
func BenchmarkJournald(b *testing.B) {
	const entries = 50_000
	w := newJournalWorld(b)
	w.input.log = slog.New(slog.DiscardHandler)
	for range 5 {
		w.addMail(entries / 5)
	}
	var plain time.Duration
	for b.Loop() {
		begun := time.Now()
		out, err := exec.Command("sh", "-c", "journalctl --output=json --directory="+w.dir+" | wc -l").CombinedOutput()
		plain += time.Since(begun)
		if strings.TrimSpace(string(out)) != fmt.Sprint(entries) || err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		ctx, cancel := context.WithCancel(b.Context())
		sink := &countingSink{enough: entries, done: cancel}
		if err := w.input.Run(ctx, sink); err != nil {
			b.Fatal(err)
		}
	}
	ours := b.Elapsed() - plain
	b.ReportMetric(float64(b.N)*entries/ours.Seconds(), "entries/s")
	b.ReportMetric(float64(b.N)*entries/plain.Seconds(), "journalctl-entries/s")
	b.ReportMetric(ours.Seconds()/plain.Seconds(), "times-journalctl")
}

// addMail writes n entries as Postfix's are, with all their fields.
func (w *journalWorld) addMail(n int) {
	entries := make([][]string, n)
	for i := range entries {
		w.number++
		entries[i] = append(mailEntry(fmt.Sprintf("%012X: to=<subscriber%d@example.net>, relay=mx1.example.net[192.0.2.1]:25, delay=1.2, delays=0.01/0.5/0.2/0.49, dsn=2.0.0, status=sent (250 2.0.0 OK  1700000000 5b1f17b1804b1-42f8a1c7e2asi2193815e9.117 - gsmtp)", w.number, w.number)),
			"PRIORITY=6", "SYSLOG_TIMESTAMP=Nov 22 07:00:00 ", fmt.Sprintf("SYSLOG_PID=%d", i%60), fmt.Sprintf("_PID=%d", i%60), "_GID=104", "_COMM=smtp",
			"_CMDLINE=smtp -t unix -u -c", "_CAP_EFFECTIVE=0", "_SYSTEMD_CGROUP=/system.slice/system-postfix.slice/postfix@-.service",
			"_SYSTEMD_SLICE=system-postfix.slice", "_SYSTEMD_INVOCATION_ID=df2902f9e4ca422da2f72a5c372dee38", "_MACHINE_ID=27d463dbf859451dbfe8beb51b748a69",
			"_HOSTNAME=mail", "_RUNTIME_SCOPE=system", fmt.Sprintf("_SOURCE_REALTIME_TIMESTAMP=%d", w.clock.UnixMicro()))
	}
	w.write("a.journal", entries...)
}

// countingSink calls done when it has enough records.
type countingSink struct {
	enough int
	done   func()
}

func (s *countingSink) Checkpoint() (map[string]string, error) { return nil, nil }

func (s *countingSink) Commit(_ context.Context, recs []event.Record, _ map[string]string) error {
	for i := range recs {
		if bytes.Contains(recs[i].Body, []byte(`"MESSAGE"`)) {
			s.enough--
		}
	}
	if s.enough <= 0 {
		s.done()
	}
	return nil
}
