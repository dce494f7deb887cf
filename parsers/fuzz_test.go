package parsers

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"bouncefeed/internal/event"
)

// Every format has a fuzz target of its name, FuzzPostfix for "postfix", in two modes. go test -fuzz is guided by
// coverage: it finds ways into the code, at some thousand executions a second. With BOUNCEFEED_FUZZ_EXECS=N in the
// environment a target runs its check on N mutations besides: of its seeds, and of what the guided runs found
// (BOUNCEFEED_FUZZ_CORPUS, a directory of directories named like the targets). make fuzz does the one, then the other.

// A fuzzCheck holds one input to what its format promises of all. Each goroutine has its own.
type fuzzCheck func(t testing.TB, data []byte)

// fuzzFormat is the target of a registered format. Its seeds are the format's testdata, and the parts of these that split
// gives, if any.
func fuzzFormat(f *testing.F, kind string, split func(seed []byte) [][]byte, newCheck func(t testing.TB, kind string) fuzzCheck) {
	if !strings.EqualFold(f.Name(), "Fuzz"+kind) {
		f.Fatalf("the target of %s is called %s", kind, f.Name())
	}
	files, err := filepath.Glob("testdata/" + kind + "/*.in")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	var seeds [][]byte
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		seeds = append(seeds, data)
		if split != nil {
			seeds = append(seeds, split(data)...)
		}
	}
	fuzz(f, seeds, func(t testing.TB) fuzzCheck { return newCheck(t, kind) })
}

// fuzz is a target with the seeds given.
func fuzz(f *testing.F, seeds [][]byte, newCheck func(testing.TB) fuzzCheck) {
	for _, seed := range seeds {
		f.Add(seed)
	}
	if text := os.Getenv("BOUNCEFEED_FUZZ_EXECS"); text != "" && flag.Lookup("test.fuzz").Value.String() == "" {
		executions, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			f.Fatalf("BOUNCEFEED_FUZZ_EXECS: %v", err)
		}
		fuzzVolume(f, executions, newFuzzPool(seeds, foundInputs(f)), newCheck)
	}
	check := newCheck(f)
	f.Fuzz(func(t *testing.T, data []byte) { check(t, data) })
}

// foundInputs are the inputs of this target that failed once, and those that guided runs kept.
func foundInputs(f *testing.F) (inputs [][]byte) {
	dirs := []string{"testdata/fuzz"}
	if dir := os.Getenv("BOUNCEFEED_FUZZ_CORPUS"); dir != "" {
		dirs = append(dirs, dir)
	}
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, f.Name(), "*"))
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			if input, ok := readCorpusFile(text); ok {
				inputs = append(inputs, input)
			}
		}
	}
	return inputs
}

// readCorpusFile reads what writeCorpusFile and the go command write. One of other arguments is not ok: the target had
// others once.
func readCorpusFile(text []byte) ([]byte, bool) {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != 2 || lines[0] != "go test fuzz v1" {
		return nil, false
	}
	quoted, ok := strings.CutPrefix(lines[1], "[]byte(")
	if !ok {
		return nil, false
	}
	input, err := strconv.Unquote(strings.TrimSuffix(quoted, ")"))
	return []byte(input), err == nil
}

func writeCorpusFile(input []byte) []byte {
	return []byte("go test fuzz v1\n[]byte(" + strconv.Quote(string(input)) + ")\n")
}

// checkStorable holds that JSON can carry an event: the queue can't store another, and its source would never get past it.
func checkStorable(t testing.TB, e *event.Event) {
	if _, err := json.Marshal(e); err != nil {
		t.Error(err)
	}
}

func TestEveryFormatIsFuzzed(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	target := regexp.MustCompile(`(?m)^func Fuzz(\w+)\(f \*testing\.F\) +\{ fuzz\w+\(f, "(\w+)"`)
	fuzzed := map[string]bool{}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range target.FindAllSubmatch(source, -1) {
			fuzzed[string(m[2])] = strings.EqualFold(string(m[1]), string(m[2]))
		}
	}
	for _, kind := range Modules.Kinds() {
		if !fuzzed[kind] {
			t.Errorf("%s has no fuzz target of its name", kind)
		}
	}
}

// fuzzLines splits a seed of a format read by lines.
func fuzzLines(seed []byte) [][]byte { return bytes.Split(seed, []byte("\n")) }

// fuzzItems gives the items of a request, and each without white space: half the bytes, and a change hits more often.
func fuzzItems(seed []byte) (items [][]byte) {
	var all []json.RawMessage
	if json.Unmarshal(seed, &all) != nil || len(all) == 0 {
		all = []json.RawMessage{seed}
	}
	for _, item := range all {
		var short bytes.Buffer
		if json.Compact(&short, item) == nil {
			items = append(items, short.Bytes())
		}
	}
	return items
}

// fuzzWindows gives some lines of a log at a time: enough for a message, few enough to be quick.
func fuzzWindows(seed []byte) (windows [][]byte) {
	const size, step = 5, 3
	lines := bytes.SplitAfter(seed, []byte("\n"))
	for at := 0; at < len(lines) && len(lines) > size; at += step {
		windows = append(windows, bytes.Join(lines[at:min(len(lines), at+size)], nil))
	}
	return windows
}
