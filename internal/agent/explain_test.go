package agent

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
)

func explain(t *testing.T, as, text, headers string) []Explanation {
	t.Helper()
	file := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	q := Inquiry{Files: []string{file}, As: as, Log: slog.New(slog.DiscardHandler)}
	if headers != "" {
		q.Headers = file + ".headers"
		if err := os.WriteFile(q.Headers, []byte(headers), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var all []Explanation
	if _, err := Explain(t.Context(), q, func(x Explanation) error { all = append(all, x); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestExplainLines(t *testing.T) {
	got := explain(t, "postfix", `Nov 22 10:00:00 mx1 postfix/smtpd[1]: connect from a.example[192.0.2.1]
Nov 22 10:00:00 mx1 postfix/qmgr[1]: 4F1A01C2D0: from=<b@news.example>, size=1, nrcpt=2 (queue active)
Nov 22 10:00:01 mx1 postfix/smtp[1]: 4F1A01C2D0: to=<jo@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=1, delays=0/0/1/0, dsn=5.1.1, status=bounced (host mx.example.org[192.0.2.1] said: 550 5.1.1 User unknown (in reply to RCPT TO command))
Nov 22 10:00:01 mx1 postfix/smtp[1]: 4F1A01C2D0: to=<al@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=1, delays=0/0/1/0, dsn=4.2.2, status=deferred (host mx.example.org[192.0.2.1] said: 452 4.2.2 full (in reply to RCPT TO command))
Nov 22 10:00:02 mx1 postfix/smtp[1]: 4F1A09C2D9: to=<forged@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=0.1, delays=0/0/0.1/0, dsn=5.1.1, status=bounced (host mx.example.org[192.0.2.1] said: 550 5.1.1 User unknown (in reply to RCPT TO command))
`, "")
	want := []string{"other", "other", "bounce", "delayed", "refused"}
	if len(got) != len(want) {
		t.Fatalf("%d lines, want %d", len(got), len(want))
	}
	for i, x := range got {
		if x.Kind != want[i] || x.Line != i+1 {
			t.Errorf("line %d is %q, want %q", x.Line, x.Kind, want[i])
		}
	}
	if e := got[2].Events[0]; e.Recipient != "jo@example.org" || e.Type != "hard" || e.Sender != "b@news.example" || e.ID == "" {
		t.Errorf("got %+v", e)
	}
	if got[4].Why != "unopened_queue_id" || len(got[4].Events) != 0 {
		t.Errorf("got %+v", got[4])
	}
	data, err := json.Marshal(got[0])
	if err != nil || string(data[len(data)-len(`"kind":"other","events":[]}`):]) != `"kind":"other","events":[]}` {
		t.Errorf("%s, %v", data, err)
	}
}

func TestExplainReplies(t *testing.T) {
	got := explain(t, "reply", "550 5.1.1 User unknown\n452 4.2.2 Mailbox full\n", "")
	if len(got) != 2 || got[0].Events[0].Reason != "user_unknown" || got[1].Events[0].Reason != "mailbox_full" {
		t.Errorf("got %+v", got)
	}
}

func TestExplainSaysWhetherASignatureHolds(t *testing.T) {
	const body = `{"email":"jo@example.org","type":"hard","source":"api"}`
	got := explain(t, "native", body, "POST /webhooks/bounce HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\r\n")
	if len(got) != 1 || got[0].Kind != "bounce" || got[0].Signature != "not checked: no key is configured for this format" {
		t.Errorf("got %+v", got)
	}
	got = explain(t, "native", body, "Content-Type: text/html\n")
	if len(got) != 1 || got[0].Signature[:14] != "does not hold:" {
		t.Errorf("got %+v", got)
	}
}

func TestExplainMailbox(t *testing.T) {
	w := newMailWorld(t)
	box := w.file("box", mboxOf(dsn(1, ""), "From: jo@example.org\nSubject: hello\n\nyou\n", dsn(2, "")))
	w.file("Maildir/new/1.a.mx1", dsn(3, ""))
	one := w.file("one.eml", dsn(4, ""))
	var got []string
	q := Inquiry{Files: []string{box, filepath.Join(w.dir, "Maildir"), one}, As: "mail", Log: slog.New(slog.DiscardHandler)}
	_, err := Explain(t.Context(), q, func(x Explanation) error {
		name, _ := filepath.Rel(w.dir, x.File)
		got = append(got, fmt.Sprintf("%s:%d %s", name, x.Line, x.Kind))
		return nil
	})
	lines := strings.Count(mboxOf(dsn(1, "")), "\n")
	want := []string{"box:1 bounce", fmt.Sprintf("box:%d ordinary", lines+1), fmt.Sprintf("box:%d bounce", lines+7), "Maildir/new/1.a.mx1:0 bounce", "one.eml:0 bounce"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, want %q: %v", got, want, err)
	}
}

func TestExplainSaysTheSameEveryTime(t *testing.T) {
	for range 20 {
		b := queue.Batch{Counts: map[queue.Figure]uint64{queue.RefusedAs("no_recipient"): 1, queue.RefusedAs("malformed"): 1, queue.IgnoredAs("other"): 1, queue.IgnoredAs("delayed"): 1}}
		if kind, why := kindOf(&b, nil); kind != "refused" || why != "no_recipient" {
			t.Fatalf("%s, %s", kind, why)
		}
	}
}

// What a foreign client's message bounced with is explained too, and that it is not reported.
func TestExplainForeign(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "mail.log")
	const head = "2026-11-29T09:10:01.000000+00:00 mx1 postfix/"
	lines := head + "smtpd[1]: 4F1A22E332: client=mail.example.org[192.0.2.7]\n" + head + "cleanup[2]: 4F1A22E332: message-id=<m1@example.org>\n" +
		head + "qmgr[3]: 4F1A22E332: from=<b@example.org>, size=979, nrcpt=1 (queue active)\n" +
		head + "smtp[4]: 4F1A22E332: to=<jo@example.net>, relay=mx.example.net[192.0.2.1]:25, delay=0, delays=0/0/0/0, dsn=5.1.1, status=bounced (host mx.example.net[192.0.2.1] said: 550 5.1.1 user unknown (in reply to RCPT TO command))\n"
	if err := os.WriteFile(log, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	var last Explanation
	_, err := Explain(t.Context(), Inquiry{Files: []string{log}, As: "postfix", Log: slog.New(slog.DiscardHandler)}, func(x Explanation) error {
		last = x
		return nil
	})
	if err != nil || last.Kind != string(event.Foreign) || len(last.Events) != 1 || last.Events[0].Type != event.Hard || last.Events[0].Recipient != "jo@example.net" {
		t.Errorf("%+v, %v", last, err)
	}
}

// Lines picked out of a log are judged, and what is missing is said; in a whole log an unknown queue id is refused.
func TestExplainExcerpt(t *testing.T) {
	t.Parallel()
	const head = "2026-11-29T09:10:0"
	bounce := func(second int, id, to string) string {
		return head + fmt.Sprint(second) + ".000000+00:00 mx1 postfix/smtp[4]: " + id + ": to=<" + to + ">, relay=mx.example.net[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.example.net[192.0.2.1] said: 550 5.1.1 user unknown (in reply to RCPT TO command))\n"
	}
	begun := head + "1.000000+00:00 mx1 postfix/smtpd[1]: 4F1A22E332: client=localhost[127.0.0.1]\n"
	excerpt := bounce(1, "4F1A22E331", "a@example.net") + bounce(5, "4F1A22E339", "b@example.net")
	for name, c := range map[string]struct {
		text string
		want string
	}{
		"an excerpt":  {excerpt, "bounce if 1, bounce if 1"},
		"a whole log": {begun + excerpt, "other 0, bounce 1, refused 0"},
	} {
		var got []string
		for _, x := range explain(t, "postfix", c.text, "") {
			kind := x.Kind
			if x.If != "" {
				kind += " if"
			}
			got = append(got, fmt.Sprint(kind, " ", len(x.Events)))
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: %s, want %s", name, strings.Join(got, ", "), c.want)
		}
	}
}

// A configuration's trust: and send: hold for explain as for the daemon.
func TestExplainOutcomes(t *testing.T) {
	t.Parallel()
	w := newMailWorld(t)
	one := w.file("one.eml", dsn(1, ""))
	for trust, want := range map[string]string{"any": "queued", "proof": "held"} {
		cfg, err := config.Parse("c.yaml", []byte("inputs: {box: {type: maildir, path: "+w.dir+", parser: mail, trust: "+trust+"}}\noutputs: {f: {type: file, path: "+w.dir+"/out}}\nqueue: {path: "+w.dir+"/q.db}\ncontrol: {socket: "+w.dir+"/none.sock}\n"))
		if err != nil {
			t.Fatal(err)
		}
		var got Explanation
		sum, err := Explain(t.Context(), Inquiry{Config: cfg, Files: []string{one}, Log: slog.New(slog.DiscardHandler)}, func(x Explanation) error { got = x; return nil })
		if err != nil || len(got.Outcomes) != 1 || got.Outcomes[0].Outcome != want || got.As != "mail" {
			t.Errorf("trust: %s: %+v, %v", trust, got.Outcomes, err)
		}
		if len(sum.Parts) != 1 || sum.Parts[0].Input != "box" || len(sum.Notes) != 1 || !strings.Contains(sum.Notes[0], "does not run") {
			t.Errorf("got %+v", sum)
		}
	}
}

// TestExplainExcerptWithSenders: of a line alone nobody knows whose message it is about; of one that says so, it holds.
func TestExplainExcerptWithSenders(t *testing.T) {
	t.Parallel()
	d, err := newDemo(nil) // senders: ["*@news.example.com"]
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	bounced := "Nov 22 10:00:01 mx1 postfix/smtp[1]: 4F1A01C2D0: to=<jo@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=1, delays=0/0/1/0, dsn=5.1.1, status=bounced (host mx.example.org[192.0.2.1] said: 550 5.1.1 User unknown (in reply to RCPT TO command))\n"
	for text, want := range map[string]string{
		bounced: "bounce",
		"Nov 22 10:00:00 mx1 postfix/smtpd[1]: 4F1A01C2D0: client=localhost[127.0.0.1]\n" +
			"Nov 22 10:00:00 mx1 postfix/qmgr[1]: 4F1A01C2D0: from=<other@example.com>, size=1, nrcpt=1 (queue active)\n" + bounced: "other_sender",
	} {
		var last Explanation
		q := Inquiry{Config: d.config, Files: []string{"-"}, In: strings.NewReader(text), As: "postfix", Alone: true, Log: slog.New(slog.DiscardHandler)}
		if _, err := Explain(t.Context(), q, func(x Explanation) error { last = x; return nil }); err != nil || last.Kind != want || (last.If != "") != (want == "bounce") {
			t.Errorf("%s, not %s: %+v, %v", last.Kind, want, last, err)
		}
	}
}
