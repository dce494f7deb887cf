package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// ErrAnswers is why Listen refuses a socket: somebody listens on it.
var ErrAnswers = errors.New("another process answers there")

// dialTime is how long a listener may take to let us in.
const dialTime = time.Second

// Listen listens on the unix socket path and gives it the mode. A socket that a killed process left behind is replaced,
// one that answers is not: ErrAnswers.
func Listen(path string, mode fs.FileMode) (net.Listener, error) {
	if err := removeDead(path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// ListenAt listens at "unix:PATH", which its owner and group may use, or at a TCP address.
func ListenAt(addr string) (net.Listener, error) {
	if path, unix := strings.CutPrefix(addr, "unix:"); unix {
		return Listen(path, 0o660)
	}
	return net.Listen("tcp", addr)
}

// removeDead removes a socket on which nobody listens. What is no socket stays, and listening fails.
func removeDead(path string) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSocket {
		return nil
	}
	c, err := net.DialTimeout("unix", path, dialTime)
	switch {
	case err == nil:
		c.Close()
		return fmt.Errorf("%s: %w", path, ErrAnswers)
	case !errors.Is(err, syscall.ECONNREFUSED): // too busy to let us in, or not for us
		return fmt.Errorf("is %s in use? %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove the socket of an earlier run: %w", err)
	}
	return nil
}
