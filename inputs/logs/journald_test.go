package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bouncefeed/inputs"
	"bouncefeed/inputs/inputtest"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
)

func TestJournaldConformance(t *testing.T) {
	inputtest.Conformance(t, func(t *testing.T) inputtest.Source {
		w := newJournalWorld(t)
		return inputtest.Source{Input: messagesOnly{w.input}, Add: func(n int) []string { return w.add("a.journal", n) }}
	})
}

// messagesOnly shows of each entry its message, which is what the conformance suite knows.
type messagesOnly struct{ inputs.Input }

func (m messagesOnly) Run(ctx context.Context, sink inputs.Sink) error {
	return m.Input.Run(ctx, messageSink{sink})
}

type messageSink struct{ inputs.Sink }

func (s messageSink) Commit(ctx context.Context, recs []event.Record, checkpoint map[string]string) error {
	var short []event.Record
	for _, r := range recs {
		short = append(short, event.Record{Body: []byte(messages([]string{string(r.Body)})[0])})
	}
	return s.Sink.Commit(ctx, short, checkpoint)
}

func TestJournaldStartsAtTheEnd(t *testing.T) {
	t.Parallel()
	w := newJournalWorld(t)
	w.input.config.Start = inputs.StartEnd
	w.add("a.journal", 5)
	sink := &inputtest.Sink{}
	if err := inputtest.RunUntil(t, w.input, sink, func() bool { return sink.Value("cursor") != "" }); err != nil {
		t.Fatal(err)
	}
	want := w.add("a.journal", 2) // while nobody reads
	w.read(sink, 2)
	if got := messages(sink.Bodies); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// An empty journal is a fault to be told, but what it holds later is all new.
func TestJournaldStartsEmpty(t *testing.T) {
	t.Parallel()
	w := newJournalWorld(t)
	w.input.config.Start = inputs.StartEnd
	sink := &inputtest.Sink{}
	if err := w.input.Run(t.Context(), sink); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("Run: %v", err)
	}
	want := w.add("a.journal", 2)
	w.read(sink, 2)
	if got := messages(sink.Bodies); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestJournaldGap(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		lose func(*journalWorld) []string // gives what is still to be read
		gaps string
	}{
		{"nothing lost", func(w *journalWorld) []string { return w.add("b.journal", 2) }, "0"},
		{"vacuumed", func(w *journalWorld) []string { w.remove("a.journal"); return w.add("b.journal", 2) }, "1"},
		{"more vacuumed", func(w *journalWorld) []string {
			w.add("b.journal", 5)
			w.remove("a.journal")
			w.remove("b.journal")
			return w.add("c.journal", 2)
		}, "1"},
		{"vacuumed, and booted with the clock a year behind", func(w *journalWorld) []string {
			w.remove("a.journal")
			w.clock = w.clock.AddDate(-1, 0, 0)
			w.boot, w.ticks = w.boot+1, 0
			w.add("b.journal", 1) // can't be told from what was read long ago
			return nil
		}, "1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newJournalWorld(t)
			w.add("a.journal", 3)
			sink := &inputtest.Sink{}
			w.read(sink, 3)
			want := test.lose(w)
			w.read(sink, 3+len(want))
			if len(want) == 0 { // it went on at the end
				if err := inputtest.RunUntil(t, w.input, sink, func() bool { return sink.Value("gaps") == test.gaps }); err != nil {
					t.Fatal(err)
				}
				want = w.add("b.journal", 1)
				w.read(sink, 4)
			}
			if got := messages(sink.Bodies[3:]); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
			if sink.Value("gaps") != test.gaps || strings.Contains(w.said.String(), "no longer holds") != (test.gaps != "0") {
				t.Errorf("%s gaps; said %s", sink.Value("gaps"), w.said)
			}
			w.read(sink, len(sink.Bodies))
			if sink.Value("gaps") != test.gaps {
				t.Errorf("the same gap counts again")
			}
		})
	}
}

// What was written before the machine went down is read once it is up again.
func TestJournaldBoots(t *testing.T) {
	t.Parallel()
	w := newJournalWorld(t)
	want := w.add("a.journal", 2)
	sink := &inputtest.Sink{}
	w.read(sink, 2)
	for range 3 {
		want = append(want, w.add("a.journal", 2)...)
		w.boot, w.ticks = w.boot+1, 0
	}
	want = append(want, w.add("b.journal", 2)...)
	w.read(sink, len(want))
	if got := messages(sink.Bodies); !slices.Equal(got, want) || sink.Value("gaps") != "0" {
		t.Errorf("got %q, want %q; %s gaps", got, want, sink.Value("gaps"))
	}
}

// journald tells that it dropped messages; anybody can write the same words.
func TestJournaldDropped(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		transport, unit, gaps string
	}{
		{"driver", "postfix@-.service", "1"}, {"driver", "postfix@out.service", "1"},
		{"driver", "session-3.scope", "0"}, {"journal", "postfix@-.service", "0"},
	} {
		t.Run(test.transport+" "+test.unit, func(t *testing.T) {
			w := newJournalWorld(t)
			w.write("a.journal", []string{
				"MESSAGE=Suppressed 17 messages from " + test.unit, "MESSAGE_ID=" + journalDropped, "N_DROPPED=17",
				"_TRANSPORT=" + test.transport, "SYSLOG_IDENTIFIER=systemd-journald",
			})
			sink := &inputtest.Sink{}
			w.read(sink, 1)
			if sink.Value("gaps") != test.gaps || strings.Contains(w.said.String(), "LogRateLimitBurst=1000000") != (test.gaps == "1") {
				t.Errorf("%s gaps; said %s", sink.Value("gaps"), w.said)
			}
			if p := w.input.Report(); p.Gaps != uint64(test.gaps[0]-'0') {
				t.Errorf("%+v", p)
			}
		})
	}
}

func TestJournaldReport(t *testing.T) {
	t.Parallel()
	w := newJournalWorld(t)
	w.add("a.journal", 2)
	sink := &inputtest.Sink{}
	if err := inputtest.RunUntil(t, w.input, sink, func() bool { return sink.Has(make([]string, 2)) && w.input.Report().Lag == 0 }); err != nil {
		t.Fatal(err)
	}
	if p := w.input.Report(); p.At != "journal entry of 2026-11-22T07:00:00.004Z" || p.Unit != "entries" {
		t.Errorf("%+v", p)
	}
}

func TestJournaldProbe(t *testing.T) {
	t.Parallel()
	w := newJournalWorld(t)
	probe := func(want string) {
		t.Helper()
		err := w.input.Probe(t.Context())
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("Probe: %v, want %q", err, want)
		}
	}
	probe("systemd-journal")
	w.write("a.journal", []string{"MESSAGE=hello"})
	probe("type: logfile")
	w.add("a.journal", 1)
	probe("")
	w.input.config.Directory = w.dir + "/missing"
	probe("No such file")
	w.input.program = "journalctl-that-is-not-there"
	probe("comes with systemd")
}

func TestJournaldConfig(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"type: journald": "",
		"type: journald\nparser:\n  type: journald\n  parsers: [postfix]": "",
		"type: journald\nparser: postfix":                                 "parsers: [postfix]",
		"type: journald\nmatch: []":                                       "at least one",
		"type: journald\nmatch: [postfix.service]":                        "not of the form",
		"type: journald\nmatch: [\"--file=x\"]":                           "not of the form",
		"type: journald\nmatch: [\"A=b C=d\", _UID=0]":                    "",
		"type: journald\ndirectory: journal":                              "absolute",
		"type: journald\nstart: middle":                                   "neither",
	} {
		c, err := config.Parse("t.yaml", []byte("inputs:\n  j:\n    "+strings.ReplaceAll(text, "\n", "\n    ")+"\noutputs: {}\n"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = inputs.Modules.Build(config.Env{}, c.Inputs[0].Value)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestCursor(t *testing.T) {
	t.Parallel()
	const a = "s=91bf;i=7f;b=e490;m=b7be9ac3;t=660d7da7518e4;x=fa0b"
	if !sameCursor(a, "s=77aa;i=3;b=e490;m=b7be9ac3;t=660d7da7518e4;x=fa0b") {
		t.Error("moved from /run to /var: the same entry")
	}
	if sameCursor(a, "s=91bf;i=7f;b=e490;m=b7be9ac4;t=660d7da7518e4;x=fa0b") || sameCursor("", "") {
		t.Error("not the same entry")
	}
	if !isSuccessor(a, "s=91bf;i=80;b=1;m=1;t=1;x=1") || isSuccessor(a, "s=91bf;i=81") || isSuccessor(a, "s=77aa;i=80") || isSuccessor("", "") {
		t.Error("isSuccessor")
	}
	if got := cursorOf([]byte(`{"MESSAGE":"\"__CURSOR\":\"s=1\"","__CURSOR":"s=2","X":"y"}`)); got != "s=2" {
		t.Error(got)
	}
	if got := cursorOf([]byte(`{"MESSAGE":"x","__CURSOR":"s=2`)); got != "" {
		t.Error(got)
	}
}

// Scripts in journalctl's place, for what the real one does only in trouble.
func TestJournaldTrouble(t *testing.T) {
	t.Parallel()
	const entry = `{"MESSAGE":"m","__CURSOR":"s=1;i=1;b=1;m=1;t=1;x=1"}`
	const start = `case "$*" in *--follow*) ;; *--lines=1*) echo '` + entry + `'; exit 0;; *) exit 0;; esac; `
	for _, test := range []struct{ name, script, want string }{
		{"dies", start + "echo '" + entry + "'; exit 0", "ended by itself"},
		{"dies with words", start + "echo 'Failed to iterate: Bad message' >&2; exit 1", "exit status 1: Failed to iterate: Bad message"},
		{"dies with many words", start + "head -c 10000000 /dev/zero | tr '\\0' x >&2; exit 1", "exit status 1: xxx"},
		{"is killed", start + "kill -9 $$", "signal: killed"},
		{"may not read", "echo 'No journal files were opened due to insufficient permissions.' >&2; exit 1", "systemd-journal"},
		{"closes its output and lives on", start + "exec >&- 2>&-; sleep 60", "signal: killed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := scriptedJournal(t, test.script)
			err := in.Run(t.Context(), &inputtest.Sink{})
			if err == nil || !strings.Contains(err.Error(), test.want) || len(err.Error()) > maxStderr+200 {
				t.Errorf("Run: %.200v", err)
			}
		})
	}
}

// Entries of any size and lines of anything pass in bounded memory, and reading goes on behind them.
func TestJournaldHugeEntries(t *testing.T) {
	t.Parallel()
	in := scriptedJournal(t, `case "$*" in *--follow*) ;; *--lines=1*) echo '{"__CURSOR":"s=1;i=1;b=1;m=1;t=1;x=1"}'; exit 0;; *) exit 0;; esac
printf '{"MESSAGE":"'; head -c 30000000 /dev/zero | tr '\0' x; printf '","__CURSOR":"s=1;i=2;b=1;m=2;t=2;x=2"}\n'
head -c 100000 /dev/urandom | tr '\n' x; echo
echo '{"MESSAGE":"last","__CURSOR":"s=1;i=3;b=1;m=3;t=3;x=3"}'; sleep 60`)
	sink := &inputtest.Sink{}
	if err := inputtest.RunUntil(t, in, sink, func() bool { return sink.Value("cursor") == "s=1;i=3;b=1;m=3;t=3;x=3" }); err != nil {
		t.Fatal(err)
	}
	if len(sink.Bodies) != 3 || len(sink.Bodies[0]) > maxLine || messages(sink.Bodies[2:])[0] != "last" {
		t.Errorf("%d records", len(sink.Bodies))
	}
}

// The child, and what it started, ends with Run.
func TestJournaldLeavesNoChild(t *testing.T) {
	in := scriptedJournal(t, `case "$*" in *--follow*) ;; *--lines=1*) echo '{"__CURSOR":"s=1;i=1;b=1;m=1;t=1;x=1"}'; exit 0;; *) exit 0;; esac
sleep 987123 & echo '{"MESSAGE":"m","__CURSOR":"s=1;i=2;b=1;m=2;t=2;x=2"}'; wait`)
	sink := &inputtest.Sink{}
	if err := inputtest.RunUntil(t, in, sink, func() bool { return sink.Has([]string{""}) }); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("pgrep", "-f", "^sleep 987123").CombinedOutput(); err == nil {
		t.Errorf("still there: %s", out)
	}
}

// What users wrote into their own journals is read, once, beside the system's: the parser counts it as forged.
func TestJournaldUsersOwnJournals(t *testing.T) {
	t.Parallel()
	entry := func(n int) string {
		return fmt.Sprintf(`{"MESSAGE":"%d","__CURSOR":"s=1;i=%d;b=1;m=%d;t=%d;x=%d"}`, n, n, n, n, n)
	}
	in := scriptedJournal(t, `case "$*" in
*--file=*--cursor=*) echo '`+entry(12)+`'; echo '`+entry(13)+`';;
*--file=*) echo '`+entry(11)+`'; echo '`+entry(12)+`';;
*--follow*) echo '`+entry(1)+`'; sleep 60;;
*) echo '`+entry(1)+`';;
esac`)
	in.users = []string{t.TempDir()}
	dir := filepath.Join(in.users[0], machineID())
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "user-1000.journal"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	sink := &inputtest.Sink{}
	for _, want := range []int{3, 4} {
		if err := inputtest.RunUntil(t, in, sink, func() bool { return sink.Has(make([]string, want)) }); err != nil {
			t.Fatal(err)
		}
	}
	if got := messages(sink.Bodies); !slices.Equal(got, []string{"11", "12", "1", "13"}) || cursorField(sink.Value("users"), "i") != "13" || cursorField(sink.Value("cursor"), "i") != "1" {
		t.Errorf("%q, %v", got, sink.Stored)
	}
}

// Where they can't be read, that is said once and reading goes on.
func TestJournaldUsersOwnJournalsUnreadable(t *testing.T) {
	t.Parallel()
	in := scriptedJournal(t, `case "$*" in
*--file=*) echo 'Permission denied' >&2; exit 1;;
*--follow*) echo '{"MESSAGE":"m","__CURSOR":"s=1;i=1;b=1;m=1;t=1;x=1"}'; sleep 60;;
*) echo '{"__CURSOR":"s=1;i=1;b=1;m=1;t=1;x=1"}';;
esac`)
	var log bytes.Buffer
	in.log = slog.New(slog.NewTextHandler(&log, nil))
	in.users = []string{t.TempDir()}
	dir := filepath.Join(in.users[0], machineID())
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "user-1000.journal"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	sink := &inputtest.Sink{}
	if err := inputtest.RunUntil(t, in, sink, func() bool { return sink.Has([]string{""}) }); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "forgeries there are not counted") || !strings.Contains(log.String(), "systemd-journal") {
		t.Error(log.String())
	}
}
