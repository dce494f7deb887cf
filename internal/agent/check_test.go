package agent

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bouncefeed/internal/config"
)

// checkAll tells what is wrong with a configuration, as `bouncefeed check` does, a mistake a line.
func checkAll(text string) string {
	cfg, err := config.Parse("c.yaml", []byte(text))
	if cfg == nil {
		return err.Error()
	}
	if err := config.Add("c.yaml", err, Check(cfg, "c.yaml", "test", slog.New(slog.DiscardHandler))); err != nil {
		return err.Error()
	}
	return ""
}

// wrong has a mistake of every kind.
const wrong = `inputs:
  exim:
    type: logfile
    path: main.log
    parser:
      type: exim
      verp: nothing
      memory: 12KiB
      max_age: 1h
      mynetworks: [10.0.0.0/8, somewhere, 10.0.0.0/99]
  sendmail: {type: logfile, path: /var/log/mail.log, poll: soon, parser: {type: sendmail, memry: 1GiB, max_age: 2h}}
  hooks:
    type: webhook
    listen: ["8025", "unix:run/sock"]
    max_connections: 1
    max_per_address: 0
    routes:
      - parser: {type: ses, topics: [one, two]}
      - parser: {type: copernica, accounts: [x], hosts: ["a b"]}
      - parser: nosuch
outputs:
  listmonk: {type: listmonk, url: /webhooks, send: [hard, loud, quiet], max_rate: -1}
rules:
  - name: a
    reason: user_unkown
    type: complaint
    code: 5x0, 650
    status: "5.1"
    text: ["* @ *", "fine", "{open"]
    remote: [good.example, "[bad"]
  - name: a
  - {code: "550", reason: spam, tipe: hard}
`

// wrongAt are its mistakes in the order of the file.
var wrongAt = []string{
	`4:11: inputs.exim.path: give the absolute path of the log`,
	`7:13: inputs.exim.parser.verp: `,
	`8:15: inputs.exim.parser.memory: less than 1MiB`,
	`9:16: inputs.exim.parser.max_age: mail waits in a queue for days before it is given up: at least 24h`,
	`10:32: inputs.exim.parser.mynetworks[1]: "somewhere" is no network`,
	`10:43: inputs.exim.parser.mynetworks[2]: "10.0.0.0/99" is no network`,
	`11:60: inputs.sendmail.poll: "soon" is no duration`,
	`11:91: unknown key "inputs.sendmail.parser.memry"; did you mean "memory"?`,
	`11:113: inputs.sendmail.parser.max_age: mail waits`,
	`14:14: inputs.hooks.listen[0]: "8025" is no address with its port`,
	`14:22: inputs.hooks.listen[1]: "unix:run/sock": the path of a socket begins with /`,
	`15:22: inputs.hooks.max_connections: must be from 8 to 100000`,
	`16:22: inputs.hooks.max_per_address: must be at least 1`,
	`18:38: inputs.hooks.routes[0].parser.topics[0]: "one" is no topic`,
	`18:43: inputs.hooks.routes[0].parser.topics[1]: "two" is no topic`,
	`19:46: inputs.hooks.routes[1].parser.accounts[0]: "x" is no X-Copernica-ID`,
	`19:58: inputs.hooks.routes[1].parser.hosts[0]: "a b" is no host name`,
	`20:17: inputs.hooks.routes[2].parser: unknown type "nosuch"`,
	`22:35: outputs.listmonk.url: `,
	`22:59: outputs.listmonk.send[1]: "loud" is none of`,
	`22:65: outputs.listmonk.send[2]: "quiet" is none of`,
	`22:83: outputs.listmonk.max_rate: must not be negative`,
	`25:13: rules[0].reason: unknown reason "user_unkown"; known: user_unknown`,
	`26:11: rules[0].type: unknown type "complaint": write hard or soft`,
	`27:11: rules[0].code: "5x0" is no reply code: write 550 or 5xx`,
	`27:11: rules[0].code: "650" is no reply code: write 550 or 5xx`,
	`28:13: rules[0].status: "5.1" is no enhanced status code`,
	`29:12: rules[0].text[0]: `,
	`29:29: rules[0].text[2]: `,
	`30:28: rules[0].remote[1]: remote "[bad" is no host name pattern`,
	`31:5: rules[1]: needs a condition: code, status, text or remote`,
	`31:5: rules[1]: needs a reason or a type`,
	`31:11: rules[1].name: the name stands twice`,
	`32:5: rules[2]: lacks its name`,
	`32:33: unknown key "rules[2].tipe"; did you mean "type"?`,
}

// One run of check tells all mistakes, those of modules, of their parsers and of the rules too, each with its place.
func TestCheckTellsEveryMistakeAtOnce(t *testing.T) {
	t.Parallel()
	got, want := checkAll(wrong), wrongAt
	lines := strings.Split(got, "\n")
	for i := range max(len(lines), len(want)) {
		switch {
		case i >= len(lines):
			t.Errorf("not told: %s", want[i])
		case i >= len(want):
			t.Errorf("told besides: %s", lines[i])
		case !strings.HasPrefix(lines[i], "c.yaml:"+want[i]):
			t.Errorf("got  %s\nwant c.yaml:%s", lines[i], want[i])
		}
	}
}

// What could not be read is not told to be missing as well; and a fault of one key hides none of the others.
func TestCheckTellsNothingTwice(t *testing.T) {
	t.Parallel()
	const head = "outputs:\n  file: {type: file, path: /var/lib/bouncefeed/x.jsonl}\ninputs:\n  in: "
	for section, want := range map[string]string{
		`{type: logfile, path: [/a, /b], parser: postfix}`:              "c.yaml:4:29: inputs.in.path takes one value, not a list",
		`{type: logfile, path: /a, parser: {type: postfix, verp: [x]}}`: "c.yaml:4:63: inputs.in.parser.verp takes one value, not a list",
		`{type: logfle, path: /a, parser: postfix}`:                     `c.yaml:4:14: inputs.in: unknown type "logfle"; did you mean "logfile"?`,
		`{type: logfile, path: /a}`:                                     "c.yaml:4:14: inputs.in: lacks its parser: one of exim, journald, kumomta, opensmtpd, postfix, powermta, sendmail",
		`{type: logfile, path: /a, parser: postfix}`:                    "",
	} {
		if got := checkAll(head + section); got != want {
			t.Errorf("%s\n got %s\nwant %s", section, got, want)
		}
	}
	if got := checkAll("log: {level: info}\n"); got != "c.yaml: no inputs: nothing to read\nc.yaml: no outputs: nowhere to send" {
		t.Errorf("an empty configuration: %s", got)
	}
}

func TestProbeQueue(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	probe := func(path string) error {
		cfg := config.Default()
		cfg.Queue.Path, cfg.Control.Socket = path, filepath.Join(dir, "no.sock")
		return probeQueue(context.Background(), cfg)
	}
	if err := probe(filepath.Join(dir, "made", "later", "queue.db")); err != nil {
		t.Errorf("a folder that is made on the first start: %v", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := probe(filepath.Join(dir, "file", "queue.db")); err == nil || !strings.Contains(err.Error(), "is no directory") {
		t.Errorf("below a file: %v", err)
	}
	if err := os.Symlink("file", filepath.Join(dir, "link.db")); err != nil {
		t.Fatal(err)
	}
	if err := probe(filepath.Join(dir, "link.db")); err == nil || !strings.Contains(err.Error(), "is a symlink") {
		t.Errorf("a symlink: %v", err)
	}
}

// Configurations as tired admins write them, each with what check says of it.
func TestBrokenConfigurations(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/check/*.yaml")
	if err != nil || len(files) < 40 {
		t.Fatal(len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got := checkAll(string(data)) + "\n"
		wanted := strings.TrimSuffix(file, ".yaml") + ".want"
		if f := flag.Lookup("update"); f != nil && f.Value.String() == "true" { // parsertest has it
			if err := os.WriteFile(wanted, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(wanted)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s:\ngot\n%s\nwant\n%s", file, got, want)
		}
	}
}
