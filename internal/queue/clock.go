package queue

import (
	"time"

	"go.etcd.io/bbolt"
)

// The machine's clock may be wrong: in 1995 at boot, or a year ahead for a minute. What the retention is about goes by a
// clock of the queue's own, then. It starts with the file, at the time there is; it goes on as long as some process has
// the file open, by how long that runs and not by what time it is said to be; and it is stored with the rest. So it may
// lag behind, and forgetting with it, by as long as no daemon ran.
//
// What is remembered by it: index and ledger (see identity.go), and how long ago the file was begun anew.

var keyClock = []byte("clock") // sealed, Unix seconds

const (
	storeClock     = time.Minute      // a transaction stores it that often
	storeClockIdle = 10 * time.Minute // if there is none, Maintain does
)

// clock is the queue's own; the holder of the lock reads and sets it.
type clock struct {
	at     time.Time // when the process had run for ran
	ran    time.Duration
	stored time.Time
}

// ownTime is now by the queue's clock.
func (q *Queue) ownTime() time.Time {
	ran := q.o.running()
	q.clock.at = q.clock.at.Add(max(0, ran-q.clock.ran))
	q.clock.ran = ran
	return q.clock.at
}

// clockOf reads how late it is by the file's own clock; now, if it has none yet.
func clockOf(tx *bbolt.Tx, now time.Time) time.Time {
	var at time.Time
	if meta := tx.Bucket(bucketMeta); meta != nil {
		if n, err := unsealNumber(keyClock, meta.Get(keyClock)); err == nil {
			at = time.Unix(int64(n), 0)
		}
	}
	for _, name := range [][]byte{bucketKeys, bucketSent} { // of before it had one, or if it was damaged
		if b := tx.Bucket(name); b != nil {
			if k, _ := b.Cursor().Last(); k != nil && stamped(k).After(at) {
				at = stamped(k)
			}
		}
	}
	if at.IsZero() {
		return now.Round(0)
	}
	return at
}

// startClock goes on where the file's clock stands.
func (q *Queue) startClock(tx *bbolt.Tx) {
	q.clock = clock{at: clockOf(tx, q.o.Now()), ran: q.o.running()}
}

// due says whether a transaction at that time stores it.
func (c *clock) due(own time.Time) bool { return own.Sub(c.stored) >= storeClock }

// saveClock stores the clock if it was not for a while.
func (t *txn) saveClock() error {
	if !t.q.clock.due(t.own) {
		return nil
	}
	return putSealed(t.Bucket(bucketMeta), keyClock, number(uint64(t.own.Unix())))
}
