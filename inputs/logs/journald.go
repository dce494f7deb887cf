package logs

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/internal/config"
)

type journaldConfig struct {
	inputs.Settings `yaml:",inline"`
	Match           []string     `yaml:"match"`     // which entries to read: FIELD=VALUE, several in one to hold together
	Directory       string       `yaml:"directory"` // of the journal's files; default: this system's journal
	Start           inputs.Start `yaml:"start"`     // where to begin when there is no checkpoint: end | beginning
}

func init() {
	inputs.Register("journald", journaldConfig{
		Settings: inputs.Settings{Parser: config.Section{Type: "journald"}},
		Match: []string{
			"SYSLOG_FACILITY=2", "_SYSTEMD_UNIT=postfix@-.service", "_SYSTEMD_UNIT=postfix.service", "_SYSTEMD_UNIT=exim4.service",
		},
		Start: inputs.StartEnd,
	}, buildJournald)
}

// journalMatch is what journalctl takes for a match: one field's value, or several fields'.
var journalMatch = regexp.MustCompile(`^[A-Z_][A-Z0-9_]*=\S*( +[A-Z_][A-Z0-9_]*=\S*)*$`)

func buildJournald(env config.Env, section config.Section, c *journaldConfig) (inputs.Input, error) {
	var errs []error
	if c.Parser.Type != "journald" {
		errs = append(errs, section.Errorf("parser", "entries of a journal are read by the parser journald, which hands them to the mail server's: leave the key out, or write parser: {type: journald, parsers: [%s]}", c.Parser.Type))
	}
	if len(c.Match) == 0 {
		errs = append(errs, section.Errorf("match", "give at least one, such as SYSLOG_FACILITY=2"))
	}
	for _, m := range c.Match {
		if !journalMatch.MatchString(m) {
			errs = append(errs, section.Errorf("match", "%q is not of the form _SYSTEMD_UNIT=postfix.service", m))
		}
	}
	if c.Directory != "" && !filepath.IsAbs(c.Directory) {
		errs = append(errs, section.Errorf("directory", "give an absolute path, such as /var/log/journal/remote"))
	}
	if len(errs) > 0 {
		return nil, config.Join("", errs...)
	}
	j := &journald{config: *c, log: env.Log, program: "journalctl"}
	if c.Directory == "" {
		j.users = []string{"/var/log/journal", "/run/log/journal"}
	}
	return j, nil
}

// journald follows the systemd journal through journalctl, its child. A record is a whole entry, one line of
// `journalctl -o json`; who wrote it and what it means is the parser's business.
//
// The child always starts at the last entry committed, which must come out first: --after-cursor would skip whatever
// entry it finds instead of one that is gone. If it is gone (rotated and vacuumed), that is a gap, unless what comes out
// is its immediate successor; reading goes on with the oldest entry left. journald's own notices that it dropped messages
// of the mail server count as gaps, too. An entry keeps its identity when journald moves it from /run to /var.
//
// What is there already, of all boots, is read by a child that ends; another one follows the current boot, which is all it
// can without --merge, for a minute; and so on. An entry from the future, by a clock that was wrong or a file made by hand, never becomes the cursor:
// sd-journal goes by time between files, and would skip all that is written until then. It waits until its time has come,
// or until others follow it.
//
// Only the system's journal is followed. sd-journal merges several files by time, and an entry written to one of them
// while a later one of another is already being read is never seen; an unprivileged user could provoke that through his
// own journal file. These files hold no mail server's entries, only what users pretend; they are read now and then, one
// after another, so that forgeries are counted.
type journald struct {
	config  journaldConfig
	log     *slog.Logger
	program string
	users   []string // directories below which users' own journals lie
	where   atomic.Pointer[journalPosition]
}

// journalPosition is what a Report is made of.
type journalPosition struct {
	cursor string
	gaps   uint64
	idle   bool // nothing was left to read
}

// Run follows the journal until ctx ends or the child does.
func (j *journald) Run(ctx context.Context, sink inputs.Sink) error {
	// The child dies with the thread that started it (Pdeathsig), so that it outlives no daemon killed with -9.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r, err := newJournalRun(j, sink)
	if err == nil {
		err = r.begin(ctx)
	}
	if err == nil {
		err = r.read(ctx)
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (j *journald) String() string {
	if j.config.Directory != "" {
		return "the journal in " + j.config.Directory
	}
	return "the journal"
}

// Report tells the time of the last entry. How many entries are left is unknown unless there are none.
func (j *journald) Report() inputs.Position {
	p := inputs.Position{At: j.String(), Lag: -1, Unit: "entries"}
	w := j.where.Load()
	if w == nil {
		return p
	}
	p.Gaps = w.gaps
	if t := cursorTime(w.cursor); !t.IsZero() {
		p.At = "journal entry of " + t.UTC().Format(time.RFC3339Nano)
	}
	if w.idle {
		p.Lag = 0
	}
	return p
}

// source are the arguments that say where the journal is. Ours is what journald of this machine writes: --merge would add
// what lies beside it, other machines' and containers' journals, where whoever filled them chose every field. A directory
// that the admin names is read as it is.
func (j *journald) source() []string {
	if j.config.Directory != "" {
		return []string{"--merge", "--directory=" + j.config.Directory}
	}
	return []string{"--system"}
}

// ours are the matches that every entry has to fit.
func (j *journald) ours() []string {
	if id := machineID(); id != "" && j.config.Directory == "" {
		return []string{"_MACHINE_ID=" + id}
	}
	return nil
}

// matches are the arguments that say what to read: any of the configured matches, and journald's notices that it dropped
// messages.
func (j *journald) matches() []string {
	args := append(j.ours(), "MESSAGE_ID="+journalDropped)
	for _, m := range j.config.Match {
		args = slices.Concat(args, []string{"+"}, j.ours(), strings.Fields(m))
	}
	return args
}

func machineID() string {
	id, _ := os.ReadFile("/etc/machine-id")
	return strings.TrimSpace(string(id))
}

// isWatched says whether a unit is one of those in the configured matches, or another instance of it.
func (j *journald) isWatched(unit string) bool {
	for _, m := range j.config.Match {
		for _, field := range strings.Fields(m) {
			if u, ok := strings.CutPrefix(field, "_SYSTEMD_UNIT="); ok && unitStem(u) == unitStem(unit) {
				return true
			}
		}
	}
	return false
}

// unitStem is "postfix" for postfix@-.service.
func unitStem(unit string) string {
	if i := strings.IndexAny(unit, "@."); i >= 0 {
		return unit[:i]
	}
	return unit
}

// userFiles are the users' own journals as patterns for journalctl --file; none for a journal elsewhere.
func (j *journald) userFiles() []string {
	var patterns []string
	for _, dir := range j.users {
		p := filepath.Join(dir, machineID(), "user-*.journal")
		if found, _ := filepath.Glob(p); len(found) > 0 {
			patterns = append(patterns, p)
		}
	}
	return patterns
}
