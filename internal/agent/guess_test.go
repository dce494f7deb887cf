package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What may be taken for another's on purpose: of a few samples no more can be said.
var guessedOtherwise = map[string]string{
	"mailjet/03-lists.in":         "sendgrid",
	"postmark/05-suppressions.in": "forwardemail", "postmark/04-others.in": "forwardemail",
	"standard/02-array.in": "forwardemail",
}

func TestGuessEverySample(t *testing.T) {
	t.Parallel()
	samples, err := filepath.Glob("../../parsers/testdata/*/*.in")
	if err != nil || len(samples) < 100 {
		t.Fatalf("%d samples, %v", len(samples), err)
	}
	none := 0
	for _, file := range samples {
		kind := filepath.Base(filepath.Dir(file))
		g, err := guessFile(t.Context(), file)
		switch name := kind + "/" + filepath.Base(file); {
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case g.as == "": // an item of no interest, or broken on purpose
			none++
		case g.as != kind && g.as != guessedOtherwise[name]:
			t.Errorf("%s: taken for %s", name, g.as)
		}
	}
	if none > 20 {
		t.Errorf("of %d of %d nothing could be said", none, len(samples))
	}
}

func TestGuessWhatIsNoSample(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "hello\nworld\n": "", "root:x:0:0:root:/root:/bin/bash\n": "",
		"550 5.1.1 user unknown\n":                                              "reply",
		"5.7.1 blocked\n":                                                       "reply",
		"Received: from x by y\nSubject: z\n\nbody\n":                           "mail",
		"From jo@example.org Sun Nov 22 10:00:00 2026\nFrom: x\n\n":             "mail",
		"Nov 22 10:00:00 mx1 postfix/smtpd[1]: connect from unknown[1.2.3.4]\n": "postfix",
		`{"__CURSOR":"s=1","MESSAGE":"Started Session 1"}` + "\n":               "journald",
		"mail  | Nov 22 10:00:00 mx1 postfix/qmgr[1]: 4F1A01C2D0: from=<b@news.example>, size=1, nrcpt=2 (queue active)\n": "postfix",
		strings.Repeat("Nov 22 10:00:00 mx1 CRON[1]: (root) CMD\n", 500) +
			"2026-11-22 06:25:07 1vMhCZ-00000000Gq8-1hYs <= b@news.example H=localhost [127.0.0.1] P=esmtp S=600\n": "exim",
	} {
		file := filepath.Join(t.TempDir(), "in")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if g, err := guessFile(t.Context(), file); g.as != want || err != nil {
			t.Errorf("%.60q: %q, want %q: %v", text, g.as, want, err)
		}
	}
	if g, err := guessFile(t.Context(), t.TempDir()); g.as != asMail || err != nil {
		t.Errorf("a directory: %q, %v", g.as, err)
	}
}
