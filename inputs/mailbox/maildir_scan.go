package mailbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/internal/disk"
)

// maildirChunk is how many names are held at a time.
const maildirChunk = 1024

// maildirScan is one reading of all directories.
type maildirScan struct {
	*maildir
	*mailBatch
	ctx     context.Context
	listed  hashSet
	read    []maildirFile // the batch
	trouble string        // the last file that could not be read, moved or deleted
	left    int           // not read
	freed   quota         // deleted and not yet accounted for
	scratch []byte
}

type maildirFile struct {
	dir, name string
	hash      uint64
	info      disk.Info // as it was read
}

func (f maildirFile) path() string { return filepath.Join(f.dir, f.name) }

// scan commits what is new and clears away what may go.
func (m *maildir) scan(ctx context.Context, sink inputs.Sink) error {
	first := m.stamps == nil
	if same, err := m.unchanged(); err != nil || same {
		return err
	}
	batch, err := newMailBatch(&m.config.mailSettings, sink)
	if err != nil {
		return err
	}
	s := &maildirScan{maildir: m, mailBatch: batch, ctx: ctx, scratch: make([]byte, 0, 64<<10)}
	if s.changed = first; first {
		s.watchOn()
	}
	for _, dir := range m.directories() {
		if err := s.directory(dir); err != nil {
			return err
		}
	}
	if err := s.flush(); err != nil {
		return err
	}
	s.account()
	s.prune()
	s.report()
	return s.settle(ctx)
}

// prune forgets what is gone. A name that is being changed may be missed by a reading, so it takes two.
func (s *maildirScan) prune() {
	slices.Sort(s.listed)
	s.forgetFresh()
	known := s.state.seen.with()
	for name := range s.state.toClear {
		known = append(known, name)
	}
	var absent hashSet
	for _, name := range known {
		if !s.listed.has(name) {
			absent = append(absent, name)
		}
	}
	slices.Sort(absent)
	for _, name := range absent {
		if !s.absent.has(name) {
			s.listed = append(s.listed, name) // not yet
			s.stable = false
		}
	}
	slices.Sort(s.listed)
	s.changed = s.state.keep(s.listed) || s.changed
	s.absent = absent
}

func (s *maildirScan) report() {
	if s.trouble != s.warned && s.trouble != "" {
		s.log.Warn("some messages can't be read or cleared away, trying again", "messages", s.left, "last", s.trouble)
	}
	if s.warned = s.trouble; s.trouble != "" {
		s.stable = false
	}
	s.where.Store(&inputs.Position{At: fmt.Sprintf("%s: %d messages", s.config.Path, len(s.listed)), Lag: int64(s.left), Unit: "messages"})
}

func (s *maildirScan) directory(dir string) error {
	return readNames(dir, func(name string) error { return s.file(maildirFile{dir: dir, name: name}) })
}

// readNames gives the names in dir, about in their order.
func readNames(dir string, each func(name string) error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(maildirChunk)
		slices.Sort(names) // by time, as they begin with it
		for _, name := range names {
			if err := each(name); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("read %s: %w", dir, err)
		}
	}
}

// file reads or clears away one message.
func (s *maildirScan) file(f maildirFile) error {
	if strings.HasPrefix(f.name, ".") || s.ctx.Err() != nil {
		return s.ctx.Err()
	}
	unique, _, _ := strings.Cut(f.name, ":")
	f.hash = hash64([]byte(s.folderOf(f.dir)), []byte(unique))
	s.listed = append(s.listed, f.hash)
	grown, growing := s.growth(f)
	if s.state.seen.has(f.hash) && !grown {
		s.move(f)
		return nil
	}
	body, truncated, info, err := readMessage(f.path())
	switch {
	case errors.Is(err, disk.ErrNotRegular):
		return nil
	case err == nil && info.Size == 0: // its first line does not show in the directory's time
		s.stable = s.stable && !isFresh(info)
		return nil
	case errors.Is(err, fs.ErrNotExist): // somebody moved it: it is met again
		s.stable = false
		return nil
	case err != nil:
		s.left, s.trouble = s.left+1, disk.WithRemedy(err).Error()
		return nil
	}
	f.info = info
	if inode, committed := s.state.toClear[f.hash]; committed && inode == info.Ino && !grown {
		if !growing {
			s.remove(f)
		}
		return nil
	}
	if grown { // it is not known any more: what it was taken for was its beginning
		s.state.seen = slices.DeleteFunc(s.state.seen, func(h uint64) bool { return h == f.hash })
	}
	s.read = append(s.read, f)
	if !s.add(f.hash, info.Ino, messageRecord(body, truncated, deliveredAt(info))) {
		return nil
	}
	return s.flush()
}

// folderOf is the folder's name on disk: "." or ".Bounces".
func (s *maildirScan) folderOf(dir string) string {
	rel, err := filepath.Rel(s.config.Path, filepath.Dir(dir))
	if err != nil {
		return dir
	}
	return rel
}

// deliveredAt is when the file was written; zero if that can't be.
func deliveredAt(i disk.Info) time.Time {
	if t := time.Unix(0, i.Mtime); i.Mtime > 0 && t.Before(time.Now()) {
		return t
	}
	return time.Time{}
}

// readMessage reads a file that is a message, up to maxMessage.
func readMessage(path string) (body []byte, truncated bool, info disk.Info, err error) {
	f, err := disk.Open(path, disk.Read|disk.NoFollow)
	if err != nil {
		return nil, false, info, err
	}
	defer f.Close()
	if info, err = disk.Fstat(f); err != nil {
		return nil, false, info, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	body = make([]byte, min(info.Size, maxMessage))
	n, err := io.ReadFull(f, body)
	if err == io.ErrUnexpectedEOF || err == io.EOF {
		err = nil
	}
	return body[:n], info.Size > maxMessage, info, err
}

func (s *maildirScan) flush() error {
	s.noteGrowing()
	toClear, err := s.commit(s.ctx)
	if err != nil {
		return err
	}
	for i, f := range s.read {
		fresh := s.watch(f)
		switch {
		case !slices.Contains(toClear, i):
			s.move(f)
		case !fresh:
			s.remove(f)
		}
	}
	s.read = s.read[:0]
	s.account()
	return nil
}

// remove deletes a message whose Commit is on disk.
func (s *maildirScan) remove(f maildirFile) {
	err := os.Remove(f.path())
	if delete(s.fresh, f.hash); err == nil {
		s.freed.add(f)
	}
	s.cleared(err)
}

// move puts a committed message from new into cur, flagged as seen, if that is wanted.
func (s *maildirScan) move(f maildirFile) {
	if s.config.After != afterMove || filepath.Base(f.dir) != "new" {
		return
	}
	unique, _, _ := strings.Cut(f.name, ":")
	target := filepath.Join(filepath.Dir(f.dir), "cur", unique+":2,S")
	if _, err := os.Lstat(target); err == nil {
		s.cleared(&fs.PathError{Op: "move", Path: f.path(), Err: fs.ErrExist})
		return
	}
	s.cleared(os.Rename(f.path(), target))
}

// cleared notes a message that stays where it is though it should not.
func (s *maildirScan) cleared(err error) {
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.left, s.trouble = s.left+1, disk.WithRemedy(err).Error()
	}
}
