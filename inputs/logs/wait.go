package logs

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// waiter sleeps until it is worth looking again. The directory's notifications only shorten the sleep: they are missing
// on network filesystems, overflow, and go with a directory that is replaced.
type waiter struct {
	path  string
	poll  time.Duration
	watch *fsnotify.Watcher // nil: polling only
	timer *time.Timer
	since time.Time // the last time it was worth it
}

func newWaiter(path string, poll time.Duration) *waiter {
	w := &waiter{path: path, poll: poll, timer: time.NewTimer(poll)}
	watch, err := fsnotify.NewWatcher()
	if err == nil {
		w.watch = watch
	}
	return w
}

func (w *waiter) close() {
	w.timer.Stop()
	if w.watch != nil {
		w.watch.Close()
	}
}

// wait returns after the poll interval, or earlier when something happened to the log, but not at once after the last
// time: a busy log would make a Commit of every line.
func (w *waiter) wait(ctx context.Context) {
	var events chan fsnotify.Event
	var errors chan error
	if w.watch != nil {
		events, errors = w.watch.Events, w.watch.Errors
		if len(w.watch.WatchList()) == 0 {
			_ = w.watch.Add(filepath.Dir(w.path)) // not there yet, or no watches left: polling does
		}
	}
	w.timer.Reset(w.poll)
	for hinted := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-w.timer.C:
			w.since = time.Now()
			return
		case e, ok := <-events:
			if !ok {
				events = nil
			} else if !hinted && strings.HasPrefix(filepath.Base(e.Name), filepath.Base(w.path)) {
				hinted = true
				w.timer.Reset(max(0, min(w.poll, gather-time.Since(w.since))))
			}
		case <-errors:
		}
	}
}
