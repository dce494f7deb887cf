package parsers

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"

	"bouncefeed/internal/event"
)

// FuzzJournald holds that no line makes the parser fail, and that it reads valid entries as encoding/json does.
func FuzzJournald(f *testing.F) {
	files, _ := filepath.Glob("testdata/journald/*.in")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for line := range bytes.Lines(data) {
			f.Add(line)
		}
	}
	f.Add([]byte(`{"MESSAGE":"\ud83d\udcea\u00e9\ud83d \n\"","_UID":["7","8"],"X":[[1,2],null]}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		p := newTestJournald(t, "")
		_ = p.Parse(event.Record{Time: goldenTime, Body: line}, func(event.Event) {})
		var e journalEntry
		var want map[string]json.RawMessage
		if !utf8.Valid(line) || !json.Valid(line) || !e.decode(line) || json.Unmarshal(line, &want) != nil {
			return
		}
		compareField(t, "MESSAGE", want["MESSAGE"], e.message)
		compareField(t, "_UID", want["_UID"], e.uid)
	})
}

// compareField compares a string's value.
func compareField(t *testing.T, name string, raw json.RawMessage, got []byte) {
	var want string
	if len(raw) > 0 && raw[0] == '"' && got != nil && json.Unmarshal(raw, &want) == nil && want != string(got) {
		t.Errorf("%s: %q, encoding/json has %q", name, got, want)
	}
}
