package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Web is the section `web`: a listener for those who look on, off unless it listens somewhere. Nobody changes anything by it.
type Web struct {
	Listen Listen `yaml:"listen"`
	// Hosts are names, besides addresses and localhost, by which browsers may ask for it.
	Hosts    []string `yaml:"hosts"`
	Password Secret   `yaml:"password"` // with any user name
	TLS      TLS      `yaml:"tls"`
	// InsecureHTTP lets the password come over a network without TLS.
	InsecureHTTP bool `yaml:"insecure_http"`
}

// On says whether there is such a listener.
func (w *Web) On() bool { return len(w.Listen) > 0 }

// sane calls fail for what can't work, or would show strangers what is not theirs to see.
func (w *Web) sane(fail func(key, format string, args ...any)) {
	wrong := w.Listen.Mistakes("8026")
	for _, i := range slices.Sorted(maps.Keys(wrong)) {
		fail(fmt.Sprintf("web.listen[%d]", i), "%s", wrong[i])
	}
	for i, host := range w.Hosts {
		if host == "" || strings.ContainsAny(host, ":/* ") {
			fail(fmt.Sprintf("web.hosts[%d]", i), "%q is no host name: write mail.example.net, without scheme and port", host)
		}
	}
	if !w.TLS.Whole() {
		fail("web.tls", "takes both cert and key, the paths of PEM files")
	}
	switch exposed := len(wrong) == 0 && w.Listen.Exposed(); {
	case exposed && !w.Password.Set():
		fail("web.listen", "other machines reach this address, and there is no password: give password_file, or listen on 127.0.0.1:8026 or unix:/run/bouncefeed/web.sock")
	case exposed && !w.TLS.Set() && !w.InsecureHTTP:
		fail("web.listen", "the password would cross the network readable to all: set tls, listen on 127.0.0.1 behind a proxy that has it, or say insecure_http: true")
	}
}
