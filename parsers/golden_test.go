package parsers

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
)

var update = flag.Bool("update", false, "write the wanted results of testdata anew")

// goldenTime is when the records of testdata were read.
var goldenTime = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// A goldenEvent shows also what an event's public form leaves out.
type goldenEvent struct {
	Line int `json:"line,omitempty"` // of a format read by lines
	event.Event
	Host          string       `json:"host,omitempty"`
	OtherQueueIDs []string     `json:"other_queue_ids,omitempty"`
	ProviderID    string       `json:"provider_id,omitempty"`
	Expired       bool         `json:"expired,omitempty"`
	Hint          event.Reason `json:"hint,omitempty"`
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

// TestGolden reads testdata/KIND/NN-what.in with the parser KIND, by lines or as a whole, and compares with
// NN-what.want.json.
func TestGolden(t *testing.T) {
	local := time.Local
	time.Local = time.UTC
	t.Cleanup(func() { time.Local = local })
	inputs, err := filepath.Glob("testdata/*/*.in")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no inputs in testdata: %v", err)
	}
	for _, in := range inputs {
		kind := filepath.Base(filepath.Dir(in))
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
	p, err := Modules.Build(config.Env{}, config.Section{Type: kind})
	if err != nil {
		t.Fatal(err)
	}
	result := goldenResult{Events: []goldenEvent{}}
	read := func(line int, body []byte) {
		err := p.Parse(event.Record{Time: goldenTime, Body: body}, func(e event.Event) {
			result.Events = append(result.Events, goldenEvent{
				line, e, e.Host, e.OtherQueueIDs, e.ProviderID, e.Expired, e.Hint, e.Evidence,
			})
		})
		if refused, ok := errors.AsType[*event.RefusedError](err); ok {
			result.Refused = append(result.Refused, goldenRefusal{line, refused.Why})
		} else if err != nil {
			t.Errorf("line %d: %v", line, err)
		}
	}
	if IsMessage(kind) {
		read(0, data)
		return result
	}
	for i, line := range bytes.SplitAfter(bytes.TrimSuffix(data, []byte("\n")), []byte("\n")) {
		read(i+1, line)
	}
	return result
}
