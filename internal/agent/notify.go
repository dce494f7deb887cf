package agent

import (
	"context"
	"net"
	"os"
	"strconv"
	"time"
)

// Notify tells systemd how the daemon fares (sd_notify(3)); without NOTIFY_SOCKET it does nothing.
func Notify(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	if path[0] == '@' {
		path = "\x00" + path[1:]
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return
	}
	defer c.Close()
	c.SetWriteDeadline(time.Now().Add(time.Second)) // nobody may read
	c.Write([]byte(state))
}

// Watchdog sends the sign of life that the unit's WatchdogSec= asks for, until ctx ends. alive decides each time.
func Watchdog(ctx context.Context, alive func() bool) {
	usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || usec <= 0 {
		return
	}
	for wait(ctx, time.Duration(usec)*time.Microsecond/3) {
		if alive() {
			Notify("WATCHDOG=1")
		}
	}
}
