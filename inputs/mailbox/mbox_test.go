package mailbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"bouncefeed/inputs"
	"bouncefeed/inputs/inputtest"
	"bouncefeed/internal/event"
)

func TestMboxConformance(t *testing.T) {
	inputtest.Conformance(t, func(t *testing.T) inputtest.Source {
		b := newMboxWorld(t)
		return inputtest.Source{Input: b.input("poll: 100ms"), Add: b.add}
	})
}

// mboxWorld is an mbox to which messages are delivered.
type mboxWorld struct {
	*testing.T
	path  string
	added int
}

func newMboxWorld(t *testing.T) *mboxWorld {
	return &mboxWorld{T: t, path: filepath.Join(t.TempDir(), "bounces")}
}

func (b *mboxWorld) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *mboxWorld) append(text string) {
	b.Helper()
	f, err := os.OpenFile(b.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	b.must(err)
	_, err = f.WriteString(text)
	b.must(err)
	b.must(f.Close())
}

func (b *mboxWorld) add(n int) (bodies []string) {
	for range n {
		b.added++
		b.append(fmt.Sprintf("From MAILER-DAEMON Mon Nov  2 07:01:02 2026\nSubject: failure %d\n\nuser unknown\n>From us.\n\n", b.added))
		bodies = append(bodies, fmt.Sprintf("Subject: failure %d\n\nuser unknown\nFrom us.\n", b.added))
	}
	return bodies
}

func (b *mboxWorld) input(more string) *mbox {
	b.Helper()
	in, _ := buildInput(b.T, "type: mbox\ntrust: any\npath: "+b.path+"\n"+more)
	return in.(*mbox)
}

func (b *mboxWorld) size() int64 {
	b.Helper()
	i, err := os.Stat(b.path)
	b.must(err)
	return i.Size()
}

func TestMboxSplit(t *testing.T) {
	t.Parallel()
	const from = "From jo@example.org Mon Nov  2 07:01:02 2026\n"
	for name, c := range map[string]struct {
		mbox string
		want []string
		err  error
	}{
		"two":               {from + "A: 1\n\nx\n\n" + from + "A: 2\n\ny\n", []string{"A: 1\n\nx\n", "A: 2\n\ny\n"}, nil},
		"CRLF":              {"From j Mon Nov  2 07:01:02 2026\r\nA: 1\r\n\r\nx\r\n\r\nFrom j Mon Nov  2 07:01:02 2026\r\nA: 2\r\n", []string{"A: 1\r\n\r\nx\r\n", "A: 2\r\n"}, nil},
		"quoted":            {from + "A: 1\n\n>From a\n>>From b\n> From c\n", []string{"A: 1\n\nFrom a\n>From b\n> From c\n"}, nil},
		"no empty line":     {from + "A: 1\n\nx\n" + from, []string{"A: 1\n\nx\n" + from}, nil},
		"From in a text":    {from + "A: 1\n\nFrom here on it is\n\nFrom 2026 on\n", []string{"A: 1\n\nFrom here on it is\n\nFrom 2026 on\n"}, nil},
		"empty lines first": {"\n\n" + from + "A: 1\n", []string{"A: 1\n"}, nil},
		"a zone":            {"From j@x Mon, 2 Nov 2026 07:01 +0100 2026\nA: 1\n", []string{"A: 1\n"}, nil},
		"nothing":           {"", nil, nil},
		"cut":               {from + "A: 1\n\n\n" + from, []string{"A: 1\n\n", ""}, nil},
		"no mbox":           {"A: 1\n\nx\n", nil, errNotMbox},
	} {
		m := newMboxReader(strings.NewReader(c.mbox), 0)
		var got []string
		msg, err := m.next(nil)
		for ; err == nil; msg, err = m.next(nil) {
			got = append(got, string(msg.body))
		}
		if err == io.EOF {
			err = nil
		}
		if !slices.Equal(got, c.want) || err != c.err {
			t.Errorf("%s: %q %v, want %q %v", name, got, err, c.want, c.err)
		}
	}
	if got := fromTime([]byte(from)); !got.Equal(time.Date(2026, 11, 2, 7, 1, 2, 0, time.Local)) {
		t.Errorf("%v", got)
	}
}

// Whatever rewrites the file, every message is read once.
func TestMboxRewritten(t *testing.T) {
	t.Parallel()
	b := newMboxWorld(t)
	sink := &fates{}
	in := b.input("")
	scan := func() {
		t.Helper()
		b.must(in.scan(t.Context(), sink, false))
	}
	scan()
	want := b.add(3)
	scan()
	want = append(want, b.add(2)...)
	in = b.input("")
	scan()
	data, err := os.ReadFile(b.path)
	b.must(err)
	second := bytes.Index(data[10:], []byte("From MAILER")) + 10
	rewritten := bytes.ReplaceAll(data[second:], []byte("Subject:"), []byte("Status: RO\nX-Status: A\nSubject:"))
	b.must(os.WriteFile(b.path, rewritten, 0o600))
	want = append(want, b.add(1)...)
	scan()
	if !slices.Equal(sink.Bodies, want) {
		t.Errorf("got %q, want %q", sink.Bodies, want)
	}
	if hashes, _ := decodeHashes("seen", sink.Stored["seen"]); len(hashes) != 5 {
		t.Errorf("%d known, 5 are there", len(hashes))
	}
}

// A message that was delivered in two writes without a lock is read again when it is complete.
func TestMboxWrittenOn(t *testing.T) {
	t.Parallel()
	b := newMboxWorld(t)
	b.append("From a Mon Nov  2 07:01:02 2026\nSubject: failure\n\nhalf")
	sink := &fates{}
	in := b.input("")
	b.must(in.scan(t.Context(), sink, false))
	b.append(" and half\n")
	b.must(in.scan(t.Context(), sink, false))
	if n := len(sink.Bodies); n != 2 || !strings.HasSuffix(sink.Bodies[1], "half and half\n") {
		t.Errorf("%q", sink.Bodies)
	}
}

func TestMboxIsEmptied(t *testing.T) {
	t.Parallel()
	b := newMboxWorld(t)
	b.add(3)
	in := b.input("after: delete-all")
	sink := &fates{}
	killed := errors.New("killed")
	if err := in.scan(t.Context(), &afterCommit{&sink.Sink, killed}, false); !errors.Is(err, killed) || b.size() == 0 {
		t.Fatalf("%v, %d bytes left", err, b.size())
	}
	b.must(b.input("after: delete-all").scan(t.Context(), sink, false))
	if b.size() != 0 || len(sink.Bodies) != 3 || sink.Stored["doomed"] != "" {
		t.Errorf("%d bytes left, %d committed, known %q", b.size(), len(sink.Bodies), sink.Stored)
	}
	b.append("From a Mon Nov  2 07:01:02 2026\nSubject: strange\n\n")
	b.must(in.scan(t.Context(), sink, false))
	b.add(1)
	b.must(in.scan(t.Context(), sink, false))
	if b.size() == 0 || len(sink.Bodies) != 5 {
		t.Errorf("%d bytes left, %d committed", b.size(), len(sink.Bodies))
	}
}

// Mail that comes while the rest is being committed is not thrown away with it.
func TestMboxDeliveredMeanwhile(t *testing.T) {
	t.Parallel()
	b := newMboxWorld(t)
	b.add(1)
	sink := &fates{}
	sink.Refuse = func(context.Context, []event.Record) error {
		if b.added == 1 {
			b.add(1)
		}
		return nil
	}
	b.must(b.input("after: delete-all").scan(t.Context(), sink, false))
	if len(sink.Bodies) != 1 || b.size() == 0 {
		t.Fatalf("%d committed, %d bytes left", len(sink.Bodies), b.size())
	}
	b.must(b.input("after: delete-all").scan(t.Context(), sink, false))
	if len(sink.Bodies) != 2 || b.size() != 0 {
		t.Errorf("%d committed, %d bytes left", len(sink.Bodies), b.size())
	}
}

// Nothing is read while somebody else holds one of the locks, and locks of the dead do not bar for ever.
func TestMboxLocks(t *testing.T) {
	t.Parallel()
	b := newMboxWorld(t)
	b.add(1)
	ctx, cancel := context.WithTimeout(t.Context(), 3*mboxLockEvery)
	defer cancel()
	sink := &inputtest.Sink{}
	b.must(os.WriteFile(b.path+".lock", nil, 0o444))
	if err := b.input("").scan(ctx, sink, false); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("dotlock: %v", err)
	}
	b.must(os.Remove(b.path + ".lock"))
	f, err := os.OpenFile(b.path, os.O_RDWR, 0)
	b.must(err)
	b.must(unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}))
	if err := b.input("").scan(ctx, sink, false); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("fcntl: %v", err)
	}
	b.must(f.Close())
	b.must(os.WriteFile(b.path+".lock", []byte("999999999\n"), 0o444))
	b.must(b.input("").scan(t.Context(), sink, false))
	if _, err := os.Stat(b.path + ".lock"); err == nil || len(sink.Bodies) != 1 {
		t.Errorf("the lock is left, %d committed", len(sink.Bodies))
	}
}

func TestReadMbox(t *testing.T) {
	t.Parallel()
	b := newMboxWorld(t)
	want := b.add(1200)
	for file, want := range map[string][]string{b.path: want, tempFile(t, "Subject: one\n\nFrom nobody\n"): {"Subject: one\n\nFrom nobody\n"}, tempFile(t, ""): nil} {
		f, err := os.Open(file)
		b.must(err)
		var got []string
		var spots []inputs.Spot
		b.must(readMbox(t.Context(), f, file, 0, func(recs []event.Record, at inputs.Spot) error {
			for _, r := range recs {
				got = append(got, string(r.Body))
			}
			spots = append(spots, at)
			return nil
		}))
		if !slices.Equal(got, want) {
			t.Errorf("%d messages, want %d", len(got), len(want))
		}
		if len(spots) > 1 {
			got = got[:batchCount]
			_, err := f.Seek(0, io.SeekStart)
			b.must(err)
			b.must(readMbox(t.Context(), f, file, spots[0].Offset, func(recs []event.Record, _ inputs.Spot) error {
				for _, r := range recs {
					got = append(got, string(r.Body))
				}
				return nil
			}))
			if !slices.Equal(got, want) {
				t.Errorf("gone on: %d messages, want %d", len(got), len(want))
			}
		}
		f.Close()
	}
}

func FuzzMboxSplit(f *testing.F) {
	f.Add([]byte("From a Mon Nov  2 07:01:02 2026\nA: 1\n\n>From x\n\nFrom b Mon Nov  2 07:01:02 2026\r\n\r\n"), uint16(3))
	f.Add([]byte("\n\n\nFrom a 1:00 2026\n\n\nFrom "), uint16(1))
	f.Fuzz(func(t *testing.T, data []byte, size uint16) {
		whole, err := splitMbox(bytes.NewReader(data))
		parts, err2 := splitMbox(io.MultiReader(bytes.NewReader(data[:min(int(size), len(data))]), bytes.NewReader(data[min(int(size), len(data)):])))
		if !slices.Equal(whole, parts) || (err == nil) != (err2 == nil) {
			t.Errorf("%q: %q, in parts %q", data, whole, parts)
		}
		total := 0
		for _, m := range whole {
			total += len(m)
		}
		if total > len(data) {
			t.Errorf("%d bytes out of %d", total, len(data))
		}
	})
}

func splitMbox(r io.Reader) (all []string, err error) {
	m := newMboxReader(r, 0)
	for {
		msg, err := m.next(nil)
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, string(msg.body))
	}
}

func TestMboxProbe(t *testing.T) {
	t.Parallel()
	b := newMboxWorld(t)
	for _, after := range []string{"leave", "delete-all"} {
		in := b.input("after: " + after)
		if got := in.Report(); got.Lag != -1 || got.At != b.path {
			t.Errorf("%+v", got)
		}
		b.must(in.Probe(t.Context())) // no file is an empty one
		b.add(1)
		before, err := os.ReadFile(b.path)
		b.must(err)
		b.must(in.Probe(t.Context()))
		if now, err := os.ReadFile(b.path); err != nil || !bytes.Equal(now, before) {
			t.Errorf("after: %s: it changed something: %q, %v", after, now, err)
		}
		if _, err := os.Stat(b.path + ".lock"); err == nil {
			t.Errorf("after: %s: it is still locked", after)
		}
		b.must(os.Remove(b.path))
	}
	b.must(os.Mkdir(b.path, 0o700))
	wantError(t, b.input("").Probe(t.Context()), "not a regular file")
	b.path = filepath.Join(b.path, "none", "bounces")
	wantError(t, b.input("").Probe(t.Context()), "no such file or directory")
}

func TestMboxReport(t *testing.T) {
	t.Parallel()
	b := newMboxWorld(t)
	b.add(3)
	in := b.input("")
	b.must(in.scan(t.Context(), &inputtest.Sink{}, true))
	if got := in.Report(); got.Lag != 0 || got.Unit != "bytes" || !strings.Contains(got.At, "3 messages") {
		t.Errorf("%+v", got)
	}
}
