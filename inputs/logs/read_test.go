package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/internal/event"

	"github.com/klauspost/compress/gzip"
)

// lines reads path by ReadFile; a cut line has "…" behind it.
func lines(t testing.TB, path string) (got []string, offset int64, err error) {
	err = ReadFile(context.Background(), path, 0, func(recs []event.Record, at inputs.Spot) error {
		for _, r := range recs {
			l := string(r.Body)
			if r.Truncated {
				l += "…"
			}
			got = append(got, l)
		}
		offset = at.Offset
		return nil
	})
	return got, offset, err
}

func TestReadFileLines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", maxLine)
	nuls := strings.Repeat("\x00", 3*readBlock+17)
	for _, c := range []struct {
		name, in string
		want     []string
	}{
		{"empty", "", nil},
		{"no line end", "abc", []string{"abc"}},
		{"CR LF", "abc\r\ndef\r\r\n", []string{"abc", "def\r"}},
		{"empty lines", "\n\r\na\n\n", []string{"a"}},
		{"other line ends stay", "a\vb\fc\u2028d\x85e\rf\n", []string{"a\vb\fc\u2028d\x85e\rf"}},
		{"invalid UTF-8", "\xff\xfe\xc3\x28\n", []string{"\xff\xfe\xc3\x28"}},
		{"longest", long + "\n" + long + "\r\nb\n", []string{long, long, "b"}},
		{"one longer", long + "b\nc\n", []string{long + "…", "c"}},
		{"one longer with CR", long + "b\r\nc\n", []string{long + "…", "c"}},
		{"much longer", long + strings.Repeat("b", 5<<20) + "\nc\n", []string{long + "…", "c"}},
		{"much longer, no line end", "c\n" + long + strings.Repeat("b", 5<<20), []string{"c", long + "…"}},
		{"NULs before a line", nuls + "abc\nd\x00e\n\x00f\n", []string{"abc", "d\x00e", "f"}},
		{"NULs only", nuls, nil},
		{"NULs before a long line", nuls + long + "bb\nc\n", []string{long + "…", "c"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(path, []byte(c.in), 0o600); err != nil {
				t.Fatal(err)
			}
			got, offset, err := lines(t, path)
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("got %.200q, %v", got, err)
			}
			if offset != int64(len(c.in)) && len(c.want) > 0 {
				t.Errorf("offset %d of %d", offset, len(c.in))
			}
		})
	}
}

// FuzzSplitter holds records, offset and tail to what was read, whatever was dropped in between, however the reads fall.
func FuzzSplitter(f *testing.F) {
	var in bytes.Buffer
	for i := range 12 {
		in.WriteString(strings.Repeat("\x00", i*i%3000))
		fmt.Fprintf(&in, "%d %s\r\n\n", i, strings.Repeat("y", i*i*1237%40000))
	}
	f.Add([]byte("a\r\n\x00b\n\n\x00\r\nc"), uint16(0))
	for _, size := range []uint16{7, 1000, maxLine + 1, 65535} {
		f.Add(in.Bytes(), size)
	}
	f.Fuzz(func(t *testing.T, data []byte, size uint16) {
		r := &chunked{data: data, size: int(size) + 1}
		var s splitter
		var got []string
		for more := true; more; {
			more, _ = s.fill(r)
			if !more {
				s.last()
			}
			if !bytes.Equal(s.tail(), data[max(0, s.offset-printSize):s.offset]) {
				t.Fatalf("the tail at %d differs", s.offset)
			}
			for _, rec := range s.recs {
				got = append(got, string(rec.Body))
			}
			s.take()
		}
		if want := plainLines(data); s.offset != int64(len(data)) || !slices.Equal(got, want) {
			t.Fatalf("offset %d of %d, %d lines, want %d", s.offset, len(data), len(got), len(want))
		}
	})
}

// plainLines is the splitter's work done the simple way.
func plainLines(data []byte) (lines []string) {
	for l := range bytes.SplitSeq(data, []byte{'\n'}) {
		l = bytes.TrimLeft(l, "\x00")
		if len(l) > maxLine+1 || len(l) > maxLine && l[maxLine] != '\r' {
			l = l[:maxLine]
		} else {
			l = bytes.TrimSuffix(l, []byte{'\r'})
		}
		if len(l) > 0 {
			lines = append(lines, string(l))
		}
	}
	return lines
}

type chunked struct {
	data []byte
	size int
}

func (c *chunked) Read(p []byte) (int, error) {
	n := copy(p, c.data[:min(c.size, len(c.data))])
	c.data = c.data[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func TestReadFilePacked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var want []string
	for i := range 100_000 {
		want = append(want, fmt.Sprintf("line %d", i))
	}
	data := []byte(strings.Join(want, "\n") + "\n")
	for _, tool := range []string{"cat", "gzip", "xz", "zstd", "bzip2"} {
		t.Run(tool, func(t *testing.T) {
			if _, err := exec.LookPath(tool); err != nil {
				t.Skip(err)
			}
			cmd := exec.Command(tool)
			cmd.Stdin = bytes.NewReader(data)
			packed, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, tool)
			if err := os.WriteFile(path, packed, 0o600); err != nil {
				t.Fatal(err)
			}
			got, offset, err := lines(t, path)
			if err != nil || offset != int64(len(data)) || !slices.Equal(got, want) {
				t.Errorf("%d lines, offset %d, %v", len(got), offset, err)
			}
			if tool == "cat" {
				return
			}
			if err := os.Truncate(path, int64(len(packed)*2/3)); err != nil {
				t.Fatal(err)
			}
			if got, _, err := lines(t, path); err == nil || len(got) > len(want) || !strings.Contains(err.Error(), path) {
				t.Errorf("damaged: %d lines, %v", len(got), err)
			}
		})
	}
}

func TestReadFileEnds(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, bytes.Repeat([]byte("a\n"), 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	if err := ReadFile(t.Context(), path, 0, func([]event.Record, inputs.Spot) error { return stop }); err != stop {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	if err := ReadFile(ctx, path, 0, func([]event.Record, inputs.Spot) error { calls++; cancel(); return nil }); err != nil || calls != 1 {
		t.Error(calls, err)
	}
	if err := ReadFile(t.Context(), filepath.Dir(path), 0, nil); err == nil {
		t.Error("read a directory")
	}
}

// TestReadFileBomb reads one line far larger than its memory.
func TestReadFileBomb(t *testing.T) {
	if testing.Short() {
		t.Skip("much to decompress")
	}
	path := filepath.Join(t.TempDir(), "bomb.gz")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, _ := gzip.NewWriterLevel(f, gzip.BestSpeed)
	block := bytes.Repeat([]byte{'a'}, 1<<20)
	for range 64 {
		z.Write(block)
	}
	io.WriteString(z, "\nlast\n")
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, _, err := lines(t, path)
	runtime.ReadMemStats(&after)
	if err != nil || len(got) != 2 || got[1] != "last" || len(got[0]) != maxLine+len("…") {
		t.Errorf("%d lines, %v", len(got), err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 12<<20 {
		t.Errorf("allocated %d bytes", grown)
	}
}

type discard struct {
	stop         context.CancelFunc
	until, lines int
}

func (d *discard) Checkpoint() (map[string]string, error)                          { return nil, nil }
func (d *discard) Commit(context.Context, []event.Record, map[string]string) error { return nil }
func (d *discard) Read(lines []byte, _ time.Time, _ uint64) (bool, error) {
	if d.lines += bytes.Count(lines, []byte("\n")); d.lines >= d.until {
		d.stop()
	}
	return true, nil
}
func (d *discard) Store(context.Context, map[string]string, func()) error { return nil }
func (d *discard) Settle() error                                          { return nil }

// BenchmarkFollow reads a 160 MB log from the page cache with a sink that does nothing.
func BenchmarkFollow(b *testing.B) {
	w := newWorld(b)
	line := "2026-11-22T07:01:02.123456+00:00 mx1 postfix/smtp[12345]: 4XyzAb1cDe: to=<jo@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=1.2, delays=0.1/0/0.5/0.6, dsn=2.0.0, status=sent (250 2.0.0 OK)\n"
	const count = 800_000
	if err := os.WriteFile(w.path, bytes.Repeat([]byte(line), count), 0o600); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(line)) * count)
	b.ReportAllocs()
	for b.Loop() {
		ctx, cancel := context.WithCancel(b.Context())
		if err := w.input.Run(ctx, &discard{stop: cancel, until: count}); err != nil {
			b.Fatal(err)
		}
		cancel()
	}
}

// BenchmarkIdle is one look at a log to which nothing was written; four a second make the idle load.
func BenchmarkIdle(b *testing.B) {
	w := newWorld(b)
	w.create()
	w.write(1000)
	f, err := newFollower(w.input, &discard{until: 1 << 30})
	if err != nil {
		b.Fatal(err)
	}
	defer f.close()
	for again := true; again; {
		if again, err = f.step(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.step(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
