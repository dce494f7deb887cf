package agent

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
)

// TestResult is what came of one of the configuration's tests.
type TestResult struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Want string `json:"want"`
	Got  string `json:"got,omitempty"`  // of one that failed
	Rule string `json:"rule,omitempty"` // that decided
}

// testNone is the type of a test of which nothing is to come.
const testNone = "none"

// Test runs the tests of a configuration. The error is a config.Errors with the mistakes in them.
func Test(ctx context.Context, cfg *config.Config, file, version string, log *slog.Logger) ([]TestResult, error) {
	var mistakes []error
	for _, t := range cfg.Tests {
		mistakes = append(mistakes, checkTest(&t))
	}
	if err := config.Join(file, mistakes...); err != nil {
		return nil, err
	}
	var all []TestResult
	for i, t := range cfg.Tests {
		q := Inquiry{Config: cfg, Alone: true, As: t.As, Version: version, Log: log, Files: []string{"-"}, In: strings.NewReader(t.Line + t.Reply + "\n")}
		switch {
		case t.Reply != "":
			q.As = asReply
		case t.File != "":
			q.Files = []string{t.File}
			if !filepath.IsAbs(t.File) {
				q.Files[0] = filepath.Join(filepath.Dir(file), t.File)
			}
		}
		var events []event.Event
		if _, err := Explain(ctx, q, func(x Explanation) error {
			for n, e := range x.Events {
				if n >= len(x.Outcomes) || x.Outcomes[n].Outcome != string(event.Foreign) && x.Outcomes[n].Outcome != "refused" {
					events = append(events, e)
				}
			}
			return nil
		}); err != nil {
			return all, fmt.Errorf("test %s: %w", testName(i, &t), err)
		}
		all = append(all, judgeTest(testName(i, &t), &t, events))
	}
	return all, nil
}

func testName(i int, t *config.Test) string {
	if t.Name != "" {
		return t.Name
	}
	return fmt.Sprintf("tests[%d]", i)
}

func checkTest(t *config.Test) error {
	given := 0
	for _, what := range []string{t.Line, t.Reply, t.File} {
		if what != "" {
			given++
		}
	}
	switch types := []string{"", "hard", "soft", "complaint", testNone}; {
	case given != 1:
		return t.Errorf("", "needs one of line, reply and file")
	case !slices.Contains(types, t.Type):
		return t.Errorf("type", "%q is none of hard, soft, complaint and none", t.Type)
	case t.Type == "" && t.Reason == "" && t.Recipient == "":
		return t.Errorf("", "expects nothing: give a type, a reason or a recipient")
	case t.Type == testNone && (t.Reason != "" || t.Recipient != ""):
		return t.Errorf("type", "none has no reason and no recipient")
	case t.Reason != "" && !known(t.Reason):
		return t.Errorf("reason", "%q is no reason", t.Reason)
	case t.As != "" && t.As != AsAuto && t.As != asReply && !slices.Contains(Formats(), t.As):
		return t.Errorf("as", "%q is no format: one of %s or reply", t.As, strings.Join(Formats(), ", "))
	}
	return nil
}

func known(reason string) bool {
	_, _, ok := event.Reason(reason).Outcome()
	return ok
}

// judgeTest holds what was found against what is expected: of several events one fits.
func judgeTest(name string, t *config.Test, events []event.Event) TestResult {
	r := TestResult{Name: name, Want: expected(t)}
	var got []string
	for _, e := range events {
		if t.Type != testNone && (t.Type == "" || t.Type == string(e.Type)) && (t.Reason == "" || t.Reason == string(e.Reason)) &&
			(t.Recipient == "" || strings.EqualFold(t.Recipient, e.Recipient)) {
			r.OK, r.Rule = true, e.Rule
			return r
		}
		one := strings.TrimSpace(fmt.Sprintf("%s %s", e.Type, e.Reason))
		if t.Recipient != "" {
			one += " of " + e.Recipient
		}
		got, r.Rule = append(got, one), e.Rule
	}
	if r.Got = strings.Join(got, ", "); len(events) == 0 {
		r.Got, r.OK = testNone, t.Type == testNone
	}
	return r
}

func expected(t *config.Test) string {
	want := strings.TrimSpace(t.Type + " " + t.Reason)
	if t.Recipient != "" {
		want = strings.TrimSpace(want + " of " + t.Recipient)
	}
	return want
}
