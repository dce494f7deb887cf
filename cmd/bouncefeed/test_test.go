package main

import (
	"os"
	"path/filepath"
	"testing"
)

const testedConfig = `
inputs: {postfix: {type: logfile, path: /var/log/mail.log, parser: postfix}}
outputs: {f: {type: file, path: /tmp/out}}
rules: [{name: partner, text: [over the limit], reason: mailbox_full}]
tests:
  - {name: partner's quota, reply: "550 5.1.1 over the limit", type: soft, reason: mailbox_full}
  - {line: "Nov 22 10:00:01 mx1 postfix/smtp[1]: 4F1A01C2D0: to=<jo@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=1, delays=0/0/1/0, dsn=5.1.1, status=bounced (host mx.example.org[192.0.2.1] said: 550 5.1.1 User unknown (in reply to RCPT TO command))", type: hard, recipient: Jo@example.org}
  - {name: a mail, file: bounce.eml, reason: user_unknown}
  - {name: nothing, line: "Nov 22 10:00:00 mx1 postfix/smtpd[1]: connect from a.example[192.0.2.1]", type: none}
`

func TestTests(t *testing.T) {
	t.Parallel()
	cfg := write(t, "c.yaml", testedConfig)
	if err := os.WriteFile(filepath.Join(filepath.Dir(cfg), "bounce.eml"), []byte(bounceMail), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, "", "test", "-c", cfg).expect(t, 0, "ok      partner's quota: soft mailbox_full\nok      tests[1]: hard of Jo@example.org\nok      a mail: user_unknown\nok      nothing: none\n", "")
	wrong := write(t, "c.yaml", testedConfig+`  - {name: unlike, reply: "550 5.1.1 over the limit", type: hard}
  - {name: too much, line: hello, type: hard}
`)
	if err := os.WriteFile(filepath.Join(filepath.Dir(wrong), "bounce.eml"), []byte(bounceMail), 0o600); err != nil {
		t.Fatal(err)
	}
	r := command(t, "", "test", "-c", wrong)
	r.expect(t, exitFailure, "FAILED  unlike: soft mailbox_full (rule partner), expected hard\n", "bouncefeed: 2 of 6 tests failed")
	r.expect(t, exitFailure, "FAILED  too much: none, expected hard\n", "")
	command(t, "", "test", "--json", "-c", wrong).expect(t, exitFailure, `{"name":"unlike","ok":false,"want":"hard","got":"soft mailbox_full","rule":"partner"}`, "")
}

func TestTestsWithMistakes(t *testing.T) {
	t.Parallel()
	for tests, want := range map[string]string{
		"": "there are no tests: in ",
	} {
		command(t, "", "test", "-c", write(t, "c.yaml", "inputs: {p: {type: logfile, path: /x.log, parser: postfix}}\noutputs: {f: {type: file, path: /tmp/out}}\n"+tests)).expect(t, exitFailure, "", want)
	}
	for tests, want := range map[string]string{
		"tests: [{type: hard}]":                                   ":3:9: tests[0]: needs one of line, reply and file",
		"tests: [{reply: x}]":                                     "tests[0]: expects nothing: give a type, a reason or a recipient",
		"tests: [{reply: x, type: severe}]":                       `:3:26: tests[0].type: "severe" is none of hard, soft, complaint and none`,
		"tests: [{reply: x, reason: gone}]":                       `"gone" is no reason`,
		"tests: [{line: x, as: postfx, type: hard}]":              `"postfx" is no format`,
		"tests: [{line: x, type: none, recipient: jo@x.example}]": "none has no reason",
	} {
		command(t, "", "test", "-c", write(t, "c.yaml", "inputs: {p: {type: logfile, path: /x.log, parser: postfix}}\noutputs: {f: {type: file, path: /tmp/out}}\n"+tests)).expect(t, exitConfig, "", want)
	}
}
