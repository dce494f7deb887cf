package maillog

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/parsers"
	"bouncefeed/parsers/parsertest"
)

func newTestJournald(t testing.TB, text string) *journald {
	t.Helper()
	return parsertest.Build(t, config.Env{}, "journald", text).(*journald)
}

// why is what became of one entry: the recipient of what it reports, the reason of its refusal, or "".
func (j *journald) why(t testing.TB, line string) (what string) {
	t.Helper()
	err := j.Parse(event.Record{Time: parsertest.Time, Body: []byte(line)}, func(e event.Event) { what = e.Recipient })
	if refused, ok := errors.AsType[*event.RefusedError](err); ok {
		return refused.Why
	}
	if err != nil {
		t.Error(err)
	}
	return what
}

const journalFailure = `{"SYSLOG_IDENTIFIER":"postfix/smtp","_MACHINE_ID":"%s","_UID":"%s","_EXE":"%s","_SYSTEMD_UNIT":"%s",` +
	`"_SOURCE_REALTIME_TIMESTAMP":"1795348483000000","MESSAGE":"5B1D2A2E332: to=<jo@example.net>, relay=none, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (unknown user)"}`

// The queue ids of a new memory are believed unseen, so that only the provenance decides.
func TestJournalProvenance(t *testing.T) {
	const smtp, unit = "/usr/lib/postfix/sbin/smtp", "postfix@-.service"
	here, err := os.ReadFile("/etc/machine-id")
	local := strings.TrimSpace(string(here))
	if err != nil || local == "" {
		t.Log("this machine has no id: every journal is another machine's")
	}
	for _, test := range []struct{ config, machine, uid, exe, unit, want string }{
		{"", "aa", "101", smtp, unit, "jo@example.net"},
		{"", "aa", "0", smtp, unit, "jo@example.net"},
		{"", "aa", "0", "/usr/libexec/postfix/local", "", "jo@example.net"},
		{"", "aa", "0", "/usr/sbin/postlog", "session-1.scope", "jo@example.net"},
		{"", "aa", "0", "", "", "jo@example.net"},
		{"", "aa", "0", "", "rsyslog.service", whyNotTheMTA},
		{"", "aa", "0", "/usr/sbin/rsyslogd", unit, whyNotTheMTA},
		{"", "aa", "1000", smtp, unit, whyNotTheMTA}, // a user's own process, started by his ~/.forward
		{"", "aa", "101", "", unit, whyNotTheMTA},    // too little to learn from
		{"", "aa", "101", smtp, "cron.service", whyNotTheMTA},
		{"", "aa", "", smtp, unit, whyNotTheMTA},
		{"", "aa", "+101", smtp, unit, whyNotTheMTA},
		{"users: [101]", "aa", "101", "", "", "jo@example.net"},
		{"users: [101]", "aa", "102", smtp, unit, whyNotTheMTA},
		{"users: [root]", "aa", "0", smtp, unit, "jo@example.net"},
		{"programs: [\"/opt/mta/*\"]", "aa", "0", "/opt/mta/bin/smtp", "", "jo@example.net"},
		{"", "aa", "0", "/opt/mta/bin/smtp", "", whyNotTheMTA},
	} {
		j := newTestJournald(t, test.config)
		if got := j.why(t, fmt.Sprintf(journalFailure, test.machine, test.uid, test.exe, test.unit)); got != test.want {
			t.Errorf("%+v: %s", test, got)
		}
	}
	j := newTestJournald(t, "")
	j.local = &localAccounts{machine: "bb", ids: map[string]string{"postfix": "117"}}
	for _, test := range []struct{ machine, uid, want string }{
		{"bb", "101", whyNotTheMTA}, {"bb", "117", "jo@example.net"}, // here the name tells
		{"aa", "103", "jo@example.net"}, {"aa", "117", whyNotTheMTA}, // elsewhere the first one
	} {
		if got := j.why(t, fmt.Sprintf(journalFailure, test.machine, test.uid, smtp, unit)); got != test.want {
			t.Errorf("%+v: %s", test, got)
		}
	}
}

// Programs that users run in a mail server's name are of no interest; only what would be believed is refused.
func TestJournalOfUsers(t *testing.T) {
	j := newTestJournald(t, "")
	for identifier, message := range map[string]string{
		"postfix/sendmail": "fatal: usage", "postfix/postdrop": "warning: mail_queue_enter", "postfix/smtpd": "5B1D2A2E332: client=localhost",
		"cron": "5B1D2A2E332: to=<jo@example.net>", "": "5B1D2A2E332: to=<jo@example.net>",
	} {
		if got := j.why(t, fmt.Sprintf(`{"SYSLOG_IDENTIFIER":%q,"_UID":"1000","MESSAGE":%q}`, identifier, message)); got != "" {
			t.Errorf("%s: %s: %s", identifier, message, got)
		}
	}
}

func TestJournalTooLong(t *testing.T) {
	j := newTestJournald(t, "")
	for body, want := range map[string]string{
		`{"SYSLOG_IDENTIFIER":"postfix/smtp","MESSAGE":"aaa`: event.WhyTooLong,
		`{"SYSLOG_IDENTIFIER":"cron","MESSAGE":"aaa`:         "",
	} {
		err := j.Parse(event.Record{Body: []byte(body), Truncated: true}, nil)
		if refused, _ := errors.AsType[*event.RefusedError](err); (refused == nil) != (want == "") || refused != nil && refused.Why != want {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// The journal's table has a row for each mail server whose log is followed by queue ids.
func TestJournalKnowsEveryMailServer(t *testing.T) {
	want, got := trackers(t), journalFormats()
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the journal's table has %v, parsers are there for %v", got, want)
	}
}

func TestJournalConfig(t *testing.T) {
	for text, want := range map[string]string{
		"parsers: [postfix, postfix]":                "each of",
		"parsers: [journald]":                        "each of",
		"parsers: [{type: postfix, memory: 1}]":      "memory",
		"parsers: [{type: postfix, memory: 2MiB}]":   "",
		"parsers: postfix":                           "",
		"users: [postfix]\n    programs: [\"/x/*\"]": "",
	} {
		c, err := config.Parse("t.yaml", []byte("inputs:\n  j:\n    type: journald\n    "+text+"\noutputs: {}\n"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = parsers.Modules.Build(config.Env{}, c.Inputs[0].Value)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// What a parser remembers survives a restart after every entry: nothing changes in what it says.
func TestJournalRestart(t *testing.T) {
	for _, file := range []string{"01-postfix-and-forgers", "02-fields", "03-other-mtas"} {
		data, err := os.ReadFile("../testdata/journald/" + file + ".in")
		if err != nil {
			t.Fatal(err)
		}
		state := map[string][]byte{}
		whole, parted := newTestJournald(t, ""), newTestJournald(t, "")
		for i, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
			if want, got := whole.why(t, line), parted.why(t, line); got != want {
				t.Errorf("%s: line %d: %q after a restart, %q without", file, i+1, got, want)
			}
			for key, value := range parted.Changes() {
				if state[key] = value; value == nil {
					delete(state, key)
				}
			}
			parted = newTestJournald(t, "")
			if err := parted.Load(maps.All(state)); err != nil {
				t.Fatal(err)
			}
		}
		if len(state) == 0 {
			t.Error("nothing was stored")
		}
	}
	if err := newTestJournald(t, "").Load(maps.All(map[string][]byte{"postfix/m12345678": {9}})); err == nil {
		t.Error("a damaged memory passes")
	}
}

// journalLoad is postfix's load as the journal would hold it.
func journalLoad(messages int) (lines [][]byte, bounces int) {
	var log bytes.Buffer
	_, bounces = writePostfixLoad(&log, messages)
	at := time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC).UnixMicro()
	for line := range bytes.Lines(log.Bytes()) {
		_, rest, _ := bytes.Cut(line, []byte("news "))
		tag, message, _ := strings.Cut(strings.TrimSuffix(string(rest), "\n"), "]: ")
		identifier, pid, _ := strings.Cut(tag, "[")
		at += 2000
		lines = append(lines, fmt.Appendf(nil, `{"__MONOTONIC_TIMESTAMP":"%d","_TRANSPORT":"syslog","SYSLOG_IDENTIFIER":"%s","_PID":"%s",`+
			`"__CURSOR":"s=91bfca1df18f46d6baa454154a56ef19;i=%x;b=e490833d79364792a005ec8c10173f54;m=%x;t=%x;x=fa0b0f51199dd3c4",`+
			`"_HOSTNAME":"news","_UID":"101","_EXE":"/usr/lib/postfix/sbin/%s","SYSLOG_PID":"%s","_MACHINE_ID":"27d463dbf859451dbfe8beb51b748a69",`+
			`"__REALTIME_TIMESTAMP":"%d","_BOOT_ID":"e490833d79364792a005ec8c10173f54","_SOURCE_REALTIME_TIMESTAMP":"%d","_COMM":"%s",`+
			`"_SYSTEMD_UNIT":"postfix@-.service","MESSAGE":"%s"}`,
			at, identifier, pid, len(lines), at, at, filepath.Base(identifier), pid, at, at, filepath.Base(identifier), message))
	}
	return lines, bounces
}

// BenchmarkJournald reads one entry per iteration, as BenchmarkPostfix does lines.
func BenchmarkJournald(b *testing.B) {
	lines, want := journalLoad(20_000)
	p := newTestJournald(b, "parsers: [postfix]")
	bounces, n, block := 0, 0, 0
	emit := func(e event.Event) {
		if e.Type == "" {
			bounces++
		}
	}
	b.SetBytes(int64(len(bytes.Join(lines, nil)) / len(lines)))
	b.ReportAllocs()
	for b.Loop() {
		line := lines[n%len(lines)]
		if err := p.Parse(event.Record{Time: parsertest.Time, Body: line}, emit); err != nil {
			b.Fatal(err)
		}
		if block += len(line); block > 256<<10 {
			p.Changes()
			block = 0
		}
		n++
	}
	if n >= len(lines) && bounces < want {
		b.Fatalf("%d bounces in %d lines, expected %d in %d", bounces, n, want, len(lines))
	}
}
