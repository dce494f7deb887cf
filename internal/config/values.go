package config

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Duration is written with a unit: "250ms", "10s", "5m", "2h", "15d".
type Duration time.Duration

// UnmarshalText reads a duration. A bare number is refused: nobody knows its unit.
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return fmt.Errorf("%q is no duration: write 250ms, 10s, 5m, 2h or 15d", s)
		}
		*d = Duration(time.Duration(n) * 24 * time.Hour)
		return nil
	}
	v, err := time.ParseDuration(s)
	if err != nil || v < 0 {
		return fmt.Errorf("%q is no duration: write 250ms, 10s, 5m, 2h or 15d", s)
	}
	*d = Duration(v)
	return nil
}

// Std is d as the standard library has it.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// Size is a number of bytes, written with a unit: "64KiB", "10MB", "1GiB".
type Size int64

var sizeUnits = []struct {
	unit  string
	bytes float64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}}

// UnmarshalText reads a size. A bare number is refused: nobody knows its unit.
func (s *Size) UnmarshalText(text []byte) error {
	for _, u := range sizeUnits {
		number, ok := strings.CutSuffix(string(text), u.unit)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil || !(n >= 0) || n*u.bytes > 1<<60 {
			break
		}
		*s = Size(n * u.bytes)
		return nil
	}
	return fmt.Errorf("%q is no size: write 64KiB, 10MB or 1GiB", text)
}

// Level is a slog level by name.
type Level string

// UnmarshalText accepts debug, info, warn and error.
func (l *Level) UnmarshalText(text []byte) error {
	return oneOf((*string)(l), string(text), "debug", "info", "warn", "error")
}

// Slog is l as slog has it.
func (l Level) Slog() slog.Level {
	var level slog.Level
	if level.UnmarshalText([]byte(l)) != nil {
		return slog.LevelInfo
	}
	return level
}

// Format is how log lines are written.
type Format string

// UnmarshalText accepts text and json.
func (f *Format) UnmarshalText(text []byte) error {
	return oneOf((*string)(f), string(text), "text", "json")
}

// OnDamage is what is done after the queue's file was damaged.
type OnDamage string

// UnmarshalText accepts repeat and skip.
func (o *OnDamage) UnmarshalText(text []byte) error {
	return oneOf((*string)(o), string(text), "repeat", "skip")
}

// Percent is a share, written with its sign: "10%".
type Percent float64

// UnmarshalText reads a share from 0% to 100%.
func (p *Percent) UnmarshalText(text []byte) error {
	number, ok := strings.CutSuffix(string(text), "%")
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if !ok || err != nil || !(n >= 0 && n <= 100) {
		return fmt.Errorf("%q is no share: write 10%%", text)
	}
	*p = Percent(n / 100)
	return nil
}

// After is what becomes of bounces that the guard holds.
type After string

// UnmarshalText accepts hold and soft.
func (a *After) UnmarshalText(text []byte) error {
	return oneOf((*string)(a), string(text), "hold", "soft")
}

// Mode is who may do what with a file, in octal digits as chmod(1) has it: "0660".
type Mode fs.FileMode

// UnmarshalText reads a mode.
func (m *Mode) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 8, 16)
	if err != nil || n > 0o777 {
		return fmt.Errorf("%q is no mode: write 0660 or 0666", text)
	}
	*m = Mode(n)
	return nil
}

// String is m as chmod(1) has it.
func (m Mode) String() string { return fmt.Sprintf("%04o", fs.FileMode(m)) }

func oneOf(to *string, s string, words ...string) error {
	for _, w := range words {
		if s == w {
			*to = s
			return nil
		}
	}
	return fmt.Errorf("%q is none of %s", s, strings.Join(words, ", "))
}

// Secret is a password, token or key. The file names only where it is kept: KEY_file, KEY_env or KEY_credential (a
// systemd credential). It never prints itself.
type Secret struct{ how, where string }

// Set says whether the configuration names a secret at all.
func (s Secret) Set() bool { return s.how != "" }

// String tells where the secret is kept, not what it is.
func (s Secret) String() string { return s.how + ":" + s.where }

const maxSecret = 64 << 10

// Read fetches the secret, without the line end an editor leaves behind it. It is read anew every time, so that a
// rotated one is found without a restart. Errors name the place, never the contents.
func (s Secret) Read() (string, error) {
	path := s.where
	switch s.how {
	case "":
		return "", nil
	case "env":
		v, ok := os.LookupEnv(s.where)
		if !ok {
			return "", fmt.Errorf("read secret: environment variable %s is not set", s.where)
		}
		return v, nil
	case "credential":
		dir := os.Getenv("CREDENTIALS_DIRECTORY")
		if dir == "" {
			return "", fmt.Errorf("read secret: no systemd credentials here: add LoadCredential=%s:PATH to the unit", s.where)
		}
		path = filepath.Join(dir, filepath.Base(s.where))
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	defer f.Close()
	data, err := readAllCapped(f, maxSecret)
	if err != nil {
		return "", fmt.Errorf("read secret %s: %w", path, err)
	}
	v := strings.TrimRight(string(data), "\r\n")
	if v == "" {
		return "", fmt.Errorf("read secret: %s is empty", path)
	}
	return v, nil
}

// Lines is Read for a secret that may be several, one a line: the next one is made known before the last one ends.
// Each is valid; there is at least one.
func (s Secret) Lines() ([]string, error) {
	text, err := s.Read()
	if err != nil {
		return nil, err
	}
	var all []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("read secret %s: it is empty", s)
	}
	return all, nil
}
