package config

import (
	"fmt"
	"net"
	"strings"
)

// Listen is where to listen: "127.0.0.1:8025", "[::1]:8025", ":8025" for every address, "unix:/run/bouncefeed/webhook.sock".
type Listen []string

// Mistakes says what is wrong with the one or other address, by its number. port is one to propose.
func (l Listen) Mistakes(port string) map[int]string {
	wrong := map[int]string{}
	for i, addr := range l {
		if path, unix := strings.CutPrefix(addr, "unix:"); unix {
			switch {
			case !strings.HasPrefix(path, "/"):
				wrong[i] = fmt.Sprintf("%q: the path of a socket begins with /", addr)
			case len(path) > maxSocket:
				wrong[i] = fmt.Sprintf("is longer than the %d bytes that the path of a socket may have", maxSocket)
			}
		} else if _, _, err := net.SplitHostPort(addr); err != nil {
			wrong[i] = fmt.Sprintf("%q is no address with its port: write 127.0.0.1:%s, or :%[2]s for every address of this machine", addr, port)
		}
	}
	return wrong
}

// Exposed says whether machines other than this one can reach it.
func (l Listen) Exposed() bool {
	for _, addr := range l {
		if strings.HasPrefix(addr, "unix:") {
			continue
		}
		if host, _, _ := net.SplitHostPort(addr); !IsLoopback(host) {
			return true
		}
	}
	return false
}
