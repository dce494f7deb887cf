package address

import (
	"bouncefeed/internal/text"
	"strings"
)

// PlausibleDomain says whether s may be a domain of the public DNS: letters, digits, dots, and no number at its end.
func PlausibleDomain(s string) bool {
	dot := strings.LastIndexByte(s, '.')
	if dot < 1 || len(s)-dot < 3 {
		return false
	}
	for i := range len(s) {
		if !IsDomainByte(s[i]) {
			return false
		}
	}
	return s[len(s)-1] > '9'
}

// Peel takes off what forwarders wrap around an envelope address: BATV (`prvs=TAG=jo@`, `prvs=jo/TAG@`,
// `btv1==TAG==jo@`) and SRS (`SRS0=HASH=TT=example.org=jo@forwarder`, `SRS1=HASH=forwarder==HASH=TT=example.org=jo@`).
func Peel(addr string) string {
	for range 4 {
		m, err := Parse(addr)
		if err != nil {
			return addr
		}
		inner, domain := peelOnce(m.Local)
		if inner == "" {
			return addr
		}
		if domain == "" {
			domain = m.Domain
		}
		unwrapped := Mailbox{Local: inner, Domain: domain}.String()
		if !Valid(unwrapped) {
			return addr
		}
		addr = unwrapped
	}
	return addr
}

func peelOnce(local string) (inner, domain string) {
	switch {
	case text.HasPrefixFold(local, "prvs="):
		tag, rest, found := strings.Cut(local[5:], "=")
		if before, _, slashed := strings.Cut(tag, "/"); slashed && !found {
			return before, ""
		}
		return rest, ""
	case text.HasPrefixFold(local, "btv1=="):
		_, rest, _ := strings.Cut(local[6:], "==")
		return rest, ""
	case text.HasPrefixFold(local, "SRS0") && len(local) > 5:
		parts := strings.SplitN(local[5:], "=", 4) // hash, day, domain, local part
		if len(parts) == 4 {
			return parts[3], parts[2]
		}
	case text.HasPrefixFold(local, "SRS1") && len(local) > 5:
		_, rest, _ := strings.Cut(local[5:], "==")
		parts := strings.SplitN(strings.TrimLeft(rest, "=+-"), "=", 4)
		if len(parts) == 4 {
			return parts[3], parts[2]
		}
	}
	return "", ""
}
