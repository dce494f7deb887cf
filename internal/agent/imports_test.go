package agent_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// allowed is who may import whom of our own packages. A layer that is broken once is broken for ever.
var allowed = map[string]string{
	"cmd/bouncefeed":      "internal/agent internal/control internal/config internal/event",
	"internal/agent":      "internal/control internal/queue internal/classify inputs parsers outputs internal/config internal/event",
	"internal/control":    "internal/config internal/event",
	"inputs":              "internal/config internal/event",
	"parsers":             "internal/config internal/event",
	"outputs":             "internal/config internal/event",
	"internal/config":     "internal/event",
	"internal/queue":      "internal/event",
	"internal/classify":   "internal/event",
	"internal/event":      "",
	"internal/e2e":        "",
	"internal/e2e/debian": "",
}

func TestImportRules(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "bouncefeed/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		pkg := strings.TrimPrefix(words[0], "bouncefeed/")
		rule, known := allowed[pkg]
		if !known {
			t.Errorf("package %s has no import rule: add one, with thought", pkg)
			continue
		}
		seen++
		for _, imp := range words[1:] {
			if own, ok := strings.CutPrefix(imp, "bouncefeed/"); ok && !slices.Contains(strings.Fields(rule), own) {
				t.Errorf("%s must not import %s", pkg, own)
			}
			if first, _, _ := strings.Cut(imp, "/"); pkg == "internal/event" && strings.Contains(first, ".") {
				t.Errorf("internal/event imports %s: the standard library only", imp)
			}
		}
	}
	if seen < 8 {
		t.Errorf("only %d packages seen", seen)
	}
}
