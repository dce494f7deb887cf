package logs

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/inputs/inputtest"
	"bouncefeed/internal/event"
)

// An entry from the future is not where reading goes on: what is written meanwhile would be skipped.
func TestJournaldEntriesFromTheFuture(t *testing.T) {
	t.Parallel()
	w := newJournalWorld(t)
	want := w.add("a.journal", 2)
	w.clock, w.boot = time.Date(2096, 1, 1, 0, 0, 0, 0, time.UTC), 7
	w.add("made-by-hand.journal", 2)
	w.clock, w.boot = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC), 0
	sink := &inputtest.Sink{}
	w.read(sink, 2)
	want = append(want, w.add("a.journal", 2)...)
	w.read(sink, 4)
	if got := messages(sink.Bodies); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q; said %s", got, want, w.said)
	}
	if at := cursorTime(sink.Value("cursor")); at.Year() != 2026 {
		t.Errorf("reading goes on at %s", at)
	}

	w.input.config.Start = inputs.StartEnd
	first := &inputtest.Sink{}
	if err := inputtest.RunUntil(t, w.input, first, func() bool { return first.Value("cursor") != "" }); err != nil {
		t.Fatal(err)
	}
	if at := cursorTime(first.Value("cursor")); at.Year() != 2026 {
		t.Errorf("a first start begins at %s", at)
	}
}

// A clock that was wrong when the machine came up: the entries stand where they belong, and are read in their order.
func TestJournaldClockWasWrong(t *testing.T) {
	t.Parallel()
	w := newJournalWorld(t)
	want := w.add("a.journal", 1)
	w.clock = w.clock.AddDate(70, 0, 0)
	want = append(want, w.add("a.journal", 3)...)
	w.clock = w.clock.AddDate(-70, 0, 0)
	want = append(want, w.add("a.journal", 2)...)
	sink := &inputtest.Sink{}
	w.read(sink, len(want))
	if got := messages(sink.Bodies); !slices.Equal(got, want) || w.said.Len() > 0 {
		t.Errorf("got %q, want %q; said %s", got, want, w.said)
	}
}

func TestEarly(t *testing.T) {
	t.Parallel()
	rec := func(n int, at time.Time) event.Record {
		return event.Record{Body: fmt.Appendf(nil, `{"N":%d,"__CURSOR":"s=1;t=%x"}`, n, at.UnixMicro())}
	}
	past, future := time.Now(), time.Now().Add(time.Hour)
	var e early
	for i, c := range []struct {
		in         []event.Record
		good, wait int
	}{
		{[]event.Record{rec(1, past), rec(2, future), rec(3, past)}, 3, 0},
		{[]event.Record{rec(1, past), rec(2, future)}, 1, 1},
		{nil, 0, 1},
		{[]event.Record{rec(3, future)}, 0, 2},
		{[]event.Record{rec(4, past), rec(5, future)}, 3, 1},
		{[]event.Record{{Body: []byte("cut before its cursor")}}, 2, 0},
	} {
		good, lost := e.sort(c.in)
		if len(good) != c.good || len(e.recs) != c.wait || lost != 0 {
			t.Errorf("%d: %d good, %d wait, %d lost", i, len(good), len(e.recs), lost)
		}
	}
	big := rec(1, future)
	big.Body = append(big.Body, make([]byte, maxEarly/2)...)
	e.sort([]event.Record{big, big, big})
	if good, lost := e.sort([]event.Record{rec(2, past)}); len(good) != 2 || lost != 2 || !e.none() {
		t.Errorf("%d good, %d lost", len(good), lost)
	}
}

// The journal is this machine's own: a file of another machine or container beside it says nothing, whatever stands in it.
// Of this machine's, former boots are read, too.
func TestJournaldOfThisMachineOnly(t *testing.T) {
	if dir := os.Getenv("BOUNCEFEED_TEST_JOURNAL"); dir != "" {
		ownJournal(t, dir)
		return
	}
	newJournalWorld(t) // skips where there is no journalctl
	unshare := exec.Command("unshare", "-m", "--propagation", "private", "true")
	if err := unshare.Run(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("SKIPPED, NOTHING PROVED: needs root, for a /var/log/journal of its own")
	}
	if machineID() == "" {
		t.Skip("no machine id")
	}
	cmd := exec.Command("unshare", "-m", "--propagation", "private", "sh", "-ec",
		`mkdir -p /var/log/journal; mount --bind "$BOUNCEFEED_TEST_JOURNAL" /var/log/journal; exec "$0" -test.run='^TestJournaldOfThisMachineOnly$'`, os.Args[0])
	cmd.Env = append(os.Environ(), "BOUNCEFEED_TEST_JOURNAL="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func ownJournal(t *testing.T, dir string) {
	w := newJournalWorld(t)
	w.dir = dir
	w.input.config.Directory = ""
	id := machineID()
	put := func(file, boot, message string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o755); err != nil {
			t.Fatal(err)
		}
		w.write(file, append(mailEntry(message), "_MACHINE_ID="+id, "_BOOT_ID="+boot))
	}
	// Not what /proc says of the boot: in a container that may be the host's.
	const before, now = "e490833d79364792a005ec8c10170001", "e490833d79364792a005ec8c10170002"
	put(id+"/system.journal", before, "before the boot")
	put("ffff000000000000000000000000ffff/system.journal", now, "a container's")
	put("remote/system.journal", now, "another machine's")
	w.clock = w.clock.AddDate(50, 0, 0)
	put("ffff000000000000000000000000ffff/system.journal", now, "from the future")
	w.clock = w.clock.AddDate(-50, 0, 0)
	put(id+"/system.journal", now, "after the boot")

	want := []string{"before the boot", "after the boot", "written meanwhile"}
	sink := &inputtest.Sink{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var log bytes.Buffer
	w.input.log = slog.New(slog.NewTextHandler(&log, nil))
	err := inputtest.RunUntil(t, w.input, sink, func() bool {
		if sink.Has(make([]string, 2)) && ctx.Err() == nil && w.input.Report().Lag == 0 {
			cancel()
			put(id+"/system.journal", now, "written meanwhile")
		}
		return sink.Has(make([]string, 3))
	})
	if got := messages(sink.Bodies); err != nil || !slices.Equal(got, want) || log.Len() > 0 {
		t.Errorf("got %q, want %q; %v, said %s", got, want, err, log.String())
	}
}
