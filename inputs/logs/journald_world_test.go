package logs

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/inputs/inputtest"
	"bouncefeed/internal/e2e/e2etest"
)

// journalWorld is a journal of our own: real files, written by systemd-journal-remote and read by journalctl.
type journalWorld struct {
	t      testing.TB
	dir    string
	remote string // the program
	input  *journald
	said   *bytes.Buffer
	clock  time.Time
	boot   int
	ticks  int // since boot
	number int
}

func newJournalWorld(t testing.TB) *journalWorld {
	t.Helper()
	tools := t.TempDir()
	program, err := e2etest.Program(tools, "/usr/bin/journalctl")
	remote, err2 := e2etest.Program(tools, "/usr/lib/systemd/systemd-journal-remote")
	if err = errors.Join(err, err2); err != nil {
		e2etest.Skip(t, err.Error())
	}
	w := &journalWorld{t: t, dir: t.TempDir(), said: &bytes.Buffer{}, remote: remote, clock: time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC)}
	c := *inputs.Modules.Defaults("journald").(*journaldConfig)
	c.Directory, c.Start = w.dir, inputs.StartBeginning
	w.input = &journald{config: c, log: slog.New(slog.NewTextHandler(w.said, nil)), program: program}
	return w
}

// write adds an entry to a file of the journal; fields are "NAME=value".
func (w *journalWorld) write(file string, entries ...[]string) {
	w.t.Helper()
	var export bytes.Buffer // systemd's Journal Export Format
	for _, fields := range entries {
		w.clock = w.clock.Add(time.Millisecond)
		w.ticks++
		fmt.Fprintf(&export, "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=e490833d79364792a005ec8c1017%04d\n",
			w.clock.UnixMicro(), w.ticks*1000, w.boot)
		for _, f := range fields {
			export.WriteString(f + "\n")
		}
		export.WriteString("\n")
	}
	cmd := exec.Command(w.remote, "-o", filepath.Join(w.dir, file), "-")
	cmd.Stdin = &export
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("systemd-journal-remote: %v\n%s", err, out)
	}
}

func mailEntry(message string) []string {
	return []string{
		"SYSLOG_FACILITY=2", "SYSLOG_IDENTIFIER=postfix/smtp", "_TRANSPORT=syslog", "_UID=101",
		"_SYSTEMD_UNIT=postfix@-.service", "_EXE=/usr/lib/postfix/sbin/smtp", "MESSAGE=" + message,
	}
}

// add writes n numbered entries of a mail server, each behind one of something else, and gives their messages.
func (w *journalWorld) add(file string, n int) (messages []string) {
	var entries [][]string
	for range n {
		w.number++
		messages = append(messages, fmt.Sprintf("message %d", w.number))
		entries = append(entries, []string{"SYSLOG_IDENTIFIER=cron", "MESSAGE=nothing"}, mailEntry(messages[len(messages)-1]))
	}
	w.write(file, entries...)
	return messages
}

// messages takes the MESSAGE out of records.
func messages(bodies []string) (all []string) {
	for _, b := range bodies {
		_, rest, _ := strings.Cut(b, `"MESSAGE":"`)
		message, _, _ := strings.Cut(rest, `"`)
		all = append(all, message)
	}
	return all
}

// remove deletes a file of the journal, as a vacuum does.
func (w *journalWorld) remove(file string) {
	w.t.Helper()
	if err := os.Remove(filepath.Join(w.dir, file)); err != nil {
		w.t.Fatal(err)
	}
}

// read runs the input on sink until it holds n records in all and everything has been read.
func (w *journalWorld) read(sink *inputtest.Sink, n int) {
	w.t.Helper()
	err := inputtest.RunUntil(w.t.(*testing.T), w.input, sink, func() bool { return sink.Has(make([]string, n)) })
	if err != nil {
		w.t.Fatal(err)
	}
}

// scriptedJournal is an input whose journalctl is a shell script.
func scriptedJournal(t *testing.T, script string) *journald {
	t.Helper()
	program := filepath.Join(t.TempDir(), "journalctl")
	syscall.ForkLock.RLock() // a child forked while the file is open for writing would keep it from being executed (ETXTBSY)
	err := os.WriteFile(program, []byte("#!/bin/sh\n"+script+"\n"), 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	c := *inputs.Modules.Defaults("journald").(*journaldConfig)
	c.Directory, c.Start = t.TempDir(), inputs.StartBeginning
	return &journald{config: c, log: slog.New(slog.DiscardHandler), program: program}
}
