package mailbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	mboxLockTime  = 30 * time.Second
	mboxLockEvery = 100 * time.Millisecond
)

// lockMbox keeps others from writing to f, which is path, the two ways that mail programs have: a file path.lock and
// fcntl, in Postfix's order. write asks for both; a reader does without the file where it may not make one.
func lockMbox(ctx context.Context, f *os.File, path string, write bool) (unlock func(), err error) {
	deadline := time.Now().Add(mboxLockTime)
	dot, err := dotLock(ctx, path+".lock", deadline)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
		if write {
			return nil, fmt.Errorf("lock %s: %w: this user may not write to the directory (for /var/mail: SupplementaryGroups=mail and ReadWritePaths=/var/mail in the unit, by systemctl edit bouncefeed)", path, err)
		}
		dot, err = func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	if err := fcntlLock(ctx, f, write, deadline); err != nil {
		dot()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() {
		fcntlUnlock(f)
		dot()
	}, nil
}

func fcntlUnlock(f *os.File) {
	_ = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_UNLCK})
}

// sizeAtRest is f's size when nobody is writing to it, where f's file system knows locks: whole messages.
func sizeAtRest(ctx context.Context, f *os.File) (int64, error) {
	err := fcntlLock(ctx, f, false, time.Now().Add(mboxLockTime))
	switch {
	case err == nil:
		defer fcntlUnlock(f)
	case errors.Is(err, errLocked) || ctx.Err() != nil:
		return 0, fmt.Errorf("lock it: %w", err)
	}
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

var errLocked = errors.New("somebody else holds the lock")

func fcntlLock(ctx context.Context, f *os.File, write bool, deadline time.Time) error {
	for {
		lock := unix.Flock_t{Type: unix.F_RDLCK}
		if write {
			lock.Type = unix.F_WRLCK
		}
		err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &lock)
		if err != unix.EAGAIN && err != unix.EACCES {
			return err
		}
		if err := retryLock(ctx, deadline); err != nil {
			return err
		}
	}
}

func dotLock(ctx context.Context, path string, deadline time.Time) (unlock func(), err error) {
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o444)
		if err == nil {
			_, _ = fmt.Fprintln(f, os.Getpid()) // liblockfile's way to tell that the holder is dead
			f.Close()
			return func() { os.Remove(path) }, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		if deadLock(path) {
			_ = os.Remove(path)
			continue
		}
		if err := retryLock(ctx, deadline); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
}

// deadLock says whether the process that made the lock is no more. Locks without a process id are left to their owners.
func deadLock(path string) bool {
	data, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	return err == nil && pid > 0 && (pid == os.Getpid() || unix.Kill(pid, 0) == unix.ESRCH)
}

// retryLock waits a little before the next try; an error: it is too late for one.
func retryLock(ctx context.Context, deadline time.Time) error {
	if time.Now().After(deadline) {
		return errLocked
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(mboxLockEvery):
		return nil
	}
}
