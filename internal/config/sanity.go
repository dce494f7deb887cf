package config

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

const (
	minQueue   = 1 << 20 // less holds nothing worth a queue
	minRetain  = time.Hour
	maxSocket  = 107 // unix(7): sun_path, with its NUL
	sizeAdvice = "1GiB"
)

// sane tells of values that are read well and can't work.
func (d *decoder) sane(root *yaml.Node, c *Config) {
	at := func(key string) *yaml.Node { return Section{node: root, typ: root}.place(key) }
	fail := func(key, format string, args ...any) { d.fail(at(key), key, key+": "+format, args...) }
	switch info, err := os.Stat(c.Queue.Path); {
	case !filepath.IsAbs(c.Queue.Path):
		fail("queue.path", "give an absolute path, such as /var/lib/bouncefeed/queue.db")
	case strings.HasSuffix(c.Queue.Path, "/") || err == nil && info.IsDir():
		fail("queue.path", "is a directory: name a file in it, such as %s", filepath.Join(c.Queue.Path, "queue.db"))
	}
	if c.Queue.MaxSize < minQueue {
		fail("queue.max_size", "less than 1MiB holds next to nothing, and sources would wait: write %s", sizeAdvice)
	}
	if c.Queue.Retain.Std() < minRetain {
		fail("queue.retain", "what is forgotten so soon is reported twice, by the report that follows a log line: write 15d, not less than 1h")
	}
	c.Web.sane(fail)
	if c.Guard.Hard < 1 {
		fail("guard.hard", "every hard bounce would be held: write 50, or enabled: false for no guard at all")
	}
	if c.Guard.Times < 0 {
		fail("guard.times", "must not be negative")
	}
	c.Alerts.sane(fail)
	for _, socket := range []struct{ key, path string }{{"control.socket", c.Control.Socket}, {"deliver.socket", c.Deliver.Socket}} {
		switch key, path := socket.key, socket.path; {
		case !filepath.IsAbs(path):
			fail(key, "give an absolute path, such as /run/bouncefeed/%s", filepath.Base(path))
			return
		case len(path) > maxSocket:
			fail(key, "is longer than the %d bytes that the path of a socket may have", maxSocket)
		case filepath.Clean(path) == filepath.Clean(c.Queue.Path):
			fail(key, "is the path of the queue: give one of its own")
		}
	}
	if filepath.Clean(c.Control.Socket) == filepath.Clean(c.Deliver.Socket) {
		fail("deliver.socket", "is the control socket's path: give one of its own")
	}
}
