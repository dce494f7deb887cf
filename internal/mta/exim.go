package mta

import (
	"context"
	"strings"
)

// Exim is how one logs.
type Exim struct {
	MainLog string // its own log; "": it logs through syslog only
}

// ReadExim asks Exim, by whichever name it is installed. The error is ErrNone, or says what Exim said.
func ReadExim(ctx context.Context) (*Exim, error) {
	said, err := run(ctx, "exim4", "-bP", "log_file_path")
	if err == ErrNone {
		said, err = run(ctx, "exim", "-bP", "log_file_path")
	}
	if err != nil {
		return nil, err
	}
	return parseExim(said), nil
}

// parseExim reads
//
//	log_file_path = /var/log/exim4/%slog : syslog
//
// in which %s stands for main, reject and panic; without any path it is in Exim's spool.
func parseExim(said string) *Exim {
	_, value, _ := strings.Cut(said, "=")
	value = strings.TrimSpace(value)
	if value == "" {
		return &Exim{MainLog: "/var/log/exim4/mainlog"}
	}
	for _, place := range strings.Split(value, ":") {
		if place = strings.TrimSpace(place); strings.HasPrefix(place, "/") {
			return &Exim{MainLog: strings.Replace(place, "%s", "main", 1)}
		}
	}
	return &Exim{}
}
