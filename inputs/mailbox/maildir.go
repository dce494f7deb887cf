package mailbox

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"bouncefeed/inputs"
	"bouncefeed/internal/config"
	"bouncefeed/internal/disk"
)

type maildirConfig struct {
	mailSettings `yaml:",inline"`
	Path         string          `yaml:"path"`    // the directory that holds new, cur and tmp
	Folders      []string        `yaml:"folders"` // INBOX: the directory itself; NAME: its subfolder .NAME (Maildir++)
	Poll         config.Duration `yaml:"poll"`    // how often to look for new messages; notifications make it quicker
}

const (
	afterMove    = "move" // from new to cur, as seen
	maildirInbox = "INBOX"

	minMaildirPoll = 100 * time.Millisecond
	maildirGather  = 50 * time.Millisecond // messages that come together are read together
)

func init() {
	inputs.Register("maildir", maildirConfig{
		mailSettings: mailSettings{Settings: inputs.Settings{Parser: config.Section{Type: "mail"}}, After: afterMove},
		Folders:      []string{maildirInbox}, Poll: config.Duration(10 * time.Second),
	}, buildMaildir)
}

func buildMaildir(env config.Env, section config.Section, c *maildirConfig) (inputs.Input, error) {
	errs := []error{c.mailSettings.check(section, afterMove)}
	if !filepath.IsAbs(c.Path) {
		errs = append(errs, section.Errorf("path", "give the absolute path of the Maildir, such as /var/mail/bounces"))
	}
	if p := c.Poll.Std(); p < minMaildirPoll || p > maxMailPoll {
		errs = append(errs, section.Errorf("poll", "from %v to %v, please", minMaildirPoll, maxMailPoll))
	}
	if len(c.Folders) == 0 || slices.ContainsFunc(c.Folders, noFolder) {
		errs = append(errs, section.Errorf("folders", "INBOX, or names of Maildir++ subfolders such as Bounces or Bounces.2026: no '/', no '.' at an end"))
	}
	if err := config.Join("", errs...); err != nil {
		return nil, err
	}
	return &maildir{config: *c, log: env.Log}, nil
}

func noFolder(name string) bool {
	return name == "" || strings.ContainsAny(name, "/\x00") || strings.Trim(name, ".") != name
}

// maildir reads the messages in new and cur (https://cr.yp.to/proto/maildir.html). After its Commit a message is moved
// from new to cur, left or deleted. It is known by its unique name, so that it is read once wherever a mail program moves
// it and whatever flags it gets. Only regular files are messages; names with a dot in front, links, pipes and directories
// are not looked at.
type maildir struct {
	config maildirConfig
	log    *slog.Logger
	warned string // the trouble last told of
	stable bool   // nothing changed since the last reading, as far as stamps tell
	stamps []disk.Info
	absent hashSet // not found in the last reading
	fresh  map[uint64]freshMessage
	where  atomic.Pointer[inputs.Position]
}

func (m *maildir) String() string { return m.config.Path }

// Report tells how many messages were not read yet when they were last looked at.
func (m *maildir) Report() inputs.Position {
	if w := m.where.Load(); w != nil {
		return *w
	}
	return inputs.Position{At: m.config.Path, Lag: -1, Unit: "messages"}
}

// directories are where messages are, new before cur: what is moved meanwhile is met at least once.
func (m *maildir) directories() []string {
	var all []string
	for _, sub := range []string{"new", "cur"} {
		for _, folder := range m.config.Folders {
			all = append(all, filepath.Join(m.folder(folder), sub))
		}
	}
	return all
}

func (m *maildir) folder(name string) string {
	if name == maildirInbox {
		return m.config.Path
	}
	return filepath.Join(m.config.Path, "."+name)
}

// Run reads until ctx ends. A directory that can't be read is an error at once.
func (m *maildir) Run(ctx context.Context, sink inputs.Sink) error {
	m.stamps = nil
	hints := newHints(m.directories()[:len(m.config.Folders)])
	defer hints.close()
	for ctx.Err() == nil {
		started := time.Now()
		if err := m.scan(ctx, sink); err != nil && ctx.Err() == nil {
			return err
		}
		took, poll := time.Since(started), m.config.Poll.Std()
		if len(m.fresh) > 0 {
			poll = min(poll, max(maildirSettled, 20*took))
		}
		hints.wait(ctx, poll, max(maildirGather, 10*took)) // a large Maildir takes a while
	}
	return nil
}

// unchanged says whether no entry of the directories changed since the last reading. Changes within two seconds of a
// stamp may hide behind its resolution.
func (m *maildir) unchanged() (bool, error) {
	var now []disk.Info
	newest := int64(0)
	for _, dir := range m.directories() {
		i, err := disk.Stat(dir)
		if err != nil {
			return false, err
		}
		now = append(now, i)
		newest = max(newest, i.Mtime)
	}
	same := slices.EqualFunc(now, m.stamps, func(a, b disk.Info) bool { return a.Same(b) && a.Mtime == b.Mtime })
	same = same && m.stable
	m.stamps, m.stable = now, time.Now().UnixNano()-newest > int64(2*time.Second)
	return same, nil
}

// Probe says whether the directories can be read, and changed if that is asked for.
func (m *maildir) Probe(context.Context) error {
	for _, dir := range m.directories() {
		i, err := disk.Stat(dir)
		if err != nil {
			return fmt.Errorf("%w: give the path of a Maildir: new, cur and tmp stand in it", err)
		}
		mode, what := uint32(unix.R_OK|unix.X_OK), "read"
		if m.config.After != afterLeave {
			mode, what = mode|unix.W_OK, "change (say after: leave if it need not)"
		}
		if err := unix.Access(dir, mode); err != nil {
			return fmt.Errorf("%s: %w: this user may not %s it; it belongs to uid %d, gid %d, mode %04o", dir, err, what, i.UID, i.GID, i.Mode&0o7777)
		}
	}
	return nil
}
