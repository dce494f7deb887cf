package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/control"
	"bouncefeed/internal/disk"
	"bouncefeed/internal/guard"
	"bouncefeed/internal/queue"
)

// KeeperCommand is the hidden subcommand that runs Keep.
const KeeperCommand = "keep-queue"

// A keeper has the queue of a daemon that does not run open for a command of root's: a process of the user to whom the
// queue's directory belongs. What that user has put there, a link to a file of root's say, gives him no right of root's.
type keeper struct {
	socket  string // where it answers
	command *exec.Cmd
	input   io.Closer // its end tells it to end
	said    bytes.Buffer
}

// keeping is what a keeper is told to open.
type keeping struct {
	Path    string        `json:"path"`
	MaxSize int64         `json:"max_size"`
	Retain  time.Duration `json:"retain"`
	Skip    bool          `json:"skip"`
	Outputs []string      `json:"outputs"`
	Host    string        `json:"host"`
	Guard   *guard.Rule   `json:"guard,omitempty"`
	Oldest  []string      `json:"oldest,omitempty"`
}

// startKeeper starts a keeper; nil if none is needed, because the queue is this user's own business.
func startKeeper(cfg *config.Config) (*keeper, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	path, err := filepath.Abs(cfg.Queue.Path)
	if err != nil {
		return nil, err
	}
	uid, gid, others := disk.NotRoots(filepath.Dir(path))
	if !others {
		return nil, nil
	}
	k := &keeper{command: exec.Command("/proc/self/exe", KeeperCommand)}
	what := keeping{path, int64(cfg.Queue.MaxSize), cfg.Queue.Retain.Std(), cfg.Queue.OnDamage == "skip", outputNames(cfg), cfg.Host, ruleOf(&cfg.Guard), fromOldest(cfg)}
	if err := k.start(uid, gid, what); err != nil {
		return nil, fmt.Errorf("open queue %s as user %d: %w", path, uid, err)
	}
	return k, nil
}

func (k *keeper) start(uid, gid uint32, what keeping) error {
	dir, err := os.MkdirTemp("", "bouncefeed-")
	if err != nil {
		return err
	}
	k.socket = filepath.Join(dir, "control.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: k.socket, Net: "unix"})
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	defer l.Close()
	l.SetUnlinkOnClose(false)
	f, err := l.File()
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	defer f.Close()
	c := k.command
	c.Dir, c.Env, c.Stderr, c.ExtraFiles = "/", []string{}, &k.said, []*os.File{f}
	// Ctrl-C is for the command alone: the keeper ends after it.
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}, Setpgid: true}
	in, err := c.StdinPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	k.input = in
	if err := json.NewEncoder(in).Encode(what); err != nil {
		return errors.Join(err, k.end())
	}
	return nil
}

// end has the keeper close the queue. The error: it could not be opened, or not be closed.
func (k *keeper) end() error {
	k.input.Close()
	err := errors.Join(k.command.Wait(), os.RemoveAll(filepath.Dir(k.socket)))
	if text := bytes.TrimSpace(k.said.Bytes()); err != nil && len(text) > 0 {
		return errors.New(string(text))
	}
	return err
}

// OpenStored opens the queue of a daemon that does not run, for commands that only ask. It answers on socket until end is
// called. Errors: fs.ErrNotExist where nothing is stored yet.
func OpenStored(ctx context.Context, cfg *config.Config, log *slog.Logger) (socket string, end func() error, err error) {
	if _, err := os.Lstat(cfg.Queue.Path); err != nil {
		return "", nil, err
	}
	k, err := startKeeper(cfg)
	if err != nil {
		return "", nil, err
	}
	if k != nil {
		return k.socket, k.end, nil
	}
	q, err := openQueue(cfg, log, newCounting(nil, time.Now))
	if err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp("", "bouncefeed-")
	if err != nil {
		return "", nil, errors.Join(err, q.Close())
	}
	socket = filepath.Join(dir, "control.sock")
	l, err := control.Listen(socket, 0o600, "")
	if err != nil {
		return "", nil, errors.Join(err, q.Close(), os.RemoveAll(dir))
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		done <- control.Serve(ctx, l, storedAnswers(&reporter{queue: q, host: cfg.Host, now: time.Now}, cfg.Queue.Path, nil))
	}()
	return socket, func() error {
		cancel()
		return errors.Join(<-done, q.Close(), os.RemoveAll(dir))
	}, nil
}

// Keep is a keeper's whole life: in tells what to open, and by its end when to end; file is the socket.
func Keep(ctx context.Context, in io.Reader, file *os.File, log *slog.Logger) error {
	var what keeping
	if err := json.NewDecoder(in).Decode(&what); err != nil {
		return fmt.Errorf("%s is for bouncefeed itself: %w", KeeperCommand, err)
	}
	l, err := net.FileListener(file)
	if err != nil {
		return fmt.Errorf("%s is for bouncefeed itself: %w", KeeperCommand, err)
	}
	file.Close()
	q, err := queue.Open(what.Path, queue.Options{MaxSize: what.MaxSize, Retain: what.Retain, History: what.Retain, Skip: what.Skip, Outputs: what.Outputs, Oldest: what.Oldest, Guard: newGuard(what.Guard, log), Log: log, Counted: newCounting(nil, time.Now).failure})
	if err != nil {
		l.Close()
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		io.Copy(io.Discard, in)
		cancel()
	}()
	return errors.Join(control.Serve(ctx, l, storedAnswers(&reporter{queue: q, host: what.Host, now: time.Now}, what.Path, nil)), q.Close())
}
