package maillog

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"bouncefeed/internal/event"
)

// recent is names that a log has told of lately, each with when, in Unix seconds. How many they are is often a stranger's choice,
// so the oldest go first. It is part of a parser's memory: see Stateful.
type recent struct {
	prefix  string // of its keys, as stored
	age     time.Duration
	seen    map[string]int64
	order   []string // as they came; some may be dropped
	changed map[string]bool
}

const maxRecent = 1 << 16

func newRecent(prefix string, age time.Duration) recent {
	return recent{prefix: prefix, age: age, seen: map[string]int64{}, changed: map[string]bool{}}
}

func (r *recent) add(name string, at int64) {
	if _, known := r.seen[name]; !known {
		r.order = append(r.order, name)
	}
	r.seen[name], r.changed[name] = at, true
	for len(r.order) > 0 && (len(r.seen) > maxRecent || r.seen[r.order[0]] < at-int64(r.age.Seconds())) {
		r.drop(r.order[0])
		r.order = r.order[1:]
	}
	if len(r.order) > 2*maxRecent { // most are dropped
		r.order = slices.DeleteFunc(r.order, func(name string) bool { return !r.has(name) })
	}
}

func (r *recent) has(name string) bool {
	_, known := r.seen[name]
	return known
}

func (r *recent) drop(name string) {
	if r.has(name) {
		delete(r.seen, name)
		r.changed[name] = true
	}
}

// changes adds what is to be stored since the last call.
func (r *recent) changes(to map[string][]byte) {
	for name := range r.changed {
		to[r.prefix+name] = nil
		if at, known := r.seen[name]; known {
			to[r.prefix+name] = binary.AppendVarint(nil, at)
		}
	}
	clear(r.changed)
}

// load takes what is stored; false: it is none of its own, or damaged.
func (r *recent) load(key string, value []byte) bool {
	name, own := strings.CutPrefix(key, r.prefix)
	at, n := binary.Varint(value)
	if !own || n <= 0 {
		return false
	}
	r.add(name, at)
	return true
}

// loaded brings what was stored in order.
func (r *recent) loaded() {
	slices.SortFunc(r.order, func(a, b string) int { return cmp.Compare(r.seen[a], r.seen[b]) })
	clear(r.changed)
}

const (
	putOffKey = "p"                 // before the name, as stored
	putOffAge = 15 * 24 * time.Hour // these servers keep a message for a week at most
)

// wasBefore says whether the recipient of e was put off before, and notes whether that goes on. The message is what tells it from
// others to the same recipient.
func (r *recent) wasBefore(e *event.Event, message string) bool {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s\n%s\n%s", message, e.Recipient, e.OriginalRecipient)
	name := string(h.Sum(nil))
	before := r.has(name)
	switch {
	case e.Type != event.Delayed:
		r.drop(name)
	case !before:
		r.add(name, e.Time.Unix())
	}
	return before
}
