package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// An address that is forgotten is nowhere any more: not among what was sent, in the parser's memory or in the file. The
// daemon goes on, and loses nothing of others.
func TestForget(t *testing.T) {
	posted := make(chan struct{}, 64)
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { posted <- struct{}{} }))
	defer receiver.Close()
	dir := t.TempDir()
	log, db := filepath.Join(dir, "mail.log"), filepath.Join(dir, "queue.db")
	cfg := write(t, "c.yaml", fmt.Sprintf(`inputs:
  postfix: {type: logfile, path: %s, parser: postfix, start: beginning}
outputs:
  hook: {type: webhook, url: "%s"}
queue: {path: %s}
control: {socket: %s/control.sock}
`, log, receiver.URL, db, dir))
	open := func(id string) string {
		return strings.NewReplacer("ID", id).Replace("2026-11-22T10:00:00+00:00 mx1 postfix/pickup[1]: ID: uid=0 from=<news@example.com>\n" +
			"2026-11-22T10:00:00+00:00 mx1 postfix/cleanup[1]: ID: message-id=<ID@example.com>\n" +
			"2026-11-22T10:00:00+00:00 mx1 postfix/qmgr[1]: ID: from=<news@example.com>, size=1, nrcpt=1 (queue active)\n")
	}
	line := func(id, to, status string) string {
		return fmt.Sprintf("2026-11-22T10:00:01+00:00 mx1 postfix/smtp[1]: %s: to=<%s>, relay=mx.example.org[192.0.2.1]:25, delay=1, delays=0/0/1/0, dsn=%s (host mx.example.org[192.0.2.1] said: 550 5.1.1 User unknown (in reply to RCPT TO command))\n", id, to, status)
	}
	add := func(text string) {
		t.Helper()
		f, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err == nil {
			_, err = f.WriteString(text)
		}
		if err != nil || f.Close() != nil {
			t.Fatal(err)
		}
	}
	arrives := func() {
		t.Helper()
		select {
		case <-posted:
		case <-time.After(time.Minute):
			t.Fatal("nothing came")
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan result, 1)
	go func() { ended <- commandIn(ctx, "", "run", "-c", cfg) }()
	until(t, "the daemon answers", func() bool { return command(t, "", "status", "-c", cfg).code == 0 })
	add(open("4F1A01C2D0") + line("4F1A01C2D0", "Jo@example.org", "5.1.1, status=bounced") +
		open("4F1A01C2D1") + line("4F1A01C2D1", "jo@example.org", "4.2.0, status=deferred") + open("4F1A01C2D2"))
	arrives()
	until(t, "it is known", func() bool { return command(t, "", "find", "jo@example.org", "-c", cfg).code == 0 })

	r := command(t, "", "forget", "jo@EXAMPLE.org", "-c", cfg)
	r.expect(t, 0, "erased of jo@EXAMPLE.org: events 1, ", "")
	command(t, "", "find", "jo@example.org", "-c", cfg).expect(t, exitFailure, "", "nothing is known")
	add(line("4F1A01C2D2", "mia@example.org", "5.1.1, status=bounced"))
	arrives()
	command(t, "", "forget", "nobody", "-c", cfg).expect(t, exitFailure, "", "no address")
	command(t, "", "forget", "--json", "jo@example.org", "-c", cfg).expect(t, 0, `"events":0,`, "")
	stop()
	if r := <-ended; r.code != 0 || strings.Contains(r.err, "jo@") {
		t.Errorf("code %d, log:\n%s", r.code, r.err)
	}
	content, err := os.ReadFile(db)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(bytes.ToLower(content), []byte("jo@example.org")) {
		t.Error("the queue file still has it")
	}
	if !bytes.Contains(content, []byte("groups")) {
		t.Error("this is no queue file")
	}
	command(t, "", "forget", "mia@example.org", "-c", cfg).expect(t, 0, "events 1,", "") // of its queue
	command(t, "", "find", "mia@example.org", "-c", cfg).expect(t, exitFailure, "", "nothing is known")
}
