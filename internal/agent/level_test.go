package agent

import (
	"log/slog"
	"strings"
	"testing"
)

func TestLevelChanges(t *testing.T) {
	t.Parallel()
	var said strings.Builder
	level := new(slog.LevelVar)
	a := &Agent{log: slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: level})), Level: level}
	for _, c := range [][2]string{{"", "info"}, {"debug", "debug"}, {"warn", "warn"}, {"", "warn"}} {
		if got, err := a.setLevel(c[0]); got != c[1] || err != nil {
			t.Errorf("%q: %s, %v", c[0], got, err)
		}
	}
	if _, err := a.setLevel("loud"); err == nil || level.Level() != slog.LevelWarn {
		t.Error(err, level.Level())
	}
	if !strings.Contains(said.String(), "from=info to=debug") {
		t.Error(said.String())
	}
	if _, err := (&Agent{}).setLevel("info"); err == nil {
		t.Error("there is nothing to set")
	}
}
