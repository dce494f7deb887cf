package inputtest

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// DropToNobody has the calling goroutine see files as an ordinary user does, also where tests run as root. It changes the
// goroutine's thread for good, which ends with the goroutine.
func DropToNobody() error {
	runtime.LockOSThread()
	return unix.Setfsuid(65534)
}
