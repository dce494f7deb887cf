package parsers_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bouncefeed/parsers"
	_ "bouncefeed/parsers/mail"
	_ "bouncefeed/parsers/maillog"
	"bouncefeed/parsers/parsertest"
	_ "bouncefeed/parsers/provider"
)

// Every format has a fuzz target, by which its package knows that it has goldens too, and all testdata is some format's.
func TestEveryFormatIsTested(t *testing.T) {
	dirs, err := filepath.Glob("*")
	if err != nil {
		t.Fatal(err)
	}
	var fuzzed []string
	for _, dir := range dirs {
		fuzzed = append(fuzzed, parsertest.Fuzzed(t, dir)...)
	}
	slices.Sort(fuzzed)
	if kinds := parsers.Modules.Kinds(); !slices.Equal(fuzzed, kinds) {
		t.Errorf("fuzz targets of %q, formats %q", fuzzed, kinds)
	}
	folders, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		if !slices.Contains(fuzzed, folder.Name()) {
			t.Errorf("testdata of %s, which is no format", folder.Name())
		}
	}
	wanted, err := filepath.Glob("testdata/*/*.want.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range wanted {
		if _, err := os.Stat(strings.TrimSuffix(want, ".want.json") + ".in"); err != nil {
			t.Errorf("wanted of nothing: %v", err)
		}
	}
}
