package agent

import (
	"errors"
	"log/slog"
	"strings"

	"bouncefeed/internal/config"
)

// setLevel has the daemon log from that level on, until it ends; "" leaves it. It answers with the one that holds.
func (a *Agent) setLevel(to string) (string, error) {
	if a.Level == nil {
		return "", errors.New("the level of this log can't be changed while it runs")
	}
	if to != "" {
		var level config.Level
		if err := level.UnmarshalText([]byte(to)); err != nil {
			return "", err
		}
		before := a.Level.Level()
		a.log.Info("the log's level changes", "from", levelName(before), "to", to)
		a.Level.Set(level.Slog())
	}
	return levelName(a.Level.Level()), nil
}

func levelName(l slog.Level) string { return strings.ToLower(l.String()) }
