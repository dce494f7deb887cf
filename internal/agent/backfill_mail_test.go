package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bouncefeed/internal/config"
	"bouncefeed/internal/control"
	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
)

// dsn is a report that message n did not reach its recipient. A subscriber's UUID proves that it was ours.
func dsn(n int, uuid string) string {
	field := ""
	if uuid != "" {
		field = "X-Listmonk-Subscriber: " + uuid + "\n"
	}
	return fmt.Sprintf(`Return-Path: <>
From: MAILER-DAEMON@mx.example.org
To: bounces@news.example
Subject: Undelivered Mail Returned to Sender
Date: Sun, 01 Nov 2026 08:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.org

Final-Recipient: rfc822; r%[1]d@example.org
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 User unknown

--b
Content-Type: message/rfc822

To: r%[1]d@example.org
Message-ID: <%[1]d@news.example>
%[2]sSubject: news

Hello
--b--
`, n, field)
}

func mboxOf(messages ...string) string {
	var b strings.Builder
	for _, m := range messages {
		b.WriteString("From MAILER-DAEMON Sun Nov  1 09:00:00 2026\n" + m + "\n")
	}
	return b.String()
}

// mailWorld is a machine with a queue, on which a mailbox is backfilled.
type mailWorld struct {
	*testing.T
	dir string
	cfg *config.Config
}

func newMailWorld(t *testing.T) *mailWorld {
	dir := t.TempDir()
	cfg, err := config.Parse("x.yaml", fmt.Appendf(nil, `
inputs: {box: {type: mbox, path: /var/mail/bounces, trust: any}, postfix: {type: logfile, path: /var/log/mail.log, parser: postfix}}
outputs: {out: {type: file, path: %s/out.jsonl}}
queue: {path: %s/queue.db}
guard: {enabled: false}
control: {socket: %s/control.sock}`, dir, dir, dir))
	if err != nil {
		t.Fatal(err)
	}
	return &mailWorld{t, dir, cfg}
}

func (w *mailWorld) file(name, text string) string {
	w.Helper()
	path := filepath.Join(w.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		w.Fatal(err)
	}
	return path
}

// run backfills files; parts is called before each part of one is stored.
func (w *mailWorld) run(ctx context.Context, as, trust string, parts func(), files ...string) BackfillSummary {
	w.Helper()
	b := Backfill{Files: files, As: as, Trust: trust, Config: w.cfg, Log: slog.New(slog.DiscardHandler), Progress: func(string, Spot, *BackfillSummary) { parts() }}
	sum, err := b.Run(ctx)
	if err != nil && !errors.Is(err, context.Canceled) {
		w.Fatal(err)
	}
	counted := sum.Queued + sum.Repeats + sum.Held
	for _, counts := range []map[string]uint64{sum.Ignored, sum.Refused} {
		for _, n := range counts {
			counted += n
		}
	}
	if counted != sum.Read {
		w.Errorf("%d read, %d accounted for: %+v", sum.Read, counted, sum)
	}
	return sum
}

func (w *mailWorld) mail(trust string, files ...string) BackfillSummary {
	w.Helper()
	return w.run(w.Context(), "mail", trust, func() {}, files...)
}

func (w *mailWorld) open() *queue.Queue {
	w.Helper()
	q, err := openQueue(w.cfg, slog.New(slog.DiscardHandler), newCounting(nil, time.Now))
	if err != nil {
		w.Fatal(err)
	}
	return q
}

func TestBackfillMailGoesOnWhereItWasInterrupted(t *testing.T) {
	w := newMailWorld(t)
	const n = 1200 // more than two parts of 500 messages
	var messages []string
	for i := range n {
		messages = append(messages, dsn(i, ""))
	}
	box, last := w.file("box", mboxOf(messages...)), w.file("last.eml", dsn(n, ""))
	ctx, interrupt := context.WithCancel(t.Context())
	parts := 0
	first := w.run(ctx, "mail", "any", func() {
		if parts++; parts == 2 {
			interrupt()
		}
	}, box, last)
	if first.Queued == 0 || first.Queued >= n {
		t.Fatalf("%d queued before the interruption", first.Queued)
	}
	second := w.mail("any", box, last)
	if first.Queued+second.Queued != n+1 || !second.Resumed || second.Repeats != 0 {
		t.Errorf("first %d, then %+v", first.Queued, second)
	}
	if again := w.mail("any", box, last); again.Queued != 0 || again.Repeats != n+1 || again.Resumed {
		t.Errorf("told again: %+v", again)
	}
}

// A mail program takes some of the first messages out of an interrupted mbox: what moved to the front is not passed over.
func TestBackfillOfAChangedMboxBeginsAnew(t *testing.T) {
	w := newMailWorld(t)
	const n = 1200
	var messages []string
	for i := range n {
		messages = append(messages, dsn(1000+i, "")) // all of one length
	}
	box := w.file("box", mboxOf(messages...))
	ctx, interrupt := context.WithCancel(t.Context())
	parts := 0
	first := w.run(ctx, "mail", "any", func() {
		if parts++; parts == 2 {
			interrupt()
		}
	}, box)
	w.file("box", mboxOf(append(messages[:2:2], messages[102:]...)...))
	second := w.mail("any", box)
	if first.Queued+second.Queued != n || second.Resumed {
		t.Errorf("first %d, then %+v", first.Queued, second)
	}
}

func TestBackfillMailIsOneEventWithTheLog(t *testing.T) {
	w := newMailWorld(t)
	w.run(t.Context(), "postfix", "", func() {}, w.file("mail.log", string(longLog(3))))
	sum := w.mail("any", w.file("box", mboxOf(dsn(0, ""), dsn(1, ""), dsn(3, ""))))
	if sum.Queued != 1 || sum.Repeats != 2 {
		t.Errorf("got %+v", sum)
	}
}

const (
	someUUID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
	sentLog  = `2026-11-01T08:00:00+00:00 mx1 postfix/smtpd[1]: 4F1A01C2D0: client=localhost[127.0.0.1]
2026-11-01T08:00:00+00:00 mx1 postfix/cleanup[1]: 4F1A01C2D0: message-id=<7@news.example>
2026-11-01T08:00:00+00:00 mx1 postfix/qmgr[1]: 4F1A01C2D0: from=<b@news.example>, size=1, nrcpt=1 (queue active)
2026-11-01T08:00:01+00:00 mx1 postfix/smtp[1]: 4F1A01C2D0: to=<r7@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=1, delays=0/0/1/0, dsn=2.0.0, status=sent (250 ok)
`
)

// proof backfills a mailbox of a report that the log proves, one that a UUID proves and two that nothing proves.
func (w *mailWorld) proof() {
	w.Helper()
	w.run(w.Context(), "postfix", "", func() {}, w.file("mail.log", sentLog))
	box := w.file("box", mboxOf(dsn(7, ""), dsn(8, someUUID), dsn(9, ""), dsn(10, "")))
	if sum := w.mail("proof", box); sum.Queued != 2 || sum.Held != 2 {
		w.Errorf("got %+v", sum)
	}
	if sum := w.mail("proof", box); sum.Queued != 0 || sum.Repeats != 2 || sum.Held != 2 {
		w.Errorf("told again: %+v", sum)
	}
}

func (w *mailWorld) held(q *queue.Queue, want int) {
	w.Helper()
	held, err := q.Held()
	if err != nil || len(held) != want {
		w.Errorf("%d held, want %d: %v", len(held), want, err)
	}
	if st, err := q.Stats(); err != nil || st.Held != uint64(want) {
		w.Errorf("%d counted as held, want %d: %v", st.Held, want, err)
	}
}

func TestBackfillMailHoldsWhatIsNotProven(t *testing.T) {
	w := newMailWorld(t)
	w.proof()
	q := w.open()
	w.held(q, 2)
	held, _ := q.Held()
	if n, err := q.ReleaseHeld([]uint64{held[0].Seq}); n != 1 || err != nil {
		t.Error(n, err)
	}
	w.held(q, 1)
	q.Close()
	if sum := w.mail("any", filepath.Join(w.dir, "box")); sum.Queued != 1 || sum.Repeats != 3 {
		t.Errorf("then believed: %+v", sum)
	}
}

// serve answers as a running daemon does, but for the calls that instead answers.
func (w *mailWorld) serve(instead func(*Agent) []control.Answer) *queue.Queue {
	w.Helper()
	l, err := control.Listen(w.cfg.Control.Socket, 0o660, "")
	if err != nil {
		w.Fatal(err)
	}
	a := &Agent{queue: w.open(), config: w.cfg}
	answers := a.answers()
	if instead != nil {
		answers = append(answers, instead(a)...)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- control.Serve(ctx, l, answers) }()
	w.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, a.queue.Close()); err != nil {
			w.Error(err)
		}
	})
	return a.queue
}

func TestBackfillMailAsksTheDaemonForProof(t *testing.T) {
	w := newMailWorld(t)
	q := w.serve(nil)
	w.proof()
	w.held(q, 2)
}

// A daemon that can't say what was sent must not make everything held.
func TestBackfillMailStopsWithoutAnAnswer(t *testing.T) {
	w := newMailWorld(t)
	asked := 0
	q := w.serve(func(a *Agent) []control.Answer {
		return []control.Answer{Calls.WasSent.Answer(func(_ context.Context, hash [8]byte, _ io.Reader, reply func(bool) error) error {
			if asked++; asked > 2 {
				return errors.New("the disk broke")
			}
			found, err := a.queue.WasSent(hash)
			return errors.Join(err, reply(found))
		})}
	})
	box := w.file("box", mboxOf(dsn(1, ""), dsn(2, "")))
	b := Backfill{Files: []string{box}, As: "mail", Trust: "proof", Config: w.cfg, Log: slog.New(slog.DiscardHandler)}
	if _, err := b.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "the disk broke") {
		t.Errorf("got %v", err)
	}
	w.held(q, 0)
	if _, err := b.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "--trust proof asks") {
		t.Errorf("got %v", err)
	}
}

func TestBackfillOfAMaildir(t *testing.T) {
	w := newMailWorld(t)
	w.file("Maildir/new/1.a.mx1", dsn(1, ""))
	w.file("Maildir/cur/2.a.mx1:2,S", dsn(2, ""))
	dir := filepath.Join(w.dir, "Maildir")
	if sum := w.mail("any", dir); sum.Queued != 2 {
		t.Errorf("got %+v", sum)
	}
	if err := os.Rename(filepath.Join(dir, "new/1.a.mx1"), filepath.Join(dir, "cur/1.a.mx1:2,")); err != nil {
		t.Fatal(err)
	}
	w.file("Maildir/new/3.a.mx1", dsn(3, ""))
	if sum := w.mail("any", dir); sum.Queued != 1 || sum.Repeats != 2 {
		t.Errorf("got %+v", sum)
	}
}

func TestBackfillMailWithinATime(t *testing.T) {
	box := newMailWorld(t).file("box", mboxOf(dsn(1, ""), dsn(2, someUUID), strings.Replace(dsn(3, ""), "01 Nov", "02 Nov", 1)))
	for trust, want := range map[string][2]uint64{"": {2, 0}, "any": {2, 0}, "proof": {1, 1}} {
		var got []event.Event
		b := Backfill{Files: []string{box}, As: "mail", Trust: trust, Log: slog.New(slog.DiscardHandler), Until: time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC),
			DryRun: func(e event.Event) error { got = append(got, e); return nil }}
		sum, err := b.Run(t.Context())
		if err != nil || sum.Queued != want[0] || sum.Held != want[1] || sum.Outside != 1 || len(got) != int(want[0]) {
			t.Errorf("%q: %d events, %+v, %v", trust, len(got), sum, err)
		}
	}
}

func TestBackfillChecks(t *testing.T) {
	show := func(event.Event) error { return nil }
	for _, c := range []struct {
		b    Backfill
		want string
	}{
		{Backfill{As: "ses"}, "is none of"},
		{Backfill{As: "postfix", Trust: "any"}, "--trust is for mailboxes"},
		{Backfill{As: "mail"}, "\n  --trust proof   a bounce is reported if"},
		{Backfill{As: "mail", Trust: "some"}, "--trust \"some\" is neither proof nor any"},
		{Backfill{As: "mail", Trust: "some", DryRun: show}, "neither proof nor any"},
		{Backfill{As: "mail", DryRun: show}, ""},
		{Backfill{As: "mail", Trust: "proof"}, ""},
		{Backfill{As: "postfix"}, ""},
	} {
		err := c.b.Check()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v, want %q", c.b, err, c.want)
		}
	}
}

// A pipe with a name, as the shell's <(zcat …) makes one, gives its contents once.
func TestBackfillReadsAPipeOnce(t *testing.T) {
	w := newMailWorld(t)
	pipe := filepath.Join(w.dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	written := make(chan error)
	go func() { written <- os.WriteFile(pipe, longLog(3), 0) }()
	sum := w.run(t.Context(), "postfix", "", func() {}, pipe)
	if err := <-written; err != nil || sum.Queued != 4 {
		t.Errorf("%+v, %v", sum, err)
	}
}
