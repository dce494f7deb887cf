package control

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"
)

type callerKey struct{}

// withCaller notes by which user a connection was opened.
func withCaller(ctx context.Context, conn net.Conn) context.Context {
	if uid, err := callerOf(conn); err == nil {
		return context.WithValue(ctx, callerKey{}, uid)
	}
	return ctx // nobody we know: permit refuses
}

// nobody is a caller of whom the kernel says nothing.
const nobody = -1

func callerIn(ctx context.Context) (uid int) {
	if uid, known := ctx.Value(callerKey{}).(int); known {
		return uid
	}
	return nobody
}

func callerOf(conn net.Conn) (uid int, err error) {
	c, ok := conn.(*net.UnixConn)
	if !ok {
		return 0, fmt.Errorf("%T is no unix socket", conn)
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	cerr := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if cerr != nil {
		return 0, cerr
	}
	if err != nil {
		return 0, err
	}
	return int(cred.Uid), nil
}

// permit says why the caller may not make the call of that name.
func permit(ctx context.Context, name string, right Right) error {
	if right == Anyone {
		return nil
	}
	uid := callerIn(ctx)
	if uid == 0 || uid == os.Geteuid() {
		return nil
	}
	who := "this user"
	if uid != nobody {
		who = "user " + userName(uid)
	}
	if os.Geteuid() == 0 {
		return fmt.Errorf("only root may ask for %q, not %s", name, who)
	}
	return fmt.Errorf("only root and user %s may ask for %q, not %s", userName(os.Geteuid()), name, who)
}

func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}
