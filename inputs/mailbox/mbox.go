package mailbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/internal/config"
	"bouncefeed/internal/disk"
	"bouncefeed/internal/event"
)

type mboxConfig struct {
	mailSettings `yaml:",inline"`
	Path         string          `yaml:"path"` // of the file, such as /var/mail/bounces
	Poll         config.Duration `yaml:"poll"` // how often to look for new messages
}

// mboxTail is by how many bytes at the end of what was read an mbox is known to be the same.
const mboxTail = 1 << 10

func init() {
	inputs.Register("mbox", mboxConfig{
		mailSettings: mailSettings{Settings: inputs.Settings{Parser: config.Section{Type: "mail"}}, After: afterLeave},
		Poll:         config.Duration(10 * time.Second),
	}, buildMbox)
}

func buildMbox(env config.Env, section config.Section, c *mboxConfig) (inputs.Input, error) {
	errs := []error{c.mailSettings.check(section)}
	if c.After == afterDeleteReports {
		errs = append(errs, section.Errorf("after", "an mbox can be emptied only, not tidied: leave or delete-all"))
	}
	if !filepath.IsAbs(c.Path) {
		errs = append(errs, section.Errorf("path", "give the absolute path of the mbox, such as /var/mail/bounces"))
	}
	if p := c.Poll.Std(); p < minMaildirPoll || p > maxMailPoll {
		errs = append(errs, section.Errorf("poll", "from %v to %v, please", minMaildirPoll, maxMailPoll))
	}
	if err := config.Join("", errs...); err != nil {
		return nil, err
	}
	return &mbox{config: *c, log: env.Log}, nil
}

// mbox reads one file of messages, into which mail is delivered and which mail programs rewrite as they like. A message
// is known by its contents, so that it is read once whatever its place. What was appended is read from where the last
// reading ended, anything else from the start. With delete-all the file is emptied once nothing in it is to be kept.
type mbox struct {
	config mboxConfig
	log    *slog.Logger
	info   disk.Info // as of the last reading
	end    int64     // how far it was read
	tail   []byte    // the bytes before end
	listed hashSet   // what was read up to end
	where  atomic.Pointer[inputs.Position]
}

func (m *mbox) String() string { return m.config.Path }

// Report tells how many bytes are still to be read.
func (m *mbox) Report() inputs.Position {
	if w := m.where.Load(); w != nil {
		return *w
	}
	return inputs.Position{At: m.config.Path, Lag: -1, Unit: "bytes"}
}

// Run polls until ctx ends. No file is an empty one: mail programs delete it when the last message goes.
func (m *mbox) Run(ctx context.Context, sink inputs.Sink) error {
	m.restart()
	for first := true; ctx.Err() == nil; first = false {
		if err := m.scan(ctx, sink, first); err != nil && ctx.Err() == nil {
			return err
		}
		pause(ctx, m.config.Poll.Std())
	}
	return nil
}

func (m *mbox) restart() { m.info, m.end, m.tail, m.listed = disk.Info{}, 0, nil, nil }

// Probe says whether the file, if there is one, can be read, locked, and emptied if that is asked for.
func (m *mbox) Probe(ctx context.Context) error {
	if _, err := disk.Stat(filepath.Dir(m.config.Path)); err != nil {
		return disk.WithRemedy(err)
	}
	f, err := m.open()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return disk.WithRemedy(err)
	}
	defer f.Close()
	unlock, err := lockMbox(ctx, f, m.config.Path, m.empties())
	if err == nil {
		unlock()
	}
	return err
}

func (m *mbox) empties() bool { return m.config.After == afterDeleteAll }

func (m *mbox) open() (*os.File, error) {
	if m.empties() {
		return disk.Open(m.config.Path, disk.ReadWrite)
	}
	return disk.Open(m.config.Path, disk.Read)
}

// scan commits what is new and empties the file if it may.
func (m *mbox) scan(ctx context.Context, sink inputs.Sink, first bool) error {
	info, err := disk.Stat(m.config.Path)
	gone := errors.Is(err, fs.ErrNotExist)
	if err != nil && !gone {
		return disk.WithRemedy(err)
	}
	if !first && info.Same(m.info) && info.Size == m.end && info.Mtime == m.info.Mtime {
		return nil
	}
	batch, err := newMailBatch(&m.config.mailSettings, sink)
	if err != nil {
		return err
	}
	batch.changed = first
	if gone {
		m.restart()
	} else if err := m.read(ctx, batch); err != nil {
		return err
	}
	slices.Sort(m.listed)
	batch.changed = batch.state.keep(m.listed) || batch.changed
	m.where.Store(&inputs.Position{At: fmt.Sprintf("%s: %d messages", m.config.Path, len(m.listed)), Unit: "bytes"})
	return batch.settle(ctx)
}

// read takes the file batch by batch. It is locked while it is read, not while that is committed: mail goes on coming
// though the queue is full.
func (m *mbox) read(ctx context.Context, batch *mailBatch) error {
	f, err := m.open()
	if err != nil {
		return disk.WithRemedy(err)
	}
	defer f.Close()
	for more := true; more; {
		var recs []event.Record
		err := m.locked(ctx, f, func() (err error) {
			recs, more, err = m.next(f)
			return err
		})
		if err != nil {
			return err
		}
		if err := m.commit(ctx, batch, recs); err != nil {
			m.restart()
			return err
		}
	}
	return m.empty(ctx, f, batch)
}

func (m *mbox) locked(ctx context.Context, f *os.File, do func() error) error {
	unlock, err := lockMbox(ctx, f, m.config.Path, m.empties())
	if err != nil {
		return err
	}
	defer unlock()
	return do()
}

// next reads one batch from where the last ended, or from the start if the file is not what it was.
func (m *mbox) next(f *os.File) (recs []event.Record, more bool, err error) {
	info, err := disk.Fstat(f)
	if err != nil {
		return nil, false, &fs.PathError{Op: "stat", Path: m.config.Path, Err: err}
	}
	if !m.intact(f, info) {
		m.restart()
	}
	m.info = info
	r := newMboxReader(io.NewSectionReader(f, m.end, max(0, info.Size-m.end)), m.end)
	recs, more, err = r.batch()
	if err == errNotMbox && m.end > 0 { // somebody wrote on at what seemed complete
		m.restart()
		return nil, true, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read %s: %w", m.config.Path, err)
	}
	m.end = r.offset
	m.tail = make([]byte, min(m.end, mboxTail))
	_, err = f.ReadAt(m.tail, m.end-int64(len(m.tail))) // what is short now is not intact next time
	if err == io.EOF {
		err = nil
	}
	return recs, more, err
}

// intact says whether the file still holds what was read, and at most something behind it.
func (m *mbox) intact(f *os.File, info disk.Info) bool {
	if !info.Same(m.info) || info.Size < m.end {
		return false
	}
	b := make([]byte, len(m.tail))
	n, _ := f.ReadAt(b, m.end-int64(len(b)))
	return n == len(b) && bytes.Equal(b, m.tail)
}

// commit stores the messages that are not known.
func (m *mbox) commit(ctx context.Context, batch *mailBatch, recs []event.Record) error {
	for _, rec := range recs {
		name := contentHash(rec.Body)
		m.listed = append(m.listed, name)
		if _, committed := batch.state.toClear[name]; !committed && !batch.state.seen.has(name) {
			batch.add(name, 0, rec)
		}
	}
	_, err := batch.commit(ctx)
	return err
}

// contentHash stands for a message, without the fields in which mail programs keep what was read.
func contentHash(message []byte) uint64 {
	header := headerOf(message)
	var kept [8]byte
	for i, h := 0, headerHash(header); i < 8; i++ {
		kept[i] = byte(h >> (8 * i))
	}
	return hash64(kept[:], message[len(header):])
}

// empty truncates the file if it holds nothing but what was read and may go.
func (m *mbox) empty(ctx context.Context, f *os.File, batch *mailBatch) error {
	if !m.empties() || m.end == 0 || slices.ContainsFunc(m.listed, func(name uint64) bool {
		_, committed := batch.state.toClear[name]
		return !committed
	}) {
		return nil
	}
	return m.locked(ctx, f, func() error {
		info, err := disk.Fstat(f)
		path, _ := disk.Stat(m.config.Path)
		if err != nil || !path.Same(info) || info.Size != m.end || !m.intact(f, info) {
			return err // mail came: next time
		}
		if err := f.Truncate(0); err != nil {
			return err
		}
		m.restart()
		return nil
	})
}
