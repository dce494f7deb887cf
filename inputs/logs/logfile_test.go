package logs

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/inputs/inputtest"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
)

func TestFirstStartAtEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.input.config.Start = inputs.StartEnd
	w.create()
	w.write(50)
	w.out.WriteString("line 9")
	w.start()
	w.begun()
	w.stop() // the position was stored: what comes now is not lost
	w.written = []string{"line 99"}
	w.out.WriteString("9\n")
	w.write(10)
	w.start()
	w.caughtUp()
	if got := w.sink.received(); !slices.Equal(got, w.written) {
		t.Errorf("got %q", got)
	}
}

// Where there is no log yet, all of it is new once it appears; what was rotated before is history.
func TestFirstStartWithoutLog(t *testing.T) {
	t.Parallel()
	for _, start := range []inputs.Start{inputs.StartEnd, inputs.StartBeginning} {
		for _, rotated := range []string{"", ".1", ".1.gz"} {
			t.Run(string(start)+rotated, func(t *testing.T) {
				w := newWorld(t)
				w.input.config.Start = start
				w.create()
				if rotated != "" {
					w.write(50)
					w.must(os.Rename(w.path, w.path+".1"))
				} else {
					w.must(os.Remove(w.path))
				}
				if rotated == ".1.gz" {
					w.gzip(".1")
				}
				w.written = nil
				tick(w)
				w.start()
				w.begun()
				w.stop()
				w.create()
				w.write(10)
				w.shift()
				w.create()
				w.write(10)
				w.start()
				w.caughtUp()
				if got := w.finish(); got.lost+got.doubled > 0 || got.gaps != "0" {
					t.Errorf("%+v", got)
				}
			})
		}
	}
}

func TestWaitsForDirectory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(os.Remove(w.dir))
	w.start()
	w.begun()
	w.must(os.Mkdir(w.dir, 0o755))
	w.create()
	w.write(10)
	w.caughtUp()
}

// After the loss of the queue the agent asks for all that is still there.
func TestStartsFromOldest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.input.config.Start = inputs.StartEnd
	w.create()
	for range 4 {
		w.write(20)
		w.rotate()
	}
	w.write(20)
	w.sink.checkpoint = map[string]string{"start": "beginning"}
	w.start()
	w.caughtUp()
	if got := w.finish(); got.lost+got.doubled+got.disordered > 0 || got.gaps != "0" {
		t.Errorf("%+v", got)
	}
}

// An unreadable log is waited for, said once, and its end too.
func TestUnreadableIsSaidOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create()
	w.write(10)
	w.must(os.Chmod(w.path, 0))
	unprivileged(w)
	w.start()
	w.eventually("waiting", func() bool { return strings.Contains(w.input.Report().Problem, "permission denied") })
	for range 20 {
		tick(w)
	}
	w.must(os.Chmod(w.path, 0o644))
	w.caughtUp()
	w.stop()
	if log := w.log.String(); strings.Count(log, "waiting to read the log") != 1 || strings.Count(log, "reading the log") != 1 {
		t.Errorf("said:\n%s", log)
	}
}

func TestPartialLineWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create()
	w.start()
	w.write(1)
	w.out.WriteString("half ")
	w.caughtUp()
	w.restart()
	w.out.WriteString("a line")
	w.eventually("lag", func() bool { return w.input.Report().Lag == int64(len("half a line")) })
	w.out.WriteString("\n")
	w.await(2)
	if got := w.sink.received(); got[1] != "half a line" {
		t.Errorf("got %q", got)
	}
}

// A line without end is neither kept in memory nor read again and again.
func TestEndlessLine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create()
	w.start()
	w.begun()
	for range 100 {
		w.out.WriteString(strings.Repeat("x", 1<<20))
	}
	w.restart()
	w.out.WriteString("\n")
	w.write(1)
	w.await(2)
	if got := w.sink.received(); len(got[0]) != maxLine || got[1] != w.written[0] || w.sink.truncated != 1 {
		t.Errorf("%d bytes, then %q; %d truncated", len(got[0]), got[1], w.sink.truncated)
	}
}

func TestDamagedRotatedLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pad = 200
	w.create()
	w.write(1)
	w.start()
	w.caughtUp()
	w.stop()
	w.write(5000)
	w.must(os.Rename(w.path, w.path+".1"))
	w.gzip(".1")
	st, err := os.Stat(w.path + ".1.gz")
	w.must(err)
	w.must(os.Truncate(w.path+".1.gz", st.Size()/2))
	w.create()
	w.write(10)
	w.start()
	w.eventually("the last line", func() bool { return slices.Contains(w.sink.received(), w.written[len(w.written)-1]) })
	w.stop()
	if got := w.tally(); got.gaps != "1" || got.doubled > 0 || got.received < 1000 {
		t.Errorf("%+v", got)
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if got := w.input.Report(); got.Lag != -1 {
		t.Errorf("before the start: %+v", got)
	}
	w.create()
	w.write(10)
	w.start()
	w.caughtUp()
	w.stop()
	at, err := os.Stat(w.path)
	w.must(err)
	w.write(10)
	w.rotate()
	w.write(10)
	want := int64(0)
	for _, l := range w.written[10:] {
		want += int64(len(l)) + 1
	}
	if got := w.input.Report(); got.Lag != want || got.Unit != "bytes" || !strings.Contains(got.At, w.path) || at.Size() == 0 {
		t.Errorf("%+v, want a lag of %d", got, want)
	}
}

func TestProbe(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	check := func(want string) {
		t.Helper()
		err := w.input.Probe(context.Background())
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	check("journald")
	w.create()
	check("")
	w.must(os.Remove(w.path))
	mkfifo(w, w.path)
	check("not a regular file")
	w.must(os.Remove(w.path))
	w.create()
	for mode, want := range map[os.FileMode]string{0o640: "add the user to group", 0o600: "maillog_file_permissions"} {
		w.must(os.Chmod(w.path, mode))
		if got := remedy(&fs.PathError{Op: "open", Path: w.path, Err: fs.ErrPermission}); !strings.Contains(got, want) {
			t.Errorf("%04o: %s", mode, got)
		}
	}
}

func TestBuild(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"{type: logfile, path: /var/log/mail.log, start: beginning, poll: 1s}": "",
		"{type: logfile}":                          "absolute path",
		"{type: logfile, path: mail.log}":          "absolute path",
		"{type: logfile, path: /m, poll: 1ms}":     "poll",
		"{type: logfile, path: /m, start: middle}": "neither end nor beginning",
		"{type: logfile, path: /m, strat: end}":    "start",
	} {
		c, err := config.Parse("test.yaml", []byte("inputs: {log: "+text+"}\n"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = inputs.Modules.Build(config.Env{Name: "log", Log: slog.New(slog.DiscardHandler)}, c.Inputs[0].Value)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

func TestRotatedNamesInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	now := time.Now()
	names := []string{ // oldest first
		"mail.log.12.gz", "mail.log.3.gz", "mail.log.02", "mail.log.1", // numbers
		"mail.2025-01-02.log.xz", "mail.log-20260101", "mail.log-20260101-1", "mail.log-20260101-12.gz", "mail.log-2026010213",
		"mail.log.20260103-120000.gz", "mail.log-1780000000", "mail.log-20260901",
	}
	for i, n := range names {
		w.must(os.WriteFile(w.dir+"/"+n, []byte(n), 0o600))
		w.must(os.Chtimes(w.dir+"/"+n, now, now.Add(time.Duration(i)*time.Second)))
	}
	for _, n := range []string{"mail.log.1.gz", "mail.log.3.gz.tmp", "mail.log.offset", "mail.log-2", "mail.err", "mail.log.bak", "mail", "xmail.log.1", "mail.log.1x"} {
		w.must(os.WriteFile(w.dir+"/"+n, nil, 0o600))
	}
	w.create()
	entries, err := neighbours(w.path)
	w.must(err)
	var got []string
	for _, e := range entries {
		got = append(got, strings.TrimPrefix(e.path, w.dir+"/"))
	}
	if !slices.Equal(got, append(names, "mail.log")) {
		t.Errorf("got  %q\nwant %q", got, names)
	}
}

// What is not in the records of a Commit that was refused comes again, and the error comes out of Run.
func TestRunReturnsCommitError(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create()
	w.write(3)
	w.sink.before = func([]event.Record) error { return errRefusedCommit }
	if err := w.input.Run(t.Context(), inputtest.Lines(w.sink)); err != errRefusedCommit {
		t.Errorf("got %v", err)
	}
	if len(w.sink.received()) > 0 {
		t.Error("records without a Commit")
	}
}

func TestLogfileConformance(t *testing.T) {
	inputtest.Conformance(t, func(t *testing.T) inputtest.Source {
		w := newWorld(t)
		w.create()
		return inputtest.Source{Input: lineInput{w.input}, Add: func(n int) []string {
			w.write(n)
			return w.written[len(w.written)-n:]
		}}
	})
}
