package logs

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// hints are the kernel's (inotify(7)): of what is written to the log, and of files that come or go beside it under a name
// that begins with its own. In a directory full of logs the others' lines wake nobody, and the log's own are one hint as
// long as it is not read.
type hints struct {
	path string
	f    *os.File
	fd   int
	file int // the watch on the log; -1: none
	dir  int // that on its directory
	buf  [4 << 10]byte
}

// newHints is nil where the kernel has none to give.
func newHints(path string) *hints {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil
	}
	return &hints{path: path, f: os.NewFile(uintptr(fd), "inotify"), fd: fd, file: -1, dir: -1}
}

func (h *hints) close() {
	if h != nil {
		h.f.Close()
	}
}

// watch begins to watch what is not watched: it was not there, or there are no watches left. Polling does until then.
func (h *hints) watch() {
	if h.dir < 0 {
		h.dir = h.add(filepath.Dir(h.path), unix.IN_CREATE|unix.IN_MOVED_TO|unix.IN_MOVED_FROM|unix.IN_ONLYDIR)
	}
	if h.file < 0 {
		h.file = h.add(h.path, unix.IN_MODIFY)
	}
}

func (h *hints) add(path string, mask uint32) int {
	wd, err := unix.InotifyAddWatch(h.fd, path, mask)
	if err != nil {
		return -1
	}
	return wd
}

// wait returns with the next hint, at end, or when ctx ends.
func (h *hints) wait(ctx context.Context, end time.Time) {
	h.watch()
	_ = h.f.SetReadDeadline(end)
	defer context.AfterFunc(ctx, func() { _ = h.f.SetReadDeadline(time.Unix(1, 0)) })()
	for ctx.Err() == nil {
		n, err := h.f.Read(h.buf[:])
		if err != nil || h.read(h.buf[:n]) {
			return
		}
	}
}

// read says whether there is a hint among what the kernel wrote.
func (h *hints) read(b []byte) (hinted bool) {
	for len(b) >= unix.SizeofInotifyEvent {
		wd := int(int32(binary.NativeEndian.Uint32(b)))
		mask, size := binary.NativeEndian.Uint32(b[4:]), binary.NativeEndian.Uint32(b[12:])
		name := bytes.TrimRight(b[unix.SizeofInotifyEvent:unix.SizeofInotifyEvent+size], "\x00")
		b = b[unix.SizeofInotifyEvent+size:]
		switch {
		case mask&unix.IN_Q_OVERFLOW != 0:
			hinted = true
		case mask&unix.IN_IGNORED != 0: // it is gone
			h.forget(wd)
		case wd == h.file:
			hinted = true
		case wd == h.dir && strings.HasPrefix(string(name), filepath.Base(h.path)):
			hinted = true
			h.watchNew()
		}
	}
	return hinted
}

func (h *hints) forget(wd int) {
	switch wd {
	case h.file:
		h.file = -1
	case h.dir:
		h.dir = -1
	}
}

// watchNew watches the file that has the log's name now.
func (h *hints) watchNew() {
	old := h.file
	if h.file = h.add(h.path, unix.IN_MODIFY); h.file != old && h.file >= 0 && old >= 0 {
		_, _ = unix.InotifyRmWatch(h.fd, uint32(old))
	}
	if h.file < 0 { // it was moved away: late lines are written there
		h.file = old
	}
}
