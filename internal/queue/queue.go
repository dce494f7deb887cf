// Package queue keeps what must survive a crash in one bbolt file: checkpoints, parser state, events with one position
// per output, dead letters, events held back, refused records, the identity keys that find repeats, the ledger of what
// we sent, and the counters that account for all of it.
//
// Everything one Commit stores is stored in one transaction, and Commit returns nil only after fsync: a source that
// then forgets its record loses nothing, whatever happens. Concurrent callers share a transaction and its fsync.
//
// One lock serialises every access to the file, reads too. Reads are short; in return a page that turns out damaged
// never leaves another caller waiting for a lock inside bbolt, and the file can be replaced by its compacted copy.
package queue

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"

	"bouncefeed/internal/event"
)

// What the queue answers besides the disk's own errors.
var (
	// ErrDamaged: a page of the file does not make sense (any more). Nothing more is read or written; Open finds out
	// what is left.
	ErrDamaged = errors.New("queue file is damaged")
	ErrClosed  = errors.New("queue is closed")
	ErrLocked  = errors.New("another bouncefeed holds it")
)

// DefaultRetain is how long identity keys and the ledger are kept unless Options say otherwise.
const DefaultRetain = 15 * 24 * time.Hour

// Options say how a queue behaves; the zero value is usable.
type Options struct {
	MaxSize int64            // bytes; Commit blocks while more is used and something is pending; 0: no limit
	Retain  time.Duration    // identity keys and ledger, from when they were last stored, by the queue's clock (see clock.go); 0: DefaultRetain
	History time.Duration    // events stay so long after they were stored (see history.go); 0: until every output is done with them
	Skip    bool             // a damaged file: sources go on where they are known to stand, instead of telling again what may be lost
	Outputs []string         // configured outputs by name; none: those the file knows
	Oldest  []string         // of these, those that are new begin with the oldest event that is there
	Guard   *Guard           // nil: whatever is proven is sent
	Log     *slog.Logger     // nil: silent
	Now     func() time.Time // nil: time.Now
	// Counted says what an event counts as in the statistics that is stored now, and no repeat; nil: there are none. It must
	// not use the queue, and may be asked again where a transaction fails.
	Counted func(*event.Event) event.Counted
	// Told is given the rows of statistics of each transaction that is on disk; nil: nobody counts along.
	Told func(rows []event.Stat)
	// Committed is told of each transaction that is on disk how long that took; nil: nobody asks.
	Committed func(took time.Duration)

	freshEnough int                  // bytes of statistics that Maintain adds to the tables; 0: freshEnough
	syncFolder  func(*os.File) error // nil: (*os.File).Sync
	running     func() time.Duration // since some moment, whatever the clock says; nil: as Now tells, by its monotonic reading
}

// Queue is an open queue file. All methods may be called concurrently.
type Queue struct {
	path    string
	o       Options
	log     *slog.Logger
	secret  []byte
	outputs []string // names, sorted; fixed while open

	lock    chan struct{} // one token: holding it is owning everything in this block
	db      *bbolt.DB
	file    *os.File // db's, which carries the flock
	clock   clock
	broken  error   // ErrDamaged or ErrClosed, wrapped: no access any more
	touched int     // about how many bytes were read through the mapping since it was last given back
	ratio   float64 // of a group's size to its events' (see packGroup)

	scopes int    // of the guard, about
	joined uint64 // groups of events before this one are not small (see nextJoin)

	edits atomic.Uint64 // see Edits

	indexDebt, ledgerDebt debt
	tight                 bool // the disk was full: until Maintain has looked, commits merge nothing
	freshStats            int  // about how many bytes of statistics are in no table

	shrinks sync.Mutex  // held by shrink, before the lock
	closing atomic.Bool // it is to give up

	mu       sync.Mutex
	waiting  []*op         // not yet in a transaction, oldest first
	changed  chan struct{} // closed and replaced when there is something to send, or room again
	used     int64         // bytes in use, of the file's pages
	full     bool
	paused   map[string]time.Time // outputs, since when; replaced, never changed
	overfull bool                 // warned that used is above MaxSize with nothing pending
}

// Top-level buckets. Nested: state/INPUT, stats/TABLE, again/OUTPUT, accepted/OUTPUT, outcomes/OUTPUT, dead/OUTPUT,
// refused/INPUT, keys/STAMP and sent/STAMP with runs, blocks and filters in each.
var (
	bucketMeta        = []byte("meta")        // keyX → value
	bucketCheckpoints = []byte("checkpoints") // input → sealed JSON map
	bucketState       = []byte("state")       // input → key → the parser's value
	bucketGroups      = []byte("groups")      // seq of the first → sealed group of events (see group.go); its sequence numbers events and `again`
	bucketCompleted   = []byte("completed")   // seq → sealed record: stands for the one in the group
	bucketOutputs     = []byte("outputs")     // output → sealed position
	bucketAccepted    = []byte("accepted")    // output → seq → sealed outcome of what was answered for and not sent
	bucketOutcomes    = []byte("outcomes")    // output → seq of the first → sealed outcome of a stretch of events (see history.go)
	bucketDays        = []byte("days")        // stamp → sealed seq of the last event that was stored before
	bucketAgain       = []byte("again")       // output → seq → sealed record: retried for this output only
	bucketDead        = []byte("dead")        // output → seq → sealed record
	bucketHeld        = []byte("held")        // seq → sealed record
	bucketRefused     = []byte("refused")     // input → seq → sealed JSON
	bucketCounters    = []byte("counters")    // name → 8 bytes
	bucketKeys        = []byte("keys")        // stamp → runs of identity keys (see identity.go, runs.go)
	bucketSent        = []byte("sent")        // stamp → runs of the ledger (see ledger.go, runs.go)
	bucketStats       = []byte("stats")       // table → key → sealed number, and more (see statistics.go)
	bucketGuard       = []byte("guard")       // scope → sealed guard.Scope; its sequence numbers what the guard holds

	keySecret = []byte("secret")
	keyFormat = []byte("format")
	keyBegun  = []byte("begun")  // when the file was begun anew after damage, if it was
	keyPassed = []byte("passed") // sealed: every output was done with the events up to this one

	buckets = [][]byte{bucketMeta, bucketCheckpoints, bucketState, bucketGroups, bucketCompleted, bucketOutputs,
		bucketAccepted, bucketOutcomes, bucketDays, bucketAgain, bucketDead, bucketHeld, bucketRefused, bucketCounters,
		bucketKeys, bucketSent, bucketStats, bucketGuard}
)

// Secret is 32 random bytes made with the file; it keys the ledger (event.Sent).
func (q *Queue) Secret() []byte { return slices.Clone(q.secret) }

// Close waits for the running transaction and lets the file go. Callers still waiting get ErrClosed.
func (q *Queue) Close() error {
	q.closing.Store(true)
	q.shrinks.Lock() // bbolt does not close while shrink reads an older state
	defer q.shrinks.Unlock()
	q.lock <- struct{}{}
	defer func() { <-q.lock }()
	if q.broken != nil {
		return nil
	}
	q.broken = fmt.Errorf("queue %s: %w", q.path, ErrClosed)
	q.wake()
	if err := q.db.Close(); err != nil {
		return fmt.Errorf("close queue %s: %w", q.path, err)
	}
	return nil
}

// view runs fn in a read transaction. What fn keeps it must copy.
func (q *Queue) view(fn func(*bbolt.Tx) error) error {
	q.lock <- struct{}{}
	defer func() { <-q.lock }()
	return q.guarded(func() error { return q.db.View(fn) })
}

// guarded runs access, by the holder of the lock, and turns a panic or a fault over a damaged page into ErrDamaged.
// bbolt may be left holding its locks then, so nothing touches it afterwards; only the flock is let go.
func (q *Queue) guarded(access func() error) (err error) {
	if q.broken != nil {
		return q.broken
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			q.log.Error("the queue file is damaged; restart to move it aside and go on from what is left",
				"path", q.path, "cause", fmt.Sprint(p))
			q.log.Debug("where the damage showed", "stack", string(debug.Stack()))
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
		if errors.Is(err, ErrDamaged) {
			err = fmt.Errorf("queue %s: %w", q.path, err)
			q.broken = err
			syscall.Flock(int(q.file.Fd()), syscall.LOCK_UN) // closing is not enough: the mapping lives on
			q.file.Close()
			q.wake()
		}
	}()
	return access()
}

// wake lets everybody look again who waits for events or for room.
func (q *Queue) wake() {
	q.mu.Lock()
	defer q.mu.Unlock()
	close(q.changed)
	q.changed = make(chan struct{})
}

// waker gives the channel that the next wake closes. Take it before looking.
func (q *Queue) waker() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.changed
}
