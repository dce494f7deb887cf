// Package provider tells by the name of the host that answered, or by the recipient's domain, who receives a mail: Gmail,
// a company's filter, another server. It asks no DNS.
package provider

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v4"
)

// What is said of a mail that goes to nobody in the table.
const (
	Other = "other" // a provider that the table does not know
	Local = "local" // this server: a mailbox, a pipe, a filter of its own
)

// Entry is a provider as the data file and the configuration have it.
type Entry struct {
	Name    string   `yaml:"name"`    // for people; empty: its id
	MX      []string `yaml:"mx"`      // ".google.com": hosts below it; "mx.example.net": it, and hosts below; a label may be "*"
	Domains []string `yaml:"domains"` // of recipients, where no host is known; "hotmail.*": under each top-level domain
}

// Table finds providers. Its zero value knows none.
type Table struct {
	names    map[string]string // of an id
	suffixes map[string]string // ".google.com" → id
	hosts    map[string]string // "mx.yandex.net" → id; below it, as a suffix
	starred  []starred
	domains  map[string]string // "gmail.com" → id
	families map[string]string // "hotmail" → id
}

// starred is an entry with a label that may be any.
type starred struct {
	labels []string // "" is the star
	id     string
}

//go:embed providers.yaml
var builtIn []byte

// Default is the table that comes with the program.
var Default = sync.OnceValue(func() *Table {
	t, err := New(nil)
	if err != nil {
		panic(err) // a test reads it
	}
	return t
})

// New gives the built-in table with own entries, which come first. Errors name the entry.
func New(own map[string]Entry) (*Table, error) {
	var known map[string]Entry
	if err := yaml.Unmarshal(builtIn, &known); err != nil {
		return nil, fmt.Errorf("built-in providers: %w", err)
	}
	t := &Table{map[string]string{}, map[string]string{}, map[string]string{}, nil, map[string]string{}, map[string]string{}}
	for _, entries := range []map[string]Entry{known, own} { // the second overwrites the first
		for id, e := range entries {
			if err := t.add(id, e); err != nil {
				return nil, fmt.Errorf("provider %s: %w", id, err)
			}
		}
	}
	slices.SortFunc(t.starred, func(a, b starred) int { return len(b.labels) - len(a.labels) })
	return t, nil
}

func (t *Table) add(id string, e Entry) error {
	if id == "" || id == Other || id == Local || len(id) > 32 || strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" {
		return fmt.Errorf("an id is 1 to 32 of a-z, 0-9, dot and hyphen, and neither %s nor %s", Other, Local)
	}
	if t.names[id] = id; e.Name != "" {
		t.names[id] = e.Name
	}
	for _, mx := range e.MX {
		mx = clean(mx)
		if strings.Trim(mx, ".*") == "" {
			return fmt.Errorf("mx %q names no host", mx)
		}
		switch {
		case strings.Contains(mx, "*"):
			labels := strings.Split(strings.TrimPrefix(mx, "."), ".")
			for i, l := range labels {
				if labels[i] = strings.TrimSuffix(l, "*"); l != "*" && strings.Contains(l, "*") {
					return fmt.Errorf("mx %q: a * stands for one whole label", mx)
				}
			}
			t.starred = append(t.starred, starred{labels, id})
		case strings.HasPrefix(mx, "."):
			t.suffixes[mx] = id
		default:
			t.hosts[mx] = id
		}
	}
	for _, d := range e.Domains {
		d = clean(d)
		if family, ok := strings.CutSuffix(d, ".*"); ok && family != "" && !strings.ContainsAny(family, ".*") {
			t.families[family] = id
		} else if d == "" || strings.Contains(d, "*") {
			return fmt.Errorf("domain %q: a domain, or one label and .* after it", d)
		} else {
			t.domains[d] = id
		}
	}
	return nil
}

// Name is what people call the provider id.
func (t *Table) Name(id string) string {
	if name := t.names[id]; name != "" {
		return name
	}
	return id
}

// IDs lists the providers.
func (t *Table) IDs() []string { return slices.Sorted(maps.Keys(t.names)) }

// ByHost finds whose host it is, by the longest entry that fits on the boundary of a label.
func (t *Table) ByHost(host string) (id string, ok bool) {
	host = clean(host)
	best := ""
	for rest := host; rest != ""; {
		if id, ok = t.hosts[rest]; ok {
			best = rest
			break
		}
		dot := strings.IndexByte(rest, '.')
		if dot < 0 {
			break
		}
		if id, ok = t.suffixes[rest[dot:]]; ok && dot > 0 {
			best = rest[dot:]
			break
		}
		rest = rest[dot+1:]
	}
	for _, s := range t.starred {
		if len(s.labels) > strings.Count(strings.Trim(best, "."), ".")+1 && s.fits(host) {
			return s.id, true
		}
	}
	return id, ok
}

func (s *starred) fits(host string) bool {
	labels := strings.Split(host, ".")
	if len(labels) < len(s.labels) {
		return false
	}
	for i, want := range s.labels {
		got := labels[len(labels)-len(s.labels)+i]
		if got == "" || want != "" && want != got {
			return false
		}
	}
	return true
}

// ByDomain finds who has the mailboxes of domain, as far as the domain itself says.
func (t *Table) ByDomain(domain string) (id string, ok bool) {
	domain = clean(domain)
	if id, ok = t.domains[domain]; ok {
		return id, true
	}
	family, top, _ := strings.Cut(domain, ".")
	if id, ok = t.families[family]; ok && isTop(top) {
		return id, true
	}
	return "", false
}

// isTop says whether registries may sell names under it: "com", "de", "co.uk", "com.br".
func isTop(top string) bool {
	second, country, two := strings.Cut(top, ".")
	if !two {
		return second != ""
	}
	return len(country) == 2 && len(second) <= 3
}

// Domains lists the domains of the table that stand alone, the names that people mistype.
func (t *Table) Domains() []string {
	var all []string
	for d := range t.domains {
		all = append(all, d)
	}
	for f := range t.families {
		all = append(all, f+".com")
	}
	slices.Sort(all)
	return all
}

func clean(name string) string { return strings.TrimSuffix(strings.ToLower(name), ".") }
