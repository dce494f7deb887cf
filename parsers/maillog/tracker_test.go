package maillog

import (
	"bytes"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/event"
	"bouncefeed/parsers"
	"bouncefeed/parsers/parsertest"
)

// A statefulParser is what the parsers of logs are.
type statefulParser interface {
	parsers.Parser
	parsers.Stateful
}

func newTestLog(t testing.TB, kind string) statefulParser {
	t.Helper()
	return build(t, kind).(statefulParser)
}

// said is what a parser said of one line.
type said struct {
	events []event.Event
	why    string
}

// tellLog gives a parser one line, and what it said of it.
func tellLog(t testing.TB, p parsers.Parser, line string) said {
	t.Helper()
	return tellRecord(t, p, event.Record{Time: parsertest.Time, Body: []byte(line)})
}

func tellRecord(t testing.TB, p parsers.Parser, rec event.Record) said {
	t.Helper()
	events, refused := parsertest.Read(t, p, rec)
	if f, ok := p.(interface {
		parsers.Flusher
		parsers.Misser
	}); ok { // a tracker, as at the end of a log
		f.Flush(func(e event.Event) { events = append(events, e) })
	}
	return said{events, strings.Join(refused, " ")}
}

// applyChanges stores changes as the queue does.
func applyChanges(store map[string][]byte, changes map[string][]byte) {
	for key, value := range changes {
		if value == nil {
			delete(store, key)
		} else {
			store[key] = value
		}
	}
}

// trackers are the kinds that follow messages by a queue id.
func trackers(t *testing.T) (kinds []string) {
	t.Helper()
	for _, kind := range parsers.Modules.Kinds() {
		if _, ok := build(t, kind).(interface{ find(*logLine) *message }); ok {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// TestLogState breaks off at every line of every golden and goes on with a new parser from what was stored.
func TestLogState(t *testing.T) {
	for _, kind := range trackers(t) {
		inputs, _ := filepath.Glob("../testdata/" + kind + "/*.in")
		if len(inputs) == 0 {
			t.Fatalf("no inputs of %s", kind)
		}
		for _, in := range inputs {
			data, err := os.ReadFile(in)
			if err != nil {
				t.Fatal(err)
			}
			breakOffEverywhere(t, kind, in, strings.Split(string(data), "\n"))
		}
	}
}

func breakOffEverywhere(t *testing.T, kind, in string, lines []string) {
	t.Helper()
	whole := newTestLog(t, kind)
	var want []said
	stored := []map[string][]byte{{}}
	for i, line := range lines {
		want = append(want, tellLog(t, whole, line))
		next := maps.Clone(stored[i])
		applyChanges(next, whole.Changes())
		stored = append(stored, next)
	}
	for at := range lines {
		p := newTestLog(t, kind)
		if err := p.Load(maps.All(stored[at])); err != nil {
			t.Fatalf("%s, line %d: %v", in, at, err)
		}
		for i := at; i < len(lines); i++ {
			if got := tellLog(t, p, lines[i]); !reflect.DeepEqual(got, want[i]) {
				t.Fatalf("%s, stored before line %d, differs at line %d:\ngot  %+v\nwant %+v", in, at+1, i+1, got, want[i])
			}
		}
		end := maps.Clone(stored[at])
		applyChanges(end, p.Changes())
		if last := stored[len(lines)]; !reflect.DeepEqual(end, last) {
			t.Fatalf("%s, stored before line %d: the memory at the end differs:\ngot  %q\nwant %q", in, at+1, end, last)
		}
	}
}

// benchmarkLog reads one line per iteration, as the agent does: Changes after each block of about 256 KiB.
func benchmarkLog(b *testing.B, kind string, write func(io.Writer, int) (lines, bounces int)) {
	var buffer bytes.Buffer
	_, want := write(&buffer, 20_000)
	lines := bytes.SplitAfter(bytes.TrimSuffix(buffer.Bytes(), []byte("\n")), []byte("\n"))
	p := newTestLog(b, kind)
	read := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	bounces := 0
	emit := func(e event.Event) {
		if e.Type == "" {
			bounces++
		}
	}
	b.SetBytes(int64(buffer.Len() / len(lines)))
	b.ReportAllocs()
	n, block := 0, 0
	for b.Loop() {
		line := lines[n%len(lines)]
		if err := p.Parse(event.Record{Time: read, Body: line}, emit); err != nil {
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
