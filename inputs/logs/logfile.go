// Package logs follows what mail servers log: files with their rotated neighbours, and the systemd journal. It also reads
// finished logs to their end, for backfill and explain.
package logs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/internal/config"
	"bouncefeed/internal/disk"
)

type logfileConfig struct {
	inputs.Settings `yaml:",inline"`
	Path            string          `yaml:"path"`  // of the live log; rotated ones beside it are found by themselves
	Start           inputs.Start    `yaml:"start"` // where to begin when there is no checkpoint: end | beginning (of this file)
	Poll            config.Duration `yaml:"poll"`  // how often to look for new lines

	Wrapper inputs.Container `yaml:"container"` // what stands around each line: json-file | compose; default: nothing
}

const (
	minPoll  = 10 * time.Millisecond
	maxPoll  = time.Minute
	minQuiet = 2 * time.Second // an old file with a successor is quiet after this long without a new byte
	linger   = time.Minute     // a deleted old file is let go after this long without a new byte

	listEvery = 4 // polls: between listings of the directory while there is nothing to read
)

func init() {
	inputs.Register("logfile", logfileConfig{Start: inputs.StartEnd, Poll: config.Duration(250 * time.Millisecond)}, buildLogfile)
}

func buildLogfile(env config.Env, section config.Section, c *logfileConfig) (inputs.Input, error) {
	var path, poll error
	if c.Path == "" || !filepath.IsAbs(c.Path) {
		path = section.Errorf("path", "give the absolute path of the log, such as /var/log/mail.log")
	} else if i := strings.IndexAny(c.Path, "*?["); i >= 0 {
		path = section.Errorf("path", "%q is a pattern: give the path of the live log, its rotated neighbours are found by themselves; another log is an input of its own", c.Path)
	} else if slices.Contains([]string{".gz", ".xz", ".zst", ".bz2"}, filepath.Ext(c.Path)) {
		path = section.Errorf("path", "%s is a rotated log: give the path of the live one; old logs are read by bouncefeed backfill", c.Path)
	}
	if p := c.Poll.Std(); p < minPoll || p > maxPoll {
		poll = section.Errorf("poll", "from %v to %v, please", minPoll, maxPoll)
	}
	if path != nil || poll != nil {
		return nil, config.Join("", path, poll)
	}
	c.Settings.Container = c.Wrapper
	return newLogfile(env, *c), nil
}

// logfile follows one path as one perpetual stream of lines, whatever happens to the files behind it.
//
// The live file is read to its end; when the path names another file, the old one is kept open and read until it is
// quiet, then the files between it and the live one (rotated since) in order, then the live one. The old file stays
// under watch until the next rotation, or, once deleted, for another minute: a line written to it late is delivered, out
// of order, also after a restart. A line counts as written with its LF; the last one of an old file without any.
//
// A file is known again by its contents (first line, and the KiB before the offset), whatever its name, inode or
// compression. Contents no longer there mean truncation: the rest of what was read is sought in the rotated files (the
// copy that copytruncate made), then the live file is read from its start. If the position is found nowhere, that is a
// gap: it is said, counted, and reading goes on from the oldest file that was written to after the last reading, from its
// start; repeats do no harm, the queue knows them. What may be lost without a trace is copytruncate's own window, between
// its copy and its truncation.
type logfile struct {
	config logfileConfig
	log    *slog.Logger
	quiet  time.Duration
	where  atomic.Pointer[whereabouts]

	patience time.Duration // how long lines of no interest wait for more, so that a busy log does not make a commit of every few
	caughtUp atomic.Int64  // when nothing was left to read or to store, Unix nanoseconds; 0: never yet
}

func newLogfile(env config.Env, c logfileConfig) *logfile {
	return &logfile{config: c, log: env.Log, quiet: max(minQuiet, 8*c.Poll.Std()), patience: time.Second}
}

func (l *logfile) String() string { return l.config.Path }

// Run follows the log. A missing or unreadable file is waited for, and said once. sink is a LineSink.
func (l *logfile) Run(ctx context.Context, sink inputs.Sink) (err error) {
	lines, ok := sink.(inputs.LineSink)
	if !ok {
		return errors.New("a log's lines go to a sink for lines")
	}
	f, err := newFollower(l, lines)
	if err != nil {
		return err
	}
	defer f.close()
	defer func() {
		if settled := lines.Settle(); err == nil && ctx.Err() == nil {
			err = settled
		}
	}()
	w := newWaiter(l.config.Path, l.config.Poll.Std())
	defer w.close()
	for ctx.Err() == nil {
		again, err := f.step(ctx)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if !again {
			w.wait(ctx, f.lookFrom(), f.lookBy())
		}
	}
	return nil
}

// whereabouts is what a Report is made of.
type whereabouts struct {
	position
	gaps    uint64
	waiting string    // for what, when it can't go on
	since   time.Time // when that began
	open    bool      // a file is being read: position holds
}

// Report tells path and offset. Lag is in bytes as they are on disk: a compressed file yet to be read counts compressed.
func (l *logfile) Report() inputs.Position {
	p := inputs.Position{At: l.config.Path, Lag: -1, Unit: "bytes"}
	w := l.where.Load()
	if w == nil {
		return p
	}
	p.Gaps = w.gaps
	if at := l.caughtUp.Load(); at != 0 {
		p.CaughtUp = time.Unix(0, at)
	}
	if p.Problem, p.Since = w.waiting, w.since; !w.open {
		return p
	}
	p.At = fmt.Sprintf("%s offset %d", w.path, w.offset)
	files, _ := neighbours(l.config.Path, w.position)
	p.Lag = 0
	for _, e := range successors(files, w.position, indexOf(files, w.Info)) {
		p.Lag += e.Size
	}
	if i := indexOf(files, w.Info); i >= 0 {
		p.Lag += max(0, files[i].Size-w.offset)
	}
	return p
}

// indexOf is where i stands in files, -1 nowhere.
func indexOf(files []entry, i disk.Info) int {
	for n := range files {
		if files[n].Same(i) {
			return n
		}
	}
	return -1
}

// successors are the files after the one of position p, which stands at index. If it is not among them (-1) or under a
// name that tells no order: those written to later and not created earlier, and always the live one.
func successors(files []entry, p position, index int) []entry {
	if index >= 0 && files[index].class != renamed {
		return files[index+1:]
	}
	var after []entry
	for i, e := range files {
		older := e.Mtime < p.Mtime || !e.packed && e.Born != 0 && e.Born < p.Born
		if i != index && (e.live || !older) {
			after = append(after, e)
		}
	}
	return after
}
