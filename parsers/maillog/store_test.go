package maillog

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestStoredForm holds what parsers store to the keys and bytes of earlier releases, so that messages in flight are
// still known after an upgrade. testdata/KIND/state.txt is what was stored after so many lines of inputs beside it.
// None is ever written anew: a further version of what is stored gets a file of its own, which then counts for what is
// written (state-2.txt).
func TestStoredForm(t *testing.T) {
	local := time.Local
	time.Local = time.UTC
	t.Cleanup(func() { time.Local = local })
	for _, kind := range []string{"postfix", "exim", "sendmail", "opensmtpd", "powermta", "journald"} {
		files, err := filepath.Glob("../testdata/" + kind + "/state*.txt")
		if err != nil || len(files) == 0 {
			t.Fatal(err)
		}
		slices.Sort(files)
		for i, file := range files {
			testStoredForm(t, kind, file, i == 0)
		}
	}
}

func testStoredForm(t *testing.T, kind, file string, current bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for section := range bytes.SplitSeq(bytes.TrimSpace(text), []byte("\n\n")) {
		in, lines, want := readState(t, string(section))
		if got := stateAfter(t, kind, in, lines); current && !reflect.DeepEqual(got, want) {
			t.Errorf("%s/%s is stored in another form:\ngot  %q\nwant %q", kind, in, got, want)
		}
		p := newTestLog(t, kind)
		if err := p.Load(maps.All(want)); err != nil {
			t.Errorf("%s/%s: %v", kind, in, err)
		}
		if changes := p.Changes(); len(changes) > 0 {
			t.Errorf("%s/%s: loading it changes %q", kind, in, changes)
		}
	}
}

// readState reads a section of state.txt: the input, the number of lines read of it, then keys and values, quoted.
//
//	# 01-bounces.in, 4 lines
//	"first" "\x80\x80\u0717\x94\xac\xb0\x06"
func readState(t *testing.T, section string) (in string, lines int, state map[string][]byte) {
	t.Helper()
	head, pairs, _ := strings.Cut(section, "\n")
	if _, err := fmt.Sscanf(head, "# %s %d lines", &in, &lines); err != nil {
		t.Fatalf("%v: %s", err, head)
	}
	state = map[string][]byte{}
	for line := range strings.Lines(pairs) {
		var key, value string
		if _, err := fmt.Sscanf(line, "%q %q", &key, &value); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		state[key] = []byte(value)
	}
	return strings.TrimSuffix(in, ","), lines, state
}

// stateAfter is what a format's parser has stored after the first lines of an input.
func stateAfter(t *testing.T, kind, in string, lines int) map[string][]byte {
	t.Helper()
	data, err := os.ReadFile("../testdata/" + kind + "/" + in)
	if err != nil {
		t.Fatal(err)
	}
	p, store := newTestLog(t, kind), map[string][]byte{}
	for _, line := range strings.Split(string(data), "\n")[:lines] {
		tellLog(t, p, line)
		applyChanges(store, p.Changes())
	}
	return store
}
