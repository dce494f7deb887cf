package mailbox

import (
	"context"
	"time"

	"github.com/fsnotify/fsnotify"
)

// hints tell that a message came into one of some directories. They are missing on network filesystems, overflow, and
// go with a directory that is replaced: they only shorten the time to the next reading.
type hints struct {
	dirs  []string
	watch *fsnotify.Watcher // nil: none
}

func newHints(dirs []string) *hints {
	h := &hints{dirs: dirs}
	if watch, err := fsnotify.NewWatcher(); err == nil {
		h.watch = watch
	}
	return h
}

func (h *hints) close() {
	if h.watch != nil {
		h.watch.Close()
	}
}

// wait returns after poll, or within soon after a message came: those that come together are read together.
func (h *hints) wait(ctx context.Context, poll, soon time.Duration) {
	var events chan fsnotify.Event
	var errors chan error
	if h.watch != nil {
		events, errors = h.watch.Events, h.watch.Errors
		if len(h.watch.WatchList()) < len(h.dirs) {
			for _, dir := range h.dirs {
				_ = h.watch.Add(dir) // not there yet, or no watches left: polling does
			}
		}
	}
	timer := time.NewTimer(poll)
	defer timer.Stop()
	for hinted := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case e, ok := <-events:
			if !ok {
				events = nil
			} else if !hinted && e.Has(fsnotify.Create) {
				hinted = true
				timer.Reset(min(poll, soon))
			}
		case <-errors:
		}
	}
}
