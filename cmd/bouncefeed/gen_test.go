package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// generate runs a command that only the build has.
func generate(t *testing.T, args ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("compiles the program anew")
	}
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"run", "-tags", "gen", "./cmd/bouncefeed"}, args...)...)
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// The manual is as man(1) wants it, and refers to no page that is not there.
func TestManual(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	generate(t, "gen-man", dir)
	pages, err := filepath.Glob(dir + "/*.[58]")
	if err != nil || len(pages) < 20 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, page := range pages {
		if strings.Contains(page, "completion") {
			t.Errorf("%s is nothing that an admin types", filepath.Base(page))
		}
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range strings.FieldsFunc(string(text), func(r rune) bool { return strings.ContainsRune(" \n\t,", r) }) {
			name, found := strings.CutSuffix(strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(word, `\fB`, ""), `\fP`, ""), `\-`, "-"), "(8)")
			if found && strings.HasPrefix(name, "bouncefeed") && !slices.Contains(pages, filepath.Join(dir, name+".8")) {
				t.Errorf("%s refers to %s(8), which is not there", filepath.Base(page), name)
			}
		}
		if man, err := exec.LookPath("man"); err == nil {
			cmd := exec.CommandContext(t.Context(), man, "--warnings", "-l", page)
			var said strings.Builder
			cmd.Stderr = &said
			if err := cmd.Run(); err != nil || said.Len() > 0 {
				t.Errorf("man --warnings %s: %v\n%s", filepath.Base(page), err, said.String())
			}
		}
	}
}

// The schema has the keys of the example, and none that check would refuse.
func TestSchema(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "schema.json")
	generate(t, "gen-schema", file)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	type kinds struct {
		AdditionalProperties struct {
			OneOf []struct {
				Title                string
				Properties           map[string]any
				AdditionalProperties any
			}
		}
	}
	var schema struct {
		AdditionalProperties any
		Properties           struct{ Inputs, Outputs kinds }
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for what, all := range map[string]kinds{"input": schema.Properties.Inputs, "output": schema.Properties.Outputs} {
		for _, kind := range all.AdditionalProperties.OneOf {
			if kind.AdditionalProperties != false {
				t.Errorf("%s %s takes any key", what, kind.Title)
			}
			for key := range kind.Properties {
				found[what+" "+kind.Title] = append(found[what+" "+kind.Title], key)
			}
		}
	}
	for where, want := range map[string]string{
		"input logfile": "type path parser senders start poll container", "input pop3": "type host username password_file password_env password_credential trust after",
		"output listmonk": "type url username password_file send max_rate", "input webhook": "listen routes",
	} {
		for _, key := range strings.Fields(want) {
			if !slices.Contains(found[where], key) {
				t.Errorf("%s lacks %s: %q", where, key, found[where])
			}
		}
		for _, key := range []string{"password", "Trust", "Batch"} {
			if slices.Contains(found[where], key) {
				t.Errorf("%s has %s", where, key)
			}
		}
	}
}
