package queue

import (
	"context"
	"syscall"

	"go.etcd.io/bbolt"
)

// measure learns after a transaction how much is used and lets waiters look again. By the holder of the lock.
func (q *Queue) measure() error {
	var used int64
	var pending uint64
	err := q.db.View(func(tx *bbolt.Tx) error {
		s := q.db.Stats()
		used = tx.Size() - int64(s.FreePageN+s.PendingPageN)*int64(q.db.Info().PageSize)
		if q.over(used) {
			for _, n := range q.pending(tx) {
				pending += n
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	q.mu.Lock()
	q.used, q.full = used, q.over(used) && pending > 0
	if !q.over(used) {
		q.overfull = false
	} else if pending == 0 && !q.overfull {
		q.overfull = true
		q.log.Warn("the queue is above its max_size though nothing waits to be sent: it goes on; raise max_size",
			"path", q.path, "used", used, "max_size", q.o.MaxSize)
	}
	q.mu.Unlock()
	q.wake()
	if q.writes++; q.writes >= 64 {
		q.unmapIdle()
	}
	return nil
}

func (q *Queue) over(used int64) bool { return q.o.MaxSize > 0 && used > q.o.MaxSize }

// awaitRoom blocks while the queue is full. With nothing pending it never is: nothing would ever make room.
func (q *Queue) awaitRoom(ctx context.Context) error {
	for said := false; ; {
		q.mu.Lock()
		full, changed, used := q.full, q.changed, q.used
		q.mu.Unlock()
		if !full {
			return nil
		}
		if !said {
			said = true
			q.log.Debug("a source waits for room in the queue", "used", used, "max_size", q.o.MaxSize)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
		if err := q.usable(); err != nil {
			return err
		}
	}
}

func (q *Queue) usable() error {
	q.lock <- struct{}{}
	defer func() { <-q.lock }()
	return q.broken
}

// unmapIdle gives back the memory of pages read through the mapping; they count as the process's own. The next reader
// gets them from the page cache. By the holder of the lock.
func (q *Queue) unmapIdle() {
	q.writes = 0
	if info, err := q.file.Stat(); err == nil && info.Size() > 0 {
		// The mapping is at least as long as the file and belongs to bbolt; an error only means memory stays in use.
		syscall.Syscall(syscall.SYS_MADVISE, q.db.Info().Data, uintptr(info.Size()), syscall.MADV_DONTNEED)
	}
}
