package maillog

import (
	"bytes"
	"encoding/json"
	"maps"
	"testing"
	"unicode/utf8"

	"bouncefeed/parsers/parsertest"
)

// FuzzJournald holds that no lines make the parser fail, that it reads valid entries as encoding/json does, and that what it
// stores can be loaded.
func FuzzJournald(f *testing.F) { parsertest.Fuzz(f, "journald", journaldPieces, checkJournald) }

func journaldPieces(seed []byte) [][]byte {
	return append(append(parsertest.Lines(seed), parsertest.Windows(seed)...),
		[]byte(`{"MESSAGE":"\ud83d\udcea\u00e9\ud83d \n\"","_UID":["7","8"],"X":[[1,2],null]}`),
		[]byte(`{"MESSAGE":"an escape\n","_HOSTNAME":"and one that is none\x"}`),
		[]byte("{\"_SYSTEMD_UNIT\":\"postfix@\xff.service\",\"_EXE\":\"/usr/\xff/sbin/post\",\"SYSLOG_IDENTIFIER\":\"postfix/smtp\"}"),
	)
}

func checkJournald(t testing.TB, _ string) parsertest.Check {
	loaded := newTestJournald(t, "")
	return func(t testing.TB, data []byte) {
		p, store := newTestJournald(t, ""), map[string][]byte{}
		for line := range bytes.SplitSeq(data, []byte("\n")) {
			tellLog(t, p, string(line))
			applyChanges(store, p.Changes())
			var e journalEntry
			var want map[string]json.RawMessage
			if !e.decode(line) || !utf8.Valid(line) || json.Unmarshal(line, &want) != nil {
				continue
			}
			compareField(t, "MESSAGE", want["MESSAGE"], e.message)
			compareField(t, "_UID", want["_UID"], e.uid)
		}
		if len(store) > 0 {
			if err := loaded.Load(maps.All(store)); err != nil {
				t.Error(err)
			}
		}
	}
}

// compareField compares a string's value.
func compareField(t testing.TB, name string, raw json.RawMessage, got []byte) {
	var want string
	if len(raw) > 0 && raw[0] == '"' && got != nil && json.Unmarshal(raw, &want) == nil && want != string(got) {
		t.Errorf("%s: %q, encoding/json has %q", name, got, want)
	}
}
