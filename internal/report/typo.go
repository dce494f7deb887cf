package report

import (
	"strings"
	"sync"

	"bouncefeed/internal/provider"
)

// mistypable are domains that many people have, and some mistype.
var mistypable = sync.OnceValue(func() []string {
	var all []string
	for _, d := range provider.Default().Domains() {
		if strings.IndexByte(d, '.') >= 4 { // one letter off "me.com" may be anybody
			all = append(all, d)
		}
	}
	return all
})

// likelyMeant is the well-known domain that is one slip of the finger from domain; "" if there is none, or domain is known itself.
func likelyMeant(domain string) string {
	if _, known := provider.Default().ByDomain(domain); known {
		return ""
	}
	for _, d := range mistypable() {
		if oneSlip(domain, d) {
			return d
		}
	}
	return ""
}

// oneSlip says whether one letter is missing, too much, another one or exchanged with its neighbour.
func oneSlip(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 || a == b {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) < len(b) {
		return a[i:] == b[i+1:]
	}
	return a[i+1:] == b[i+1:] || i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
}
