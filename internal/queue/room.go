package queue

import (
	"context"
	"syscall"

	"go.etcd.io/bbolt"
)

// measure learns after a transaction how much is used and lets waiters look again. By the holder of the lock.
func (q *Queue) measure() error {
	var used int64
	var waiting uint64
	past := false // it makes room by itself
	err := q.db.View(func(tx *bbolt.Tx) error {
		s := q.db.Stats()
		used = tx.Size() - int64(s.FreePageN+s.PendingPageN)*int64(q.db.Info().PageSize)
		if q.over(used) {
			all, err := counters(tx)
			if err != nil {
				return err
			}
			for _, o := range q.outputs {
				waiting += all.pending(o)
			}
			past = q.o.History > 0 && hasPast(tx)
		}
		if q.touched >= 1<<20 {
			q.touched = 0
			unmapIdle(tx)
		}
		return nil
	})
	if err != nil {
		return err
	}
	q.mu.Lock()
	q.used, q.full = used, q.over(used) && waiting > 0 && !past
	if !q.over(used) {
		q.overfull = false
	} else if waiting == 0 && !q.overfull {
		q.overfull = true
		q.log.Warn("the queue is above its max_size though nothing waits to be sent: it goes on; raise max_size",
			"path", q.path, "used", used, "max_size", q.o.MaxSize)
	}
	q.mu.Unlock()
	q.wake()
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
// gets them from the page cache. Only the pages of tx surely lie in the mapping: the file may be longer than it.
func unmapIdle(tx *bbolt.Tx) {
	// An error only means that the memory stays in use.
	syscall.Syscall(syscall.SYS_MADVISE, tx.DB().Info().Data, uintptr(tx.Size()), syscall.MADV_DONTNEED)
}
