package agent_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// allowed is who may import whom of our own packages. A layer that is broken once is broken for ever.
//
// The leaves know each other downwards, and event. A wing (inputs/logs, parsers/mail) knows its contract and the leaves; of
// the wings only parsers/mail knows another, for the providers that tell by mail. The agent alone knows all of them.
var allowed = map[string]string{
	"docs":                 "",
	"cmd/bouncefeed":       "internal/agent internal/control internal/config internal/text internal/event",
	"internal/agent":       inputWings + parserWings + leaves + "internal/jetstream internal/mta internal/control internal/web internal/page internal/metrics internal/queue internal/guard internal/classify internal/provider internal/report inputs parsers outputs internal/config internal/event",
	"internal/control":     "internal/disk internal/config internal/event",
	"internal/web":         "internal/disk internal/config internal/event",
	"internal/metrics":     "",
	"inputs":               "internal/config internal/event",
	"inputs/logs":          "inputs internal/disk internal/config internal/event",
	"inputs/mailbox":       "inputs internal/disk internal/config internal/event",
	"inputs/nats":          "inputs internal/jetstream internal/config internal/event",
	"inputs/webhook":       "inputs internal/disk internal/config internal/event",
	"inputs/inputtest":     "inputs internal/config internal/event",
	"parsers":              "internal/address internal/text internal/config internal/event",
	"parsers/item":         "internal/smtp internal/event",
	"parsers/maillog":      "parsers parsers/item " + leaves + "internal/config internal/event",
	"parsers/mail":         "parsers parsers/item parsers/provider " + leaves + "internal/config internal/event",
	"parsers/provider":     "parsers parsers/item " + leaves + "internal/stdwebhook internal/config internal/event",
	"parsers/parsertest":   "parsers internal/config internal/event",
	"internal/jetstream":   "internal/config internal/event",
	"outputs":              "internal/jetstream internal/listmonk internal/stdwebhook internal/text internal/config internal/event",
	"internal/config":      "internal/event",
	"internal/queue":       "internal/guard internal/event",
	"internal/guard":       "",
	"internal/classify":    "internal/smtp internal/text internal/event",
	"internal/listmonk":    "internal/address internal/text internal/event",
	"internal/address":     "internal/text internal/event",
	"internal/smtp":        "internal/text internal/event",
	"internal/text":        "",
	"internal/stdwebhook":  "",
	"internal/provider":    "",
	"internal/report":      "internal/provider internal/text internal/event",
	"internal/page":        "internal/report internal/provider internal/text internal/event",
	"internal/disk":        "internal/event",
	"internal/mta":         "",
	"internal/event":       "internal/address internal/text",
	"internal/e2e":         "",
	"internal/e2e/e2etest": "",
	"internal/e2e/debian":  "",
	"internal/e2e/browser": "",
	"packaging":            "",
	"packaging/bom":        "",
}

const (
	leaves      = "internal/address internal/smtp internal/listmonk internal/text internal/disk "
	inputWings  = "inputs/logs inputs/mailbox inputs/nats inputs/webhook "
	parserWings = "parsers/maillog parsers/mail parsers/provider "
)

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
			if imp == "testing" && !strings.HasSuffix(pkg, "test") {
				t.Errorf("%s is no test, and links %s into the program", pkg, imp)
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
