package parsertest

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Every format has a fuzz target of its name, FuzzPostfix for "postfix", in two modes. go test -fuzz is guided by
// coverage: it finds ways into the code, at some thousand executions a second. With BOUNCEFEED_FUZZ_EXECS=N in the
// environment a target runs its check on N mutations besides: of its seeds, and of what the guided runs found
// (BOUNCEFEED_FUZZ_CORPUS, a directory of directories named like the targets). make fuzz does the one, then the other.

// A Check holds one input to what its format promises of all. Each goroutine has its own.
type Check func(t testing.TB, data []byte)

// Fuzz is the target of a registered format. Its seeds are the format's testdata, and the parts of these that split
// gives, if any.
func Fuzz(f *testing.F, kind string, split func(seed []byte) [][]byte, newCheck func(t testing.TB, kind string) Check) {
	if !strings.EqualFold(f.Name(), "Fuzz"+kind) {
		f.Fatalf("the target of %s is called %s", kind, f.Name())
	}
	var seeds [][]byte
	for _, file := range Inputs(f, kind) {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		seeds = append(seeds, data)
		if split != nil {
			seeds = append(seeds, split(data)...)
		}
	}
	FuzzSeeds(f, seeds, func(t testing.TB) Check { return newCheck(t, kind) })
}

// FuzzSeeds is a target with the seeds given.
func FuzzSeeds(f *testing.F, seeds [][]byte, newCheck func(testing.TB) Check) {
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

// target is the source of a fuzz target of a format.
var target = regexp.MustCompile(`(?m)^func Fuzz\w+\(f \*testing\.F\)\s+\{\s+parsertest\.Fuzz\(f, "(\w+)"`)

// Fuzzed are the kinds that the tests of a directory have a fuzz target for.
func Fuzzed(t *testing.T, dir string) (kinds []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range target.FindAllSubmatch(source, -1) {
			kinds = append(kinds, string(m[1]))
		}
	}
	slices.Sort(kinds)
	return kinds
}

// Lines splits a seed of a format read by lines.
func Lines(seed []byte) [][]byte { return bytes.Split(seed, []byte("\n")) }

// Items gives the items of a request, and each without white space: half the bytes, and a change hits more often.
func Items(seed []byte) (items [][]byte) {
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

// Windows gives some lines of a log at a time: enough for a message, few enough to be quick.
func Windows(seed []byte) (windows [][]byte) {
	const size, step = 5, 3
	lines := bytes.SplitAfter(seed, []byte("\n"))
	for at := 0; at < len(lines) && len(lines) > size; at += step {
		windows = append(windows, bytes.Join(lines[at:min(len(lines), at+size)], nil))
	}
	return windows
}
