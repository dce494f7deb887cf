package webhook

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lobby is a listener in which connections wait until their first request has come in full, or 16 KiB of it, or a TLS
// ClientHello; only then does Accept give them. A waiting connection has no goroutine and no buffer of ours: what it sent
// stays in the kernel, and is looked at where it lies. Thousands that never complete a request cost a kilobyte or two
// each, do not have to be closed before their time, and so do not come again and again.
type lobby struct {
	net.Listener
	guard *guard
	tls   bool
	epoll int
	wake  int // an eventfd that ends the watch
	ready chan net.Conn
	done  chan struct{}
	work  sync.WaitGroup
	once  sync.Once

	mu      sync.Mutex
	waiting map[int32]*guardConn // by file descriptor
	err     error                // of the listener
}

const (
	lobbyMost  = 12_288 // connections; fewer where the process may not open so many files
	lobbySweep = time.Second
	lobbyPause = 10 * time.Millisecond // after an accept that found no free file descriptor
)

// newLobby watches what l accepts, until Close.
func newLobby(l net.Listener, tls bool, exempt func(netip.Addr) bool) (*lobby, error) {
	most := lobbyMost
	var files unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil {
		most = int(min(uint64(most), files.Cur/2))
	}
	y := &lobby{
		Listener: l, guard: newGuard(most, most, exempt), tls: tls,
		ready: make(chan net.Conn), done: make(chan struct{}), waiting: map[int32]*guardConn{},
	}
	var err error
	if y.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("watch connections: %w", err)
	}
	if y.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err == nil {
		err = unix.EpollCtl(y.epoll, unix.EPOLL_CTL_ADD, y.wake, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(y.wake)})
	}
	if err != nil {
		unix.Close(y.epoll)
		return nil, fmt.Errorf("watch connections: %w", err)
	}
	y.work.Go(y.admit)
	y.work.Go(y.watch)
	return y, nil
}

// Accept implements net.Listener.
func (y *lobby) Accept() (net.Conn, error) {
	select {
	case c := <-y.ready:
		return c, nil
	case <-y.done:
		y.mu.Lock()
		defer y.mu.Unlock()
		return nil, y.err
	}
}

// Close implements net.Listener: it closes all who wait.
func (y *lobby) Close() error {
	y.end(net.ErrClosed)
	y.work.Wait()
	y.guard.closeWaiting()
	return nil
}

// end stops both goroutines; err is what Accept says from then on.
func (y *lobby) end(err error) {
	y.once.Do(func() {
		y.mu.Lock()
		y.err = err
		y.mu.Unlock()
		y.Listener.Close()
		unix.Write(y.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
		close(y.done)
	})
}

// admit takes in what comes.
func (y *lobby) admit() {
	for {
		c, err := y.Listener.Accept()
		if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
			y.guard.makeRoom()
			select {
			case <-time.After(lobbyPause):
			case <-y.done:
			}
			continue
		}
		if err != nil {
			y.end(err)
			return
		}
		if conn := y.guard.admit(c); conn == nil {
			abort(c)
		} else if y.enter(conn) != nil {
			conn.Close()
		}
	}
}

// enter has c watched. The watch looks once at what came already.
func (y *lobby) enter(c *guardConn) error {
	return c.control(func(fd int) error {
		y.mu.Lock()
		y.waiting[int32(fd)] = c
		y.mu.Unlock()
		return unix.EpollCtl(y.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(fd)})
	})
}

// control lets f use the file descriptor, which stays open meanwhile.
func (c *guardConn) control(f func(fd int) error) error {
	s, ok := c.Conn.(syscall.Conn)
	if !ok {
		return errors.New("a connection without a file descriptor")
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = raw.Control(func(fd uintptr) { inner = f(int(fd)) })
	return errors.Join(err, inner)
}

// watch looks at every connection that has something new, and now and then for those that wait too long.
func (y *lobby) watch() {
	defer unix.Close(y.epoll)
	defer unix.Close(y.wake)
	events := make([]unix.EpollEvent, 128)
	head := make([]byte, webhookHeaderLimit)
	swept := time.Now()
	for {
		n, err := unix.EpollWait(y.epoll, events, int(lobbySweep.Milliseconds()))
		if err != nil && err != unix.EINTR {
			y.end(fmt.Errorf("watch connections: %w", err))
			return
		}
		for i := range max(n, 0) {
			if int(events[i].Fd) == y.wake {
				return
			}
			y.look(events[i].Fd, head)
		}
		if now := time.Now(); now.Sub(swept) >= lobbySweep {
			swept = now
			y.sweep(now.Add(-webhookReadTime))
		}
	}
}

// look hands on a connection whose request has come.
func (y *lobby) look(fd int32, buf []byte) {
	y.mu.Lock()
	c := y.waiting[fd]
	y.mu.Unlock()
	if c == nil {
		return
	}
	n, complete := 0, false
	err := c.control(func(fd int) (err error) {
		n, _, err = unix.Recvfrom(fd, buf, unix.MSG_PEEK|unix.MSG_DONTWAIT)
		if complete = err == nil && y.complete(buf[:max(n, 0)]); complete {
			err = unix.EpollCtl(y.epoll, unix.EPOLL_CTL_DEL, fd, nil)
		}
		return err
	})
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
	case err != nil || n == 0:
		y.leave(fd, c)
		c.Close()
	case complete:
		y.leave(fd, c)
		if y.guard.release(c) {
			select {
			case y.ready <- c.Conn:
			case <-y.done:
				c.Conn.Close()
			}
		}
	}
}

// complete says whether the first request is there, or can't be one, or is too large to wait for here.
func (y *lobby) complete(b []byte) bool {
	if len(b) >= webhookHeaderLimit {
		return true
	}
	if y.tls { // RFC 8446 §5.1: type 22, version, length
		return len(b) > 0 && b[0] != 22 || len(b) >= 5 && len(b) >= 5+int(b[3])<<8+int(b[4])
	}
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if end < 0 {
		return bytes.Contains(b, []byte("\n\n"))
	}
	return len(b)-end-4 >= announced(b[:end])
}

// announced is how many bytes of body will come by themselves after a head: none that is known if they come in chunks,
// or only after a 100 (Continue).
func announced(head []byte) (length int) {
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch strings.ToLower(string(name)) {
		case "content-length":
			length, _ = strconv.Atoi(string(bytes.TrimSpace(value)))
		case "transfer-encoding", "expect":
			return 0
		}
	}
	return length
}

func (y *lobby) leave(fd int32, c *guardConn) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.waiting[fd] == c {
		delete(y.waiting, fd)
	}
}

// sweep closes those who wait since before the given time, and forgets those the guard has closed.
func (y *lobby) sweep(before time.Time) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for fd, c := range y.waiting {
		if c.closeIfOld(before) {
			delete(y.waiting, fd)
		}
	}
}
