package queue

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
)

const (
	pageSize    = 4096 // whatever the machine's: a commit writes whole pages
	allocSize   = 4 << 20
	format      = 4           // see convert.go for what others were
	lockTimeout = time.Second // a daemon that restarts may still be closing

	// mapping is how much of the address space bbolt takes for the file. Were it less than the file grows to, whoever makes
	// it grow would wait until nobody reads an older state of it, and shrink does for long.
	// Where addresses are too short for that, it does not.
	mapping int64 = 16 << 30
)

// Open opens the queue file, making it and its folder if there is none. It may be no symlink: whoever may write to the
// folder could have any other file moved aside.
//
// Errors: ErrLocked, ErrNewer, or what is wrong with the path; a directory or a device is never moved.
func Open(path string, o Options) (*Queue, error) {
	if o.Retain <= 0 {
		o.Retain = DefaultRetain
	}
	if o.freshEnough <= 0 {
		o.freshEnough = freshEnough
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.running == nil {
		began := o.Now()
		o.running = func() time.Duration { return o.Now().Sub(began) }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.syncFolder == nil {
		o.syncFolder = (*os.File).Sync
	}
	q := &Queue{path: path, o: o, log: o.Log, lock: make(chan struct{}, 1), changed: make(chan struct{})}
	if err := q.open(); err != nil {
		return nil, fmt.Errorf("open queue %s: %w", path, err)
	}
	return q, nil
}

func (q *Queue) open() error {
	if err := os.MkdirAll(filepath.Dir(q.path), 0o700); err != nil {
		return err
	}
	f, err := q.lockFile()
	if errors.Is(err, fs.ErrNotExist) {
		if err := q.begin(); err != nil {
			return err
		}
		f, err = q.lockFile()
	}
	if err != nil {
		return err
	}
	if err := q.removeLeftovers(); err != nil {
		f.Close()
		return err
	}
	if n, err := formatOf(f); err == nil && n > format {
		f.Close()
		return newer(n)
	}
	if cause := check(f); cause != nil {
		if err := q.repair(f, cause); err != nil {
			return err
		}
		if f, err = q.lockFile(); err != nil {
			return err
		}
	}
	if err := q.use(f); err != nil {
		return err
	}
	if err := q.start(); err != nil {
		q.Close()
		return err
	}
	return nil
}

// start brings an open file in line with the options, and makes it small if that is worth it.
func (q *Queue) start() error {
	if err := q.guarded(q.bringUp); err != nil {
		return err
	}
	if err := q.guarded(func() error { return q.db.Update(q.setUp) }); err != nil {
		return err
	}
	if err := q.guarded(q.measure); err != nil {
		return err
	}
	return q.compact()
}

// bringUp converts a file of an older format.
func (q *Queue) bringUp() error {
	n, err := formatOf(q.file)
	if err != nil || n == format {
		return err
	}
	if n == 3 { // the first transaction makes the buckets that it lacks
		q.log.Info("the queue file was converted to this version's format", "path", q.path, "from", n, "to", format)
		return nil
	}
	return q.convert()
}

// lockFile opens the file and holds its flock.
func (q *Queue) lockFile() (*os.File, error) {
	for deadline := time.Now().Add(lockTimeout); ; time.Sleep(20 * time.Millisecond) {
		f, err := openRegular(q.path)
		if err != nil {
			return nil, err
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		// Its holder may have put a compacted copy in its place: then this is no longer the queue.
		if err == nil && isAt(f, q.path) {
			return f, nil
		}
		f.Close()
		if err != nil && err != syscall.EWOULDBLOCK {
			return nil, fmt.Errorf("lock: %w", err)
		}
		if time.Now().After(deadline) {
			return nil, ErrLocked
		}
	}
}

func openRegular(path string) (*os.File, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Type() == fs.ModeSymlink {
		return nil, errors.New("it is a symlink, which is not followed: name the file itself in queue.path")
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("it is no file but %s: name a file, such as %s", info.Mode().Type(), filepath.Join(path, "queue.db"))
	}
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if st, ok := info.Sys().(*syscall.Stat_t); ok && errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w: it belongs to user %d, and this is user %d; 'chown --reference=%s %s' gives it back", err, st.Uid, os.Geteuid(), filepath.Dir(path), path)
	}
	return f, err
}

func isAt(f *os.File, path string) bool {
	here, err1 := f.Stat()
	there, err2 := os.Lstat(path)
	return err1 == nil && err2 == nil && os.SameFile(here, there)
}

// Temporary files beside the queue: each is renamed over it when complete, so that a crash leaves the old or the new.
const (
	suffixNew     = ".new-" // and the process id
	suffixCompact = ".compact"
	suffixRepair  = ".repair"
	suffixFormat  = ".format"
)

// removeLeftovers removes what a crash left behind; only the holder of the lock may.
func (q *Queue) removeLeftovers() error {
	entries, err := os.ReadDir(filepath.Dir(q.path))
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch rest, ok := strings.CutPrefix(e.Name(), filepath.Base(q.path)); {
		case !ok:
		case rest == suffixCompact, rest == suffixRepair, rest == suffixFormat, strings.HasPrefix(rest, suffixNew):
			if err := os.Remove(filepath.Join(filepath.Dir(q.path), e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// begin makes a new, empty queue file. A file of length zero at the path is therefore never ours, but damage.
func (q *Queue) begin() error {
	temp := fmt.Sprintf("%s%s%d", q.path, suffixNew, os.Getpid())
	defer os.Remove(temp)
	db, _, err := openTemp(temp)
	if err != nil {
		return err
	}
	err = db.Update(createBuckets)
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	// Two starting at once: the second finds the first one's file, and then its lock.
	if err := os.Link(temp, q.path); err != nil && !errors.Is(err, fs.ErrExist) {
		if err := os.Rename(temp, q.path); err != nil {
			return err
		}
	}
	return q.syncDir()
}

// openTemp makes a new bbolt file.
func openTemp(path string) (db *bbolt.DB, f *os.File, err error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	o := boltOptions()
	o.OpenFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		if f, err = os.OpenFile(name, flag|os.O_EXCL|syscall.O_NOFOLLOW, mode); err == nil {
			err = giveToFoldersOwner(f)
		}
		return f, err
	}
	if db, err = bbolt.Open(path, 0o600, o); err == nil {
		db.AllocSize = allocSize
	}
	return db, f, err
}

const wideAddresses = math.MaxInt > math.MaxInt32

func boltOptions() *bbolt.Options {
	o := &bbolt.Options{Timeout: time.Second, FreelistType: bbolt.FreelistMapType, PageSize: pageSize}
	if wideAddresses {
		size := mapping
		o.InitialMmapSize = int(size)
	}
	return o
}

// syncDir makes a rename in the queue's folder last.
func (q *Queue) syncDir() error {
	d, err := os.Open(filepath.Dir(q.path))
	if err != nil {
		return err
	}
	return errors.Join(q.o.syncFolder(d), d.Close())
}

// use hands f, locked and found sound, to bbolt.
func (q *Queue) use(f *os.File) error {
	if err := errors.Join(f.Chmod(0o600), giveToFoldersOwner(f)); err != nil {
		f.Close()
		return err
	}
	o := boltOptions()
	o.OpenFile = func(string, int, os.FileMode) (*os.File, error) { return f, nil }
	q.file = f
	return q.guarded(func() (err error) {
		if q.db, err = bbolt.Open(q.path, 0o600, o); err == nil {
			q.db.AllocSize = allocSize
		}
		return err
	})
}

// createBuckets makes what every file has: the buckets, the secret and the format's number.
func createBuckets(tx *bbolt.Tx) error {
	for _, name := range buckets {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	if err := createStats(tx); err != nil {
		return err
	}
	meta := tx.Bucket(bucketMeta)
	if len(meta.Get(keySecret)) != 32 {
		secret := make([]byte, 32)
		rand.Read(secret)
		if err := meta.Put(keySecret, secret); err != nil {
			return err
		}
	}
	if err := putMeta(meta, keySecret, slices.Clone(meta.Get(keySecret))); err != nil { // of an older version's file it has no seal yet
		return err
	}
	return putMeta(meta, keyFormat, number(format))
}

func (q *Queue) setUp(tx *bbolt.Tx) error {
	if err := createBuckets(tx); err != nil {
		return err
	}
	q.startClock(tx)
	if err := mendSequence(tx); err != nil {
		return err
	}
	q.secret = slices.Clone(tx.Bucket(bucketMeta).Get(keySecret))
	q.scopes = tx.Bucket(bucketGuard).Stats().KeyN
	if err := q.setUpOutputs(tx); err != nil {
		return err
	}
	return q.setUpPaused(tx.Bucket(bucketMeta))
}

// mendSequence keeps a bucket header that bbolt cannot check from numbering new events like old ones.
func mendSequence(tx *bbolt.Tx) error {
	groups, again := tx.Bucket(bucketGroups), tx.Bucket(bucketAgain)
	highest := max(groups.Sequence(), lastEvent(groups))
	if err := tx.Bucket(bucketOutputs).ForEach(func(name, v []byte) error {
		p, err := decodePosition(name, v)
		highest = max(highest, p.accepted, p.settled)
		if b := again.Bucket(name); b != nil {
			highest = max(highest, lastKey(b))
		}
		return err
	}); err != nil {
		return err
	}
	return groups.SetSequence(highest)
}

func lastKey(b *bbolt.Bucket) uint64 {
	k, _ := b.Cursor().Last()
	return numbered(k)
}
