package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bouncefeed/internal/agent"
)

// site is a configuration whose log, queue and receiver are there.
func site(t *testing.T, url string) (cfg, dir string) {
	t.Helper()
	dir = t.TempDir()
	log := filepath.Join(dir, "mail.log")
	if err := os.WriteFile(log, []byte(postfixLog), 0o644); err != nil {
		t.Fatal(err)
	}
	return write(t, "c.yaml", fmt.Sprintf(`inputs:
  postfix: {type: logfile, path: %s, parser: postfix, start: beginning}
  hooks: {type: webhook, listen: "127.0.0.1:0", public_url: "https://mx1.example.org/bf", routes: [{parser: native, path: /in, from: 192.0.2.1}]}
outputs:
  hook: {type: webhook, url: "%s"}
queue: {path: %s/queue.db}
control: {socket: %s/control.sock}
`, log, url, dir, dir)), dir
}

func TestCheck(t *testing.T) {
	t.Parallel()
	cfg, dir := site(t, "http://127.0.0.1:9/")
	r := command(t, "", "check", "-c", cfg)
	r.expect(t, 0, "ok     configuration "+cfg+"\n", "")
	r.expect(t, 0, "ok     input hooks: ", "")
	r.expect(t, 0, "https://mx1.example.org/bf/in", "")
	r = command(t, "", "check", "-c", cfg, "--json")
	for line := range strings.Lines(r.out) {
		var f agent.Finding
		if err := json.Unmarshal([]byte(line), &f); err != nil || !f.OK || f.What == "" {
			t.Errorf("%s: %v", line, err)
		}
	}
	if r.code != 0 || strings.Count(r.out, "\n") != 3 || !strings.Contains(r.out, "logger(1)") {
		t.Errorf("%+v", r)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("check left something behind: %v", entries)
	}
}

// Every mistake is told at once, each with its place and remedy, and counted; the exit code is the configuration's.
func TestCheckTellsAllMistakes(t *testing.T) {
	t.Parallel()
	cfg := write(t, "c.yaml", `inputs:
  exim: {type: logfile, path: mainlog, parser: {type: exim, memory: 1KiB, max_age: 1h}}
outputs:
  hook: {type: webhook, url: nowhere, send: [everything]}
quue: {path: /q.db}
rules:
  - {name: mine, code: "5", reason: spam}
`)
	r := command(t, "", "check", "-c", cfg)
	r.expect(t, exitConfig, "", "\n7 mistakes in the configuration\n")
	if r.out != "" {
		t.Errorf("on standard output: %s", r.out)
	}
	for _, want := range []string{
		":2:31: inputs.exim.path: give the absolute path of the log, such as /var/log/mail.log",
		":2:69: inputs.exim.parser.memory: less than 1MiB holds too few messages",
		":2:84: inputs.exim.parser.max_age: mail waits in a queue for days before it is given up: at least 24h",
		":4:30: outputs.hook.url: ",
		":4:46: outputs.hook.send[0]: \"everything\" is none of hard, soft, complaint, sender_fault",
		":5:1: unknown key \"quue\"; did you mean \"queue\"?",
		":7:24: rules[0].code: \"5\" is no reply code: write 550 or 5xx",
	} {
		if !strings.Contains(r.err, cfg+want) {
			t.Errorf("lacks %s%s:\n%s", cfg, want, r.err)
		}
	}
	r = command(t, "", "check", "--json", "-c", cfg)
	r.expect(t, exitConfig, `{"what":"configuration `+cfg+`","ok":false,"detail":"unknown key \"quue\"; did you mean \"queue\"?","line":5,"col":1}`, "7 mistakes")
	one := write(t, "c.yaml", "log: {level: loud}\n")
	command(t, "", "check", "-c", one).expect(t, exitConfig, "", "3 mistakes in the configuration") // and no inputs, no outputs
}

func TestCheckOnline(t *testing.T) {
	t.Parallel()
	posts := 0
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			posts++
		}
	}))
	defer receiver.Close()
	cfg, _ := site(t, receiver.URL)
	r := command(t, "", "check", "--online", "-c", cfg)
	r.expect(t, 0, "ok     input postfix\n", "")
	r.expect(t, 0, "ok     queue\n", "")
	r.expect(t, 0, "ok     output hook\n", "")

	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := gone.Addr().String()
	gone.Close()
	cfg, dir := site(t, "http://"+address)
	if err := os.Remove(filepath.Join(dir, "mail.log")); err != nil {
		t.Fatal(err)
	}
	r = command(t, "", "check", "--online", "-c", cfg)
	r.expect(t, exitFailure, "WRONG  input postfix: ", "bouncefeed: 2 of ")
	r.expect(t, exitFailure, "WRONG  output hook: ", " checks went wrong\n")
	r.expect(t, exitFailure, "ok     queue\n", "")
	r = command(t, "", "check", "--online", "--json", "-c", cfg)
	r.expect(t, exitFailure, `{"what":"queue","ok":true}`, "2 of ")
	r.expect(t, exitFailure, `{"what":"input postfix","ok":false,"detail":"`, "")
}

// A check as root is one as the service: the unit's lines are what systemd-run takes.
func TestSandboxOf(t *testing.T) {
	t.Parallel()
	unit, err := os.ReadFile("../../systemd/bouncefeed.service")
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(sandboxOf(string(unit)+"\n# drop-in\n[Service]\nReadWritePaths=/srv/x\nSupplementaryGroups=vmail\nLoadCredential=a:/root/a\n"), "\n")
	for _, want := range []string{"=User=bouncefeed", "=SupplementaryGroups=vmail", "=ProtectSystem=strict", "=ReadWritePaths=/srv/x", "=LoadCredential=a:/root/a", "=ReadWritePaths=-/var/lib/bouncefeed"} {
		if !strings.Contains(got, "--property"+want) {
			t.Errorf("lacks %s:\n%s", want, got)
		}
	}
	if strings.Contains(got, "Exec") || sandboxOf("") != nil {
		t.Error(got)
	}
}
