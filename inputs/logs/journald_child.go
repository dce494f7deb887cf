package logs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// journalFields are the fields the parser needs, and those for a human who looks at a refused entry. journalctl adds
// __CURSOR and __REALTIME_TIMESTAMP.
const journalFields = "--output-fields=MESSAGE,MESSAGE_ID,SYSLOG_IDENTIFIER,SYSLOG_PID,_TRANSPORT,_PID,_UID,_COMM,_EXE," +
	"_SYSTEMD_UNIT,_HOSTNAME,_MACHINE_ID,_SOURCE_REALTIME_TIMESTAMP"

const (
	maxStderr = 4 << 10
	pipeSize  = 1 << 20   // so that journalctl goes on while a batch is committed; what the kernel grants anybody
	backlog   = 128 << 10 // more than this at once is history
)

// A journalChild is a running journalctl. Its Read ends with io.EOF when the child has nothing to say at the moment.
type journalChild struct {
	cmd    *exec.Cmd
	out    *os.File
	stderr cappedBuffer
	burst  int       // bytes that came since the last wait
	last   time.Time // when something came last
	ended  bool      // nothing will come any more
}

// start runs journalctl on args. It ends with ctx, and with this process.
func (j *journald) start(ctx context.Context, args ...string) (*journalChild, error) {
	c := &journalChild{}
	c.cmd = exec.CommandContext(ctx, j.program, append([]string{"--output=json", journalFields, "--no-pager"}, args...)...)
	c.cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	c.cmd.Cancel = c.kill
	c.cmd.WaitDelay = time.Second
	c.cmd.Stderr = &c.stderr
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	_, _ = unix.FcntlInt(in.Fd(), unix.F_SETPIPE_SZ, pipeSize) // Fd of out would end its deadlines
	c.cmd.Stdout = in
	if err := c.cmd.Start(); err != nil {
		out.Close()
		if errors.Is(err, exec.ErrNotFound) {
			return nil, fmt.Errorf("%w: the journal is read with journalctl, which comes with systemd", err)
		}
		return nil, err
	}
	c.out = out
	return c, nil
}

func (c *journalChild) kill() error { return syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) }

// wait lets the next reading last until something comes, patience at most, and a little longer for what comes with it:
// a Commit of every line would be too much for a disk. A backlog is read as long as it flows.
func (c *journalChild) wait(patience time.Duration) {
	c.burst = 0
	_ = c.out.SetReadDeadline(time.Now().Add(patience))
}

func (c *journalChild) Read(p []byte) (int, error) {
	n, err := c.out.Read(p)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return n, io.EOF
	case err == io.EOF:
		c.ended = true
	case n > 0:
		if c.last = time.Now(); c.burst == 0 || c.burst > backlog {
			_ = c.out.SetReadDeadline(c.last.Add(gather))
		}
		c.burst += n
	}
	return n, err
}

// stop ends the child, whatever it is doing, or, if it has ended by itself, says why; nil: for no fault.
func (c *journalChild) stop() error {
	defer c.out.Close()
	if !c.ended {
		_ = c.kill()
		_ = c.cmd.Wait()
		return nil
	}
	defer time.AfterFunc(time.Second, func() { _ = c.kill() }).Stop() // it closed its output and lives on
	err := c.cmd.Wait()
	if err == nil {
		return nil
	}
	if said := strings.TrimSpace(string(c.stderr.kept)); said != "" {
		return fmt.Errorf("journalctl: %w: %s%s", err, said, journalRemedy(said))
	}
	return fmt.Errorf("journalctl: %w", err)
}

// journalRemedy tells an admin what to do about what journalctl said.
func journalRemedy(said string) string {
	if strings.Contains(said, "ermission") {
		return ": add the user to the group systemd-journal"
	}
	return ""
}

// first gives the first entry that journalctl prints for an option and matches; nil: there is none.
func (j *journald) first(ctx context.Context, option string, matches []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, journalPatience)
	defer cancel()
	c, err := j.start(ctx, slices.Concat(j.source(), []string{option}, matches)...)
	if err != nil {
		return nil, err
	}
	var s splitter
	for len(s.recs) == 0 && !c.ended && err == nil {
		c.wait(journalPatience)
		_, err = s.fill(c)
	}
	if stopped := c.stop(); err == nil {
		err = stopped
	}
	if err != nil || len(s.recs) == 0 {
		return nil, err
	}
	return bytes.Clone(s.recs[0].Body), nil
}

// journalPatience is how long journalctl may take to find an entry, in a journal of many GiB on a slow disk.
const journalPatience = time.Minute

// cappedBuffer keeps the first bytes written to it.
type cappedBuffer struct{ kept []byte }

func (b *cappedBuffer) Write(p []byte) (int, error) {
	b.kept = append(b.kept, p[:min(len(p), maxStderr-len(b.kept))]...)
	return len(p), nil
}
