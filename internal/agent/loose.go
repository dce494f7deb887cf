package agent

import (
	"cmp"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"bouncefeed/internal/classify"
	"bouncefeed/internal/config"
)

// looseSink is the beginning of a sink that belongs to no running input, for format as. With a configuration it has the
// admin's rules and the settings of the first input that reads this format.
func looseSink(cfg *config.Config, as, version string, log *slog.Logger) (c sinkConfig, err error) {
	var p *plan
	if cfg != nil {
		if p, err = newPlan(cfg, "", version, log); err != nil {
			return c, err
		}
	}
	return p.looseSink(as, p.inputFor(as, ""), hostOf(cfg), version, log)
}

// builtIn is the classifier without an admin's rules.
var builtIn = sync.OnceValue(classify.Default)

func hostOf(cfg *config.Config) string {
	if cfg == nil {
		return config.Default().Host
	}
	return cfg.Host
}

// inputFor names the input whose settings hold for a file in format as: the one that reads it, else the first that
// reads that format; "" if none does.
func (p *plan) inputFor(as, file string) (name string) {
	if p == nil {
		return ""
	}
	if file != "" && file != "-" {
		file, _ = filepath.Abs(file)
	}
	for _, in := range p.inputs {
		if _, ok := in.reads(as); !ok {
			continue
		}
		if place := placeOf(in.built.Input); strings.HasPrefix(place, "/") && strings.HasPrefix(file, place) {
			return in.name
		}
		name = cmp.Or(name, in.name)
	}
	return name
}

// looseSink is the beginning of a sink with the settings of an input, "" the built-in ones; a nil plan has the built-in
// rules.
func (p *plan) looseSink(as, input, host, version string, log *slog.Logger) (c sinkConfig, err error) {
	if !slices.Contains(Formats(), as) {
		return c, fmt.Errorf("unknown format %q: one of %s", as, strings.Join(Formats(), ", "))
	}
	c = sinkConfig{name: as, format: config.Section{Type: as}, classifier: builtIn(), now: time.Now}
	if p != nil {
		c.classifier = p.classifier
		for _, in := range p.inputs {
			if section, ok := in.reads(as); ok && in.name == input {
				set := in.built.Settings
				c.name, c.format, c.senders, c.container, c.trust = in.name, section, set.Senders, set.Container, set.Trust
				break
			}
		}
	}
	c.env = config.Env{Name: c.name, Host: host, Version: version, Log: log}
	return c, nil
}
