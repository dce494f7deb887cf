// Package config turns one YAML file into a Config: strict at every depth, all mistakes at once, each with its
// file:line:column and a remedy. Modules decode their own sections with Section.Decode.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// MaxSize is the largest configuration file that is read, in bytes.
const MaxSize = 1 << 20

// Config is the whole file. Inputs and outputs stay undecoded Sections until their registry has the type.
type Config struct {
	Inputs  Map[Section] `yaml:"inputs"`
	Outputs Map[Section] `yaml:"outputs"`
	Guard   Guard        `yaml:"guard"`
	Queue   Queue        `yaml:"queue"`
	Rules   []Rule       `yaml:"rules"`
	Tests   []Test       `yaml:"tests"`
	Log     Log          `yaml:"log"`
	Control Control      `yaml:"control"`
	Deliver Deliver      `yaml:"deliver"`
	Web     Web          `yaml:"web"`
	Alerts  Alerts       `yaml:"alerts"`
	// Host names this machine in event sources and identity keys; default: the host name.
	Host string `yaml:"host"`
}

// Guard is the section `guard`: from where on hard bounces are more than is plausible, and are held.
type Guard struct {
	Enabled bool     `yaml:"enabled"`
	Hard    int      `yaml:"hard"`     // so many within an hour always pass
	Times   float64  `yaml:"times"`    // and so many times the median of the hours of the last day
	Share   Percent  `yaml:"share"`    // and so many of all mail
	After   After    `yaml:"after"`    // what becomes of them
	HoldFor Duration `yaml:"hold_for"` // before they are sent as soft
}

// Queue is the section `queue`.
type Queue struct {
	Path     string   `yaml:"path"`
	MaxSize  Size     `yaml:"max_size"`  // pending events and index; when full, sources wait
	Retain   Duration `yaml:"retain"`    // how long identity keys and the ledger are remembered
	OnDamage OnDamage `yaml:"on_damage"` // repeat | skip: what the sources are asked to tell again
}

// Log is the section `log`.
type Log struct {
	Level  Level  `yaml:"level"`  // debug | info | warn | error
	Format Format `yaml:"format"` // text | json
}

// Control is the section `control`.
type Control struct {
	Socket string `yaml:"socket"` // the unix socket of `bouncefeed status` and friends
	Group  string `yaml:"group"`  // may look, not change; default: the service's own
}

// Deliver is the section `deliver`: the socket that takes messages, and nothing else, for inputs with type: pipe.
type Deliver struct {
	Socket string `yaml:"socket"` // default: deliver.sock beside the control socket
	Mode   Mode   `yaml:"mode"`
	Group  string `yaml:"group"` // default: the service's own
}

// Rule is an admin's own classification rule; it comes before the built-in ones. Every given condition must hold.
type Rule struct {
	Name   string   `yaml:"name"`
	Code   string   `yaml:"code"`   // "550", "5xx"
	Status string   `yaml:"status"` // "5.7.1", "5.7.*"
	Text   []string `yaml:"text"`   // any of these phrases, case ignored, * matches anything
	Remote []string `yaml:"remote"` // any of these host name patterns, "*.example.com"
	Reason string   `yaml:"reason"`
	Type   string   `yaml:"type"` // overrides the reason's type

	section Section
}

// Errorf is a mistake at a key of the rule, or at the rule itself if key is empty or absent.
func (r Rule) Errorf(key, format string, args ...any) error {
	return r.section.Errorf(key, format, args...)
}

// Test is a line, a reply or a file with what is expected of it: `bouncefeed test`.
type Test struct {
	Name      string `yaml:"name"`
	Line      string `yaml:"line"`  // of a log
	Reply     string `yaml:"reply"` // of an SMTP server
	File      string `yaml:"file"`  // a log, a mail, a request; a relative path begins at the configuration's directory
	As        string `yaml:"as"`    // its format; default: guessed
	Type      string `yaml:"type"`  // hard, soft or complaint; none: nothing is reported
	Reason    string `yaml:"reason"`
	Recipient string `yaml:"recipient"`

	section Section
}

// Errorf is a mistake at a key of the test, or at the test itself if key is empty or absent.
func (t Test) Errorf(key, format string, args ...any) error {
	return t.section.Errorf(key, format, args...)
}

// Env is what the agent hands to every module.
type Env struct {
	Name    string // the admin's name of the module; keys its checkpoint
	Host    string // this machine
	Version string
	Log     *slog.Logger
	Retain  time.Duration // for how long a reported bounce is recognized; 0: not known
}

// Default is the configuration before any file is read.
func Default() *Config {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	return &Config{
		Guard:   Guard{Enabled: true, Hard: 50, Times: 5, Share: 0.1, After: "hold", HoldFor: Duration(24 * time.Hour)},
		Queue:   Queue{Path: "/var/lib/bouncefeed/queue.db", MaxSize: 1 << 30, Retain: Duration(15 * 24 * time.Hour), OnDamage: "repeat"},
		Log:     Log{Level: "info", Format: "text"},
		Control: Control{Socket: "/run/bouncefeed/control.sock"},
		Deliver: Deliver{Socket: "/run/bouncefeed/deliver.sock", Mode: 0o666},
		Alerts:  defaultAlerts(),
		Host:    host,
	}
}

// Load reads and checks the file at path. The error is an Errors with every mistake found outside the modules'
// own sections; the Config beside it holds what could be decoded all the same, so that the modules' mistakes can be
// told too. It is nil if there is nothing to decode.
func Load(path string) (*Config, error) {
	data, err := readCapped(path, MaxSize)
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

// Backfill is the name under which `bouncefeed backfill` keeps its memory and counters; no input may have it.
const Backfill = "backfill"

// moduleName is what an admin may call an input or output: it keys checkpoints, metrics and log lines.
var moduleName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}$`)

// Parse is Load for data, the contents of the file called name.
func Parse(name string, data []byte) (*Config, error) {
	root, err := document(name, data)
	if err != nil {
		return nil, err
	}
	c := Default()
	c.Deliver.Socket = ""
	d := &decoder{file: name}
	d.decode(root, "", valueOf(c))
	if c.Deliver.Socket == "" {
		c.Deliver.Socket = filepath.Join(filepath.Dir(c.Control.Socket), "deliver.sock")
	}
	more := &decoder{file: name}
	more.sane(root, c)
	if told, ok := errors.AsType[Errors](d.errs.besides(more.errs)); ok {
		d.errs = append(d.errs, told...)
	}
	for _, m := range []Map[Section]{c.Inputs, c.Outputs} {
		for _, n := range m {
			if !moduleName.MatchString(n.Name) {
				d.fail(n.Value.node, "", "%q is no usable name: letters, digits, '_', '-' and '.' only, at most 64", n.Name)
			} else if n.Name == Backfill {
				d.fail(n.Value.node, "", "%q is taken by the command of that name: choose another", n.Name)
			}
		}
	}
	if len(d.errs) > 0 {
		return c, d.errs.sorted()
	}
	return c, nil
}

func readCapped(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	data, err := readAllCapped(f, limit)
	if err != nil {
		return nil, fmt.Errorf("read configuration %s: %w", path, err)
	}
	return data, nil
}
