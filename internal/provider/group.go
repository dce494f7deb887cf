package provider

import (
	"net/netip"
	"strings"
)

// A Group finds the provider of each mail: by the host that answered, by the recipient's domain, and by what the host of
// an earlier mail to that domain was. It is not safe for concurrent use.
type Group struct {
	table   *Table
	learned map[string]string // domain → id
	hosts   map[string]string // as asked before
}

// Strangers name domains and hosts: what is remembered of them is bounded, and begun anew when it is full.
const (
	maxLearned = 20_000
	maxHosts   = 10_000
)

// NewGroup gives a Group that has learned nothing so far.
func NewGroup(t *Table) *Group {
	return &Group{t, map[string]string{}, map[string]string{}}
}

// Of gives the id of the provider of a mail to domain that host answered for. "" as host: nobody answered, or the source
// does not say.
func (g *Group) Of(host, domain string) string {
	if IsLocal(host) {
		return Local
	}
	if id := g.byHost(host); id != "" {
		g.learn(domain, id)
		return id
	}
	if id, ok := g.table.ByDomain(domain); ok {
		return id
	}
	if id := g.learned[clean(domain)]; id != "" && host == "" {
		return id
	}
	return Other
}

// byHost remembers what hosts were found to be: a list's mail goes to few.
func (g *Group) byHost(host string) string {
	if host == "" {
		return ""
	}
	id, known := g.hosts[host]
	if !known {
		if len(g.hosts) >= maxHosts {
			clear(g.hosts)
		}
		id, _ = g.table.ByHost(host)
		g.hosts[strings.Clone(host)] = id
	}
	return id
}

func (g *Group) learn(domain, id string) {
	if domain = clean(domain); domain == "" || g.learned[domain] == id {
		return
	}
	if len(g.learned) >= maxLearned {
		clear(g.learned)
	}
	g.learned[strings.Clone(domain)] = id
}

// IsLocal says whether a relay, as an MTA's log names it, is this server itself: "local", "virtual", "pipe", the name of a
// socket ("mx.example.org[private/dovecot-lmtp]") or an address of the loopback.
func IsLocal(relay string) bool {
	switch relay {
	case "":
		return false
	case "local", "virtual", "pipe", "localhost", "dovecot", "maildrop", "procmail":
		return true
	}
	host, inner, bracketed := strings.Cut(relay, "[")
	if bracketed {
		inner, _, _ = strings.Cut(inner, "]")
		if strings.Contains(inner, "/") {
			return true
		}
	} else {
		inner = host
	}
	ip, err := netip.ParseAddr(strings.TrimPrefix(inner, "IPv6:"))
	return err == nil && ip.Unmap().IsLoopback()
}
