package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"bouncefeed/internal/agent"
	"bouncefeed/internal/control"
	"bouncefeed/internal/event"
)

var setAsideAt = time.Date(2026, 11, 29, 9, 0, 0, 0, time.UTC)

func deadLetters() []agent.DeadLetter {
	return []agent.DeadLetter{
		{Seq: 7, Output: "listmonk", Time: setAsideAt, Answer: "400: " + strings.Repeat("bad ", 50),
			Event: event.Event{ID: "a", Type: event.Hard, Reason: event.UserUnknown, Recipient: "jo<\x07>@example.org"}},
		{Seq: 12, Output: "hook", Time: setAsideAt, Answer: "413", Event: event.Event{ID: "b", Type: event.Complaint, Recipient: "al@example.org"}},
	}
}

func heldEvents() []agent.HeldEvent {
	return []agent.HeldEvent{{Seq: 3, Time: setAsideAt, Why: "no proof", Event: event.Event{ID: "c", Type: event.Soft, Reason: event.MailboxFull, Recipient: "mia@example.org"}}}
}

func TestListSetAside(t *testing.T) {
	t.Parallel()
	socket := daemon(t, answering(agent.Calls.Dead, deadLetters()...), answering(agent.Calls.Held, heldEvents()...))
	at := setAsideAt.Local().Format(time.RFC3339)
	r := command(t, "", "dead", "list", "--socket", socket)
	r.expect(t, 0, "", "")
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	if len(lines) != 3 || strings.Join(strings.Fields(lines[0]), " ") != "NUMBER OUTPUT TIME TYPE REASON RECIPIENT ANSWER" {
		t.Fatalf("got\n%s", r.out)
	}
	if row := strings.Fields(lines[1]); strings.Join(row[:6], " ") != "7 listmonk "+at+" hard user_unknown jo<?>@example.org" || !strings.HasSuffix(lines[1], "bad…") && !strings.HasSuffix(lines[1], "…") {
		t.Errorf("got %q", lines[1])
	}
	if row := strings.Join(strings.Fields(lines[2]), " "); row != "12 hook "+at+" complaint al@example.org 413" {
		t.Errorf("got %q", row)
	}
	r = command(t, "", "held", "list", "--socket", socket)
	r.expect(t, 0, "NUMBER", "")
	if lines := strings.Split(strings.TrimSpace(r.out), "\n"); len(lines) != 2 || strings.Join(strings.Fields(lines[1]), " ") != "3 "+at+" soft mailbox_full mia@example.org no proof" {
		t.Errorf("got\n%s", r.out)
	}
}

func TestListSetAsideAsJSON(t *testing.T) {
	t.Parallel()
	socket := daemon(t, answering(agent.Calls.Dead, deadLetters()...))
	r := command(t, "", "dead", "list", "--json", "--socket", socket)
	r.expect(t, 0, "", "")
	var got []agent.DeadLetter
	for line := range strings.Lines(r.out) {
		var d agent.DeadLetter
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatal(err)
		}
		got = append(got, d)
	}
	if !reflect.DeepEqual(got, deadLetters()) {
		t.Errorf("got %+v", got)
	}
}

func TestListOfNothing(t *testing.T) {
	t.Parallel()
	socket := daemon(t, answering(agent.Calls.Dead), answering(agent.Calls.Held))
	for _, name := range []string{"dead", "held"} {
		if r := command(t, "", name, "list", "--socket", socket); r != (result{0, "", "none\n"}) {
			t.Errorf("%s: %+v", name, r)
		}
		if r := command(t, "", name, "list", "--json", "--socket", socket); r != (result{0, "", ""}) {
			t.Errorf("%s as JSON: %+v", name, r)
		}
	}
}

func TestShowSetAside(t *testing.T) {
	t.Parallel()
	socket := daemon(t, answering(agent.Calls.Dead, deadLetters()...), answering(agent.Calls.Held, heldEvents()...))
	r := command(t, "", "dead", "show", "12", "--socket", socket)
	r.expect(t, 0, "  \"answer\": \"413\",\n", "")
	if strings.Contains(r.out, "listmonk") {
		t.Errorf("another one is shown:\n%s", r.out)
	}
	command(t, "", "dead", "show", "7", "--socket", socket).expect(t, 0, `"recipient": "jo<\u0007>@example.org"`, "")
	if r := command(t, "", "held", "show", "3", "--json", "--socket", socket); r.code != 0 || strings.Count(r.out, "\n") != 1 || !json.Valid([]byte(r.out)) {
		t.Errorf("as JSON: %+v", r)
	}
	command(t, "", "dead", "show", "8", "--socket", socket).expect(t, exitFailure, "", "no such number: see 'bouncefeed dead list'")
	command(t, "", "held", "show", "x", "--socket", socket).expect(t, exitFailure, "", "no such number: see 'bouncefeed held list'")
}

// recording notes what a call was asked, and answers with a count.
func recording(call control.Call[agent.Selection, agent.Count], n int, mu *sync.Mutex, asked *[]string) control.Answer {
	return call.Answer(func(_ context.Context, s agent.Selection, _ io.Reader, reply func(agent.Count) error) error {
		mu.Lock()
		defer mu.Unlock()
		line := fmt.Sprintf("%s %q %v all=%v", call.Name, s.Output, s.Numbers, s.All)
		if s.Excess {
			line += fmt.Sprintf(" excess %q %q %q %q", s.Input, s.Domain, s.Provider, s.Reason)
		}
		*asked = append(*asked, line)
		return reply(agent.Count{Events: n})
	})
}

func TestSetAsideIsSentOrDropped(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var asked []string
	socket := daemon(t, recording(agent.Calls.DeadRetry, 2, &mu, &asked), recording(agent.Calls.DeadDrop, 0, &mu, &asked),
		recording(agent.Calls.HeldRelease, 1, &mu, &asked), recording(agent.Calls.HeldDrop, 3, &mu, &asked))
	for _, c := range []struct{ line, asked, out string }{
		{"dead retry 7 12", `dead-retry "" [7 12] all=false`, "2 queued to be sent\n"},
		{"dead retry --all --output hook", `dead-retry "hook" [] all=true`, "2 queued to be sent\n"},
		{"dead drop 7 --output listmonk", `dead-drop "listmonk" [7] all=false`, "0 dropped\n"},
		{"dead drop --all --json", `dead-drop "" [] all=true`, `{"events":0}` + "\n"},
		{"held release 18446744073709551615", `held-release "" [18446744073709551615] all=false`, "1 queued to be sent\n"},
		{"held release --excess --input mx --domain example.org --provider google --reason moved", `held-release "" [] all=false excess "mx" "example.org" "google" "moved"`, "1 queued to be sent\n"},
		{"held drop --all", `held-drop "" [] all=true`, "3 dropped\n"},
		{"held drop", `held-drop "" [] all=false`, "3 dropped\n"}, // the daemon says what it thinks of that
	} {
		asked = nil
		r := command(t, "", append(strings.Fields(c.line), "--socket", socket)...)
		if r != (result{0, c.out, ""}) || len(asked) != 1 || asked[0] != c.asked {
			t.Errorf("%s: %+v, asked %q, want %q", c.line, r, asked, c.asked)
		}
	}
	for _, number := range []string{"seven", "-1", "7.5", "18446744073709551616"} {
		asked = nil
		r := command(t, "", "dead", "retry", "--socket", socket, "--", number)
		if r.expect(t, exitFailure, "", fmt.Sprintf("%q is no number of an event: see the list", number)); len(asked) != 0 {
			t.Errorf("%s: asked %q", number, asked)
		}
	}
}

func TestDeadEdit(t *testing.T) {
	t.Parallel()
	var asked agent.Edit
	socket := daemon(t, agent.Calls.DeadEdit.Answer(func(_ context.Context, e agent.Edit, _ io.Reader, reply func(agent.Count) error) error {
		asked = e
		return reply(agent.Count{Events: 1})
	}))
	command(t, "", "dead", "edit", "7", "recipient=jo=x@example.org", "type=soft", "--socket", socket).expect(t, 0, "1 changed: 'bouncefeed dead retry 7' sends it\n", "")
	if want := (agent.Edit{Number: 7, Set: map[string]string{"recipient": "jo=x@example.org", "type": "soft"}}); !reflect.DeepEqual(asked, want) {
		t.Errorf("asked %+v", asked)
	}
	command(t, "", "dead", "edit", "7", "recipient", "--socket", socket).expect(t, exitFailure, "", `"recipient" is not FIELD=VALUE`)
}

func TestSetAsideTellsTheDaemonsErrors(t *testing.T) {
	t.Parallel()
	socket := daemon(t, failing(agent.Calls.DeadRetry, `there is no output "x"`), failing(agent.Calls.Held, "queue is closed"))
	command(t, "", "dead", "retry", "1", "--output", "x", "--socket", socket).expect(t, exitFailure, "", `bouncefeed: there is no output "x"`)
	command(t, "", "held", "list", "--socket", socket).expect(t, exitFailure, "", "bouncefeed: queue is closed")
	command(t, "", "held", "show", "1", "--socket", socket).expect(t, exitFailure, "", "bouncefeed: queue is closed")
	command(t, "", "dead", "list", "--socket", "/nowhere/x.sock").expect(t, exitUnavailable, "", "systemctl start")
}

// What was refused can be looked at with why and what to do, whether the daemon runs or not.
func TestRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := write(t, "c.yaml", fmt.Sprintf(`
inputs: {postfix: {type: logfile, path: /var/log/mail.log, parser: postfix}}
outputs: {file: {type: file, path: %s/out.jsonl}}
queue: {path: %s/queue.db}
control: {socket: %s/control.sock}
`, dir, dir, dir))
	command(t, "", "refused", "list", "-c", cfg).expect(t, exitUnavailable, "", "is not running") // and has stored nothing yet
	command(t, "", "backfill", "-c", cfg, write(t, "mail.log", postfixLog)).expect(t, 0, "", "refused: unopened_queue_id 1")
	look := func() {
		t.Helper()
		command(t, "", "refused", "list", "-c", cfg).expect(t, 0, "backfill/1  ", "")
		command(t, "", "refused", "list", "-c", cfg, "--input", "other").expect(t, 0, "", "none\n")
		r := command(t, "", "refused", "show", "backfill/1", "-c", cfg)
		r.expect(t, 0, "why     unopened_queue_id\n", "")
		r.expect(t, 0, "remedy  are all of the mail server's lines in this log?", "")
		r.expect(t, 0, "status=bounced", "")
		command(t, "", "refused", "show", "backfill/2", "-c", cfg).expect(t, exitFailure, "", "no such number: see 'bouncefeed refused list'")
		var one agent.RefusedRecord
		r = command(t, "", "refused", "show", "backfill/1", "--json", "-c", cfg)
		if err := json.Unmarshal([]byte(r.out), &one); err != nil || one.Input != "backfill" || one.Why != "unopened_queue_id" || one.Means == "" || one.Detail == "" {
			t.Errorf("%+v, %v", r, err)
		}
		command(t, "", "held", "list", "-c", cfg).expect(t, 0, "", "none\n")
	}
	look()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan result, 1)
	go func() { ended <- commandIn(ctx, "", "run", "-c", cfg) }()
	until(t, "the daemon answers", func() bool { return command(t, "", "status", "-c", cfg).code != exitUnavailable })
	look()
	stop()
	if r := <-ended; r.code != 0 {
		t.Errorf("%+v", r)
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	command(t, "", "words").expect(t, 0, "\n  two_readings\n      it can be read in two ways", "")
	command(t, "", "words", "--json").expect(t, 0, `{"word":"repeat","refused":false,"means":"`, "")
}
