package agent

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
)

// outageLog is what Postfix writes of mails to a domain: the first sent arrive, the others fail.
func outageLog(start, sent, failed int, domain string) string {
	var b strings.Builder
	for i := start; i < start+sent+failed; i++ {
		at := time.Now().UTC().Format("2006-01-02T15:04:05.000000Z07:00")
		line := func(program, text string) {
			fmt.Fprintf(&b, "%s mx1 postfix/%s[828]: 4%06dZz: %s\n", at, program, i, text)
		}
		line("smtpd", "client=localhost[127.0.0.1]")
		line("cleanup", fmt.Sprintf("message-id=<m%d@news.example>", i))
		line("qmgr", "from=<bounces@news.example>, size=1000, nrcpt=1 (queue active)")
		to := fmt.Sprintf("to=<person%d@%s>, relay=mx.%s[192.0.2.1]:25, delay=1, delays=0/0/0/1, ", i, domain, domain)
		if i < start+sent {
			line("smtp", to+"dsn=2.0.0, status=sent (250 2.0.0 OK)")
		} else {
			line("smtp", to+fmt.Sprintf("dsn=5.1.1, status=bounced (host mx.%s[192.0.2.1] said: 550 5.1.1 <person%d@%s>: user unknown (in reply to RCPT TO command))", domain, i, domain))
		}
		line("qmgr", "removed")
	}
	return b.String()
}

// The whole daemon holds an outage, says what it has in common, and sends what is released.
func TestOutageIsHeld(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	log := filepath.Join(dir, "mail.log")
	text := outageLog(0, 300, 20, "gmail.com") + outageLog(1000, 0, 100, "closed.example") + outageLog(2000, 2000, 90, "gmail.com")
	if err := os.WriteFile(log, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse("c.yaml", fmt.Appendf(nil, "inputs:\n  mx: {type: logfile, path: %s, start: beginning, parser: postfix}\noutputs: {f: {type: file, path: %[2]s/out}}\nqueue: {path: %[2]s/q.db}\ncontrol: {socket: %[2]s/s}\n", log, dir))
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	a, err := New(cfg, "", "1", slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	started, done := make(chan struct{}), make(chan error)
	go func() { done <- a.Run(ctx, func() { close(started) }) }()
	<-started
	st := awaitStatus(t, a, func(st *Status) bool { return st.Queue.Held == 50 && st.Outputs[0].Sent == 160 })
	if in := st.Inputs[0]; in.Queued != 160 || in.Held != 50 {
		t.Errorf("%+v", in)
	}
	if len(st.Problems) != 1 || st.Problems[0].What != "guard" || st.State != StateWarning {
		t.Fatalf("%+v", st.Problems)
	}
	for _, want := range []string{"50 hard bounces held", "relay mx.closed.example (50)", "user_unknown, 550 5.1.1", "p…@closed.example", "held release --excess"} {
		if !strings.Contains(st.Problems[0].Text, want) {
			t.Errorf("%q lacks %q", st.Problems[0].Text, want)
		}
	}
	if strings.Contains(st.Problems[0].Text, "person") {
		t.Errorf("an address is shown whole: %s", st.Problems[0].Text)
	}
	for _, c := range []struct {
		means Selection
		want  int
	}{
		{Selection{Domain: "gmail.com"}, 0}, {Selection{Provider: "google"}, 0}, {Selection{Input: "other", Excess: true}, 0},
		{Selection{Excess: true, Domain: "CLOSED.example", Reason: "user_unknown"}, 50},
	} {
		if n, err := heldBy(a.queue, c.means, a.queue.ReleaseHeld); n != c.want || err != nil {
			t.Errorf("%+v: %d, %v", c.means, n, err)
		}
	}
	awaitStatus(t, a, func(st *Status) bool {
		return st.Outputs[0].Sent == 210 && len(st.Problems) == 0 && st.State == StateOK
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := strings.Count(said.String(), "more hard bounces than is plausible"); n != 1 || strings.Contains(said.String(), "person") {
		t.Errorf("said %d times: %s", n, said.String())
	}
}

func awaitStatus(t *testing.T, a *Agent, is func(*Status) bool) *Status {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		st, err := a.Status()
		if err == nil && is(&st) {
			return &st
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v, %v", st, err)
		}
	}
}

// What there is too much of is said by what most of it is.
func TestExcessProblem(t *testing.T) {
	t.Parallel()
	var x excess
	for i := range 9 {
		h := &queue.HeldEvent{Excess: "provider google", Event: event.Event{Reason: event.UserUnknown, Code: 550, Status: "5.1.1", Recipient: `"j o"@example.org`, Diagnostic: "550 no <jo@example.org>"}}
		if i > 6 {
			h.Excess, h.Event.Reason, h.Event.Code = "all", event.DomainUnknown, 0
		}
		x.add(h)
	}
	got := x.problem().Text
	if want := `9 hard bounces held, more than is plausible within an hour: provider google (7), all (2), most of them user_unknown, 550 5.1.1 (7); the first said "550 no <j…@example.org>" of "…@example.org.`; !strings.HasPrefix(got, want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
