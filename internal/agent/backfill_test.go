package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
)

// longLog is a Postfix log of n bounces and, around all of them, one message that is deferred first and expires last.
func longLog(n int) []byte {
	var b bytes.Buffer
	at := time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)
	line := func(format string, args ...any) {
		at = at.Add(time.Millisecond)
		fmt.Fprintf(&b, at.Format("2006-01-02T15:04:05.000000-07:00")+" mx1 postfix/"+format+"\n", args...)
	}
	line("cleanup[1]: FFFF000001: message-id=<slow@news.example>")
	line("qmgr[1]: FFFF000001: from=<b@news.example>, size=1, nrcpt=1 (queue active)")
	line("smtp[1]: FFFF000001: to=<slow@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=0.1, delays=0/0/0.1/0, dsn=4.2.2, status=deferred (host mx.example.org[192.0.2.1] said: 452 4.2.2 Mailbox full (in reply to RCPT TO command))")
	for i := range n {
		id := fmt.Sprintf("%010X", 0xA000000000+i)
		line("cleanup[1]: %s: message-id=<%d@news.example>", id, i)
		line("qmgr[1]: %s: from=<b@news.example>, size=1, nrcpt=1 (queue active)", id)
		line("smtp[1]: %s: to=<r%d@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=0.1, delays=0/0/0.1/0, dsn=5.1.1, status=bounced (host mx.example.org[192.0.2.1] said: 550 5.1.1 User unknown (in reply to RCPT TO command))", id, i)
		line("qmgr[1]: %s: removed", id)
	}
	line("qmgr[1]: FFFF000001: from=<b@news.example>, status=expired, returned to sender")
	return b.Bytes()
}

func TestBackfillGoesOnWhereItWasInterrupted(t *testing.T) {
	dir := t.TempDir()
	const n = 30_000 // several parts of 4 MiB
	file := filepath.Join(dir, "mail.log")
	if err := os.WriteFile(file, longLog(n), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse("x.yaml", fmt.Appendf(nil, `
inputs: {postfix: {type: logfile, path: /var/log/mail.log, parser: postfix}}
outputs: {out: {type: file, path: %s/out.jsonl}}
queue: {path: %s/queue.db}
guard: {enabled: false}
control: {socket: %s/control.sock}`, dir, dir, dir))
	if err != nil {
		t.Fatal(err)
	}
	run := func(ctx context.Context, progress func()) BackfillSummary {
		b := Backfill{Files: []string{file}, As: "postfix", Config: cfg, Log: slog.New(slog.DiscardHandler), Progress: func(string, Spot, *BackfillSummary) { progress() }}
		sum, err := b.Run(ctx)
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		return sum
	}
	ctx, interrupt := context.WithCancel(t.Context())
	parts := 0
	first := run(ctx, func() {
		if parts++; parts == 1 {
			interrupt()
		}
	})
	if first.Queued == 0 || first.Queued >= n {
		t.Fatalf("%d queued before the interruption", first.Queued)
	}
	second := run(t.Context(), func() {})
	if first.Queued+second.Queued != n+1 || !second.Resumed || second.Repeats != 0 || second.Reasons[string(event.MailboxFull)] != 1 {
		t.Errorf("first %d, then %+v", first.Queued, second)
	}
	again := run(t.Context(), func() {})
	if again.Queued != 0 || again.Repeats != n+1 || again.Resumed {
		t.Errorf("told again: %+v", again)
	}
}

func TestDryRunChangesNothing(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "mail.log")
	log := longLog(3)
	if err := os.WriteFile(file, append(log, log...), 0o600); err != nil {
		t.Fatal(err)
	}
	var got []event.Event
	b := Backfill{Files: []string{file}, As: "postfix", Log: slog.New(slog.DiscardHandler), Until: time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC),
		DryRun: func(e event.Event) error { got = append(got, e); return nil }}
	sum, err := b.Run(t.Context())
	if err != nil || len(got) != 4 || sum.Queued != 4 || sum.Repeats != 4 {
		t.Errorf("%d events, %+v, %v", len(got), sum, err)
	}
	b.Since = b.Until
	b.Until = time.Time{}
	if sum, err := b.Run(t.Context()); err != nil || sum.Queued != 0 || sum.Outside != 8 {
		t.Errorf("%+v, %v", sum, err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}
