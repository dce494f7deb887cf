package main

import (
	"context"
	"io"
	"log/slog"
	"os"

	"bouncefeed/internal/config"
)

// newLogger logs to w. Under systemd the journal knows the time by itself and takes the priority from a prefix of the
// line (sd-daemon(3)), so that `journalctl -p warning` finds what matters.
func newLogger(w io.Writer, c config.Log) *slog.Logger {
	log, _ := newLeveled(w, c)
	return log
}

// newLeveled is newLogger for one whose level may change.
func newLeveled(w io.Writer, c config.Log) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(c.Level.Slog())
	opts := &slog.HandlerOptions{Level: level}
	if os.Getenv("JOURNAL_STREAM") == "" {
		return slog.New(newHandler(w, c.Format, opts)), level
	}
	opts.ReplaceAttr = func(groups []string, attr slog.Attr) slog.Attr {
		if len(groups) == 0 && attr.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return attr
	}
	var j journalHandler
	for i, prefix := range []string{"<7>", "<6>", "<4>", "<3>"} { // debug, info, warning, error of syslog(3)
		j[i] = newHandler(prefixed{w, prefix}, c.Format, opts)
	}
	return slog.New(j), level
}

func newHandler(w io.Writer, format config.Format, opts *slog.HandlerOptions) slog.Handler {
	if format == "json" {
		return slog.NewJSONHandler(w, opts)
	}
	return slog.NewTextHandler(w, opts)
}

// prefixed writes every record, which slog hands over in one piece, behind its prefix.
type prefixed struct {
	w      io.Writer
	prefix string
}

func (p prefixed) Write(b []byte) (int, error) {
	_, err := p.w.Write(append([]byte(p.prefix), b...))
	return len(b), err
}

// journalHandler has a handler for each of the four levels.
type journalHandler [4]slog.Handler

func (j journalHandler) at(l slog.Level) slog.Handler {
	switch {
	case l < slog.LevelInfo:
		return j[0]
	case l < slog.LevelWarn:
		return j[1]
	case l < slog.LevelError:
		return j[2]
	}
	return j[3]
}

// Enabled, Handle, WithAttrs and WithGroup implement slog.Handler.
func (j journalHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return j.at(l).Enabled(ctx, l)
}

func (j journalHandler) Handle(ctx context.Context, r slog.Record) error {
	return j.at(r.Level).Handle(ctx, r)
}

func (j journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	for i := range j {
		j[i] = j[i].WithAttrs(attrs)
	}
	return j
}

func (j journalHandler) WithGroup(name string) slog.Handler {
	for i := range j {
		j[i] = j[i].WithGroup(name)
	}
	return j
}
