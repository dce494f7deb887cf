package mailbox

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bouncefeed/inputs"
	"bouncefeed/internal/event"
)

// readAll reads a mailbox and names of each message its subject, its time of day, and where it stands.
// lineOf is where r begins, "" if that is unknown.
func lineOf(r event.Record) string {
	if r.Line == 0 {
		return ""
	}
	return strconv.Itoa(r.Line)
}

func readAll(t *testing.T, path string) (all []string) {
	t.Helper()
	err := ReadMailbox(t.Context(), path, 0, func(recs []event.Record, _ inputs.Spot) error {
		for _, r := range recs {
			_, subject, _ := strings.Cut(strings.SplitN(string(r.Body), "\n", 2)[0], ": ")
			all = append(all, strings.TrimSpace(fmt.Sprint(subject, r.Time.UTC().Format(" 15:04 "), lineOf(r), filepath.Base(r.File))))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return all
}

func TestReadMailboxSaysWhereAndWhen(t *testing.T) {
	t.Parallel()
	written := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	file := func(text string) string {
		path := tempFile(t, text)
		if err := os.Chtimes(path, written, written); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const received = "Received: by mx1; Mon, 2 Nov 2026 08:00:00 +0000\n"
	came := time.Date(2026, 11, 2, 7, 1, 2, 0, time.Local).UTC().Format(" 15:04 ")
	for text, want := range map[string][]string{
		"Subject: one\n" + received + "\n": {"one 08:00 ."},
		"Subject: one\n\n":                 {"one 12:00 ."},
		"\n\nFrom j Mon Nov  2 07:01:02 2026\nSubject: a\n\n1\n\nFrom j Mon, 2 Nov 2026 07:01 +0100 2026\nSubject: b\n" + received + "\nFrom j 7:01 x2026\nSubject: c\n": {
			"a" + came + "3.", "b 08:00 8.", "c 12:00 12."},
		"From j\nSubject: not an mbox's line\n" + received + "\n": {"08:00 ."},
		"": nil,
	} {
		if got := readAll(t, file(text)); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// A mailbox that is delivered to is read as far as it was whole.
func TestReadMboxThatGrows(t *testing.T) {
	t.Parallel()
	b := newMboxWorld(t)
	b.add(1)
	f, err := os.OpenFile(b.path, os.O_RDWR, 0)
	b.must(err)
	b.must(unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}))
	n := 0
	read := func(ctx context.Context) error {
		return ReadMailbox(ctx, b.path, 0, func(recs []event.Record, _ inputs.Spot) error {
			n += len(recs)
			b.add(1)
			return nil
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*mboxLockEvery)
	defer cancel()
	b.must(read(ctx))
	if n != 0 {
		t.Errorf("read %d though it was being written", n)
	}
	b.must(f.Close())
	b.must(read(t.Context()))
	if n != 1 {
		t.Errorf("read %d messages, 1 was there", n)
	}
}

func TestReadMailboxEndsWithItsContext(t *testing.T) {
	t.Parallel()
	d := newMaildirWorld(t)
	d.add(1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, path := range []string{tempFile(t, "Subject: one\n\n"), tempFile(t, "From j Mon Nov  2 07:01:02 2026\nSubject: a\n\n"), d.path} {
		err := ReadMailbox(ctx, path, 0, func([]event.Record, inputs.Spot) error {
			t.Errorf("%s was read", path)
			return nil
		})
		d.must(err)
	}
}

func TestReadMaildir(t *testing.T) {
	t.Parallel()
	d := newMaildirWorld(t)
	d.add(1200) // more than two commits take
	d.write("cur/3.mx:2,S", "Subject: read\n\n")
	d.write("cur/.4.mx", "Subject: hidden\n\n")
	d.write("cur/5.mx", "")
	d.must(os.Mkdir(filepath.Join(d.path, "cur/6.mx"), 0o700))
	d.must(os.Symlink(tempFile(t, "Subject: elsewhere\n\n"), filepath.Join(d.path, "cur/7.mx")))
	before := d.files("new", "cur", "tmp")
	commits := 0
	var last inputs.Spot
	err := ReadMailbox(t.Context(), d.path, 0, func(recs []event.Record, at inputs.Spot) error {
		commits, last = commits+1, at
		return nil
	})
	if err != nil || commits != 3 || last.Size == 0 || last.Read != last.Size || last.Offset != 0 {
		t.Errorf("%d commits, the last at %+v, %v", commits, last, err)
	}
	for path, want := range map[string]int{d.path: 1201, filepath.Join(d.path, "new"): 1200, filepath.Join(d.path, "cur"): 1} {
		all := readAll(t, path)
		if len(all) != want || !strings.HasSuffix(all[len(all)-1], ".mx") && !strings.HasSuffix(all[len(all)-1], ".mx:2,S") {
			t.Errorf("%s: %d messages, want %d: %q", path, len(all), want, all[max(0, len(all)-1):])
		}
	}
	if after := d.files("new", "cur", "tmp"); !slices.Equal(before, after) {
		t.Error("something was moved")
	}
	err = ReadMailbox(t.Context(), filepath.Join(d.path, "tmp"), 0, nil)
	if err == nil || !strings.Contains(err.Error(), "no Maildir") {
		t.Errorf("tmp: %v", err)
	}
}

// What a mail program moves during the reading may be missed, so that it is told.
func TestReadMaildirThatChanges(t *testing.T) {
	t.Parallel()
	d := newMaildirWorld(t)
	d.add(batchCount + 2)
	n := 0
	err := ReadMailbox(t.Context(), d.path, 0, func(recs []event.Record, _ inputs.Spot) error {
		if n += len(recs); n == batchCount {
			d.must(os.Remove(filepath.Join(d.path, d.files("new")[batchCount])))
		}
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "1 messages were moved or deleted") || n != batchCount+1 {
		t.Errorf("%d read, %v", n, err)
	}
}

func TestCheckTrust(t *testing.T) {
	t.Parallel()
	for trust, want := range map[string]string{"proof": "", "any": "", "": "is missing: anybody can send", "none": "neither proof nor any"} {
		if err := CheckTrust(trust); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", trust, err, want)
		}
	}
}
