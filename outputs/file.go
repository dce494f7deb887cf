package outputs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
)

// fileConfig is a section `type: file`.
type fileConfig struct {
	Settings
	Path string `yaml:"path"`
}

func init() {
	register("file", fileConfig{Settings: Settings{Send: DefaultSend, Batch: 64}}, newFile)
}

// file appends events as their public JSON, one a line, and calls them delivered once they are on disk. The file may
// be renamed at any time: the next Send begins a new one. After a crash the last line may be torn; the next begins
// on a line of its own, and the torn event stands again, whole, with the same id.
type file struct {
	path string
	open *os.File
	// torn: the file ends in the middle of a line.
	torn bool
}

func newFile(_ config.Env, section config.Section, c *fileConfig) (Output, error) {
	if !filepath.IsAbs(c.Path) {
		return nil, section.Errorf("path", "must be an absolute path, like /var/lib/bouncefeed/bounces.jsonl")
	}
	return &file{path: filepath.Clean(c.Path)}, nil
}

func (f *file) String() string { return f.path }

func (f *file) Send(ctx context.Context, batch []event.Event) error {
	if len(batch) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("write %s: %w", f.path, err)
	}
	var lines []byte
	for i := range batch {
		line, err := encode(&batch[i])
		if err != nil {
			return err
		}
		lines = append(append(lines, line...), '\n')
	}
	if err := f.reopen(); err != nil {
		return err
	}
	if err := f.append(lines); err != nil {
		f.open.Close() // after a failed fsync nothing is known of this descriptor any more
		f.open = nil
		return err // it names the path
	}
	return nil
}

// append writes lines in one go and waits for the disk.
func (f *file) append(lines []byte) error {
	if f.torn {
		lines = append([]byte{'\n'}, lines...)
	}
	before, err := f.open.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err = f.open.Write(lines); err == nil {
		err = f.open.Sync()
	}
	if err != nil {
		f.open.Truncate(before) // a full disk leaves a part of them; if that can not be taken back, reopening sees it
		return err
	}
	f.torn = false
	return nil
}

// reopen makes sure that f.open is what the path names.
func (f *file) reopen() error {
	named, err := os.Lstat(f.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if f.open != nil {
		opened, statErr := f.open.Stat()
		if statErr == nil && err == nil && os.SameFile(opened, named) {
			return nil
		}
		f.open.Close()
		f.open = nil
	}
	// O_NONBLOCK: a pipe without a reader must not hang us before it is refused. O_RDWR: to see the last byte.
	// O_NOFOLLOW: who may write to the directory must not choose another file for us.
	opened, err := os.OpenFile(f.path, os.O_RDWR|os.O_APPEND|os.O_CREATE|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0o600)
	if errors.Is(err, unix.ELOOP) {
		return fmt.Errorf("%w: a symlink is not followed: name the file itself", err)
	}
	if err != nil {
		return err
	}
	if err := f.adopt(opened); err != nil {
		opened.Close()
		return err
	}
	return nil
}

// adopt takes a newly opened file if it is one that keeps what is written.
func (f *file) adopt(opened *os.File) error {
	info, err := opened.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("open %s: no regular file, and events must stay where they are written", f.path)
	}
	torn := false
	if size := info.Size(); size > 0 {
		var last [1]byte
		if _, err := opened.ReadAt(last[:], size-1); err != nil {
			return err
		}
		torn = last[0] != '\n'
	} else if err := syncDir(filepath.Dir(f.path)); err != nil { // its name must survive a power cut, too
		return err
	}
	f.open, f.torn = opened, torn
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Probe looks whether the file, or else its directory, may be written. It creates nothing: a check run by root would
// leave a file that the daemon may not open.
func (f *file) Probe(context.Context) ([]string, error) { return nil, f.probe() }

func (f *file) probe() error {
	info, err := os.Lstat(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		dir := filepath.Dir(f.path)
		if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
			return fmt.Errorf("create %s: directory %s: %w", f.path, dir, err)
		}
	case err != nil:
		return err
	case info.Mode().Type() == fs.ModeSymlink:
		return fmt.Errorf("open %s: a symlink is not followed: name the file itself", f.path)
	case !info.Mode().IsRegular():
		return fmt.Errorf("open %s: no regular file", f.path)
	default:
		if err := unix.Access(f.path, unix.R_OK|unix.W_OK); err != nil {
			return fmt.Errorf("open %s: %w", f.path, err)
		}
	}
	return nil
}
