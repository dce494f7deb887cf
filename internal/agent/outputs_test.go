package agent

import (
	"log/slog"
	"strings"
	"testing"

	"bouncefeed/internal/config"
)

func TestOutputSettingsAreChecked(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"inputs: [mx, backfill], reasons: [moved], recipients: ['*@example.org'], start: oldest": "",
		"inputs: [mx2]":             `outputs.f.inputs[0]: there is no input "mx2"`,
		"reasons: [gone]":           `"gone" is no reason`,
		"recipients: [example.org]": `write jo@example.org, or *@example.org for all of a domain`,
		"start: yesterday":          `"yesterday" is none of now, oldest`,
	} {
		cfg, err := config.Parse("c.yaml", []byte("inputs: {mx: {type: logfile, path: /var/log/mail.log, parser: postfix}}\noutputs: {f: {type: file, path: /tmp/out, "+text+"}}\n"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = New(cfg, "c.yaml", "1", slog.New(slog.DiscardHandler))
		if want == "" && err == nil {
			if names := fromOldest(cfg); len(names) != 1 || names[0] != "f" {
				t.Errorf("from the oldest: %q", names)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
