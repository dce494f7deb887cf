package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// A mail server of a shell script's size: it logs what became of the mail.
func mailServer(t *testing.T, log, fate string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "sendmail")
	script := fmt.Sprintf(`#!/bin/sh
[ "$1 $2 $4" = "-i -f --" ] || exit 64
cat > /dev/null
now=$(date '+%%b %%e %%H:%%M:%%S')
cat >> %s <<X
$now mx1 postfix/pickup[99]: 4XyzAAAA01: uid=0 from=<$3>
$now mx1 postfix/cleanup[99]: 4XyzAAAA01: message-id=<test@mx1>
$now mx1 postfix/qmgr[99]: 4XyzAAAA01: from=<$3>, size=300, nrcpt=1 (queue active)
$now mx1 postfix/smtp[99]: 4XyzAAAA01: to=<$5>, relay=none, delay=0.1, delays=0/0/0/0.1, %s
$now mx1 postfix/qmgr[99]: 4XyzAAAA01: removed
X
`, log, fate)
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return program
}

func TestTestBounce(t *testing.T) {
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer receiver.Close()
	dir := t.TempDir()
	log := filepath.Join(dir, "mail.log")
	if err := os.WriteFile(log, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	cfg := write(t, "c.yaml", fmt.Sprintf(`inputs:
  postfix: {type: logfile, path: %s, parser: postfix, start: beginning, senders: ["*@news.example.com"]}
outputs:
  hook: {type: webhook, url: "%s"}
queue: {path: %s/queue.db}
control: {socket: %s/control.sock}
`, log, receiver.URL, dir, dir))
	command(t, "", "test-bounce", "-c", cfg).expect(t, exitUnavailable, "", "is not running")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan result, 1)
	go func() { ended <- commandIn(ctx, "", "run", "-c", cfg) }()
	defer func() { stop(); <-ended }()
	until(t, "the daemon answers", func() bool { return command(t, "", "status", "-c", cfg).code == 0 })

	bounced := mailServer(t, log, `dsn=5.4.4, status=bounced (Host or domain name not found. Name service error for name=invalid.invalid type=AAAA: Host not found)`)
	r := command(t, "", "test-bounce", "-c", cfg, "--sendmail", bounced)
	r.expect(t, 0, "@invalid.invalid from bouncefeed-test@news.example.com\n", "")
	r.expect(t, 0, "ok     input postfix: found and stored: hard domain_unknown: Host or domain name not found.", "")
	r.expect(t, 0, "ok     output hook: delivered", "")

	deferred := mailServer(t, log, `dsn=4.4.3, status=deferred (Host or domain name not found. Name service error: Host not found, try again)`)
	r = command(t, "", "test-bounce", "-c", cfg, "--sendmail", deferred, "--wait", "2s", "--json", "jo@invalid.invalid")
	r.expect(t, exitFailure, `"what":"input postfix","ok":false,"detail":"5 lines were read since: 1 delayed (a deferral`, "did not come through")
	command(t, "", "test-bounce", "-c", cfg, "--sendmail", "/bin/false").expect(t, exitFailure, "", "/bin/false: exit status 1")
	command(t, "", "test-bounce", "a", "b").expect(t, exitUsage, "", "one address at most")
}
