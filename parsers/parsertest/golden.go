package parsertest

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/parsers"
)

var update = flag.Bool("update", false, "write the wanted results of testdata anew")

// A goldenEvent shows also what an event's public form leaves out.
type goldenEvent struct {
	Line int `json:"line,omitempty"` // of a format read by lines
	event.Event
	Host          string       `json:"host,omitempty"`
	OtherQueueIDs []string     `json:"other_queue_ids,omitempty"`
	ProviderID    string       `json:"provider_id,omitempty"`
	Expired       bool         `json:"expired,omitempty"`
	Hint          event.Reason `json:"hint,omitempty"`
	OwnWords      bool         `json:"own_words,omitempty"`
	Evidence      string       `json:"evidence,omitempty"`
}

type goldenRefusal struct {
	Line int    `json:"line,omitempty"`
	Why  string `json:"why"`
}

type goldenResult struct {
	Events  []goldenEvent   `json:"events"`
	Refused []goldenRefusal `json:"refused,omitempty"`
}

// Golden reads ../testdata/KIND/NN-what.in of every kind that has a fuzz target in this directory with the parser of its
// default configuration, as a whole or by lines, and compares with NN-what.want.json. With -update it writes these.
func Golden(t *testing.T) {
	local := time.Local
	time.Local = time.UTC
	t.Cleanup(func() { time.Local = local })
	kinds := Fuzzed(t, ".")
	if len(kinds) == 0 {
		t.Fatal("no fuzz targets")
	}
	for _, kind := range kinds {
		for _, in := range Inputs(t, kind) {
			t.Run(kind+"/"+strings.TrimSuffix(filepath.Base(in), ".in"), func(t *testing.T) {
				data, err := os.ReadFile(in)
				if err != nil {
					t.Fatal(err)
				}
				got, err := json.MarshalIndent(readGolden(t, kind, data), "", "  ")
				if err != nil {
					t.Fatal(err)
				}
				compareGolden(t, strings.TrimSuffix(in, ".in")+".want.json", append(got, '\n'))
			})
		}
	}
}

func compareGolden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (go test -run TestGolden -update writes it)", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n--- want\n%s\n--- got\n%s", file, want, got)
	}
}

func readGolden(t *testing.T, kind string, data []byte) goldenResult {
	t.Helper()
	p := Build(t, config.Env{}, kind)
	result := goldenResult{Events: []goldenEvent{}}
	add := func(line int, e event.Event) {
		result.Events = append(result.Events, goldenEvent{
			line, e, e.QueueIDIssuer, e.OtherQueueIDs, e.ProviderID, e.NeverHard, e.Hint, e.OwnWords, e.Evidence,
		})
	}
	read := func(line int, body []byte) {
		events, refused := Read(t, p, event.Record{Time: Time, Body: body})
		for _, e := range events {
			add(line, e)
		}
		if len(refused) > 0 { // of a request with several, the first
			result.Refused = append(result.Refused, goldenRefusal{line, refused[0]})
		}
	}
	if parsers.IsMessage(kind) {
		read(0, data)
		return result
	}
	lines := bytes.SplitAfter(bytes.TrimSuffix(data, []byte("\n")), []byte("\n"))
	for i, line := range lines {
		read(i+1, line)
	}
	if f, ok := p.(parsers.Flusher); ok {
		f.Flush(func(e event.Event) { add(len(lines), e) })
	}
	return result
}
