package agent

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// condition is how a module fares, for `status` and for logging each kind of failure once.
type condition struct {
	mu    sync.Mutex
	err   error // of the last attempt; nil: fine
	since time.Time
	last  time.Time       // last success
	kinds map[string]bool // of failure, since then
	times int             // that it failed, since then
}

const maxKinds = 16 // of failure that are told in a row

// fail notes a failure and says whether it is news: the first in a row, or the first of its kind. Words with numbers
// (ports, times, ids) make no kind of their own.
func (c *condition) fail(err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.since, c.kinds, c.times = time.Now(), map[string]bool{}, 0
	}
	c.err = err
	c.times++
	words := slices.DeleteFunc(strings.Fields(err.Error()), func(word string) bool { return strings.ContainsAny(word, "0123456789") })
	kind := strings.Join(words, " ")
	if c.kinds[kind] || len(c.kinds) == maxKinds {
		return false
	}
	c.kinds[kind] = true
	return true
}

// succeed notes a success and says for how long, and how often, things had been failing; 0: they had not.
func (c *condition) succeed() (failed time.Duration, times int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		failed, times = max(time.Since(c.since), 1), c.times
	}
	c.err, c.last = nil, time.Now()
	return failed, times
}

// report is the error in words ("" if fine), since when, and the last success; nil where there is none.
func (c *condition) report() (problem string, since, last *time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		t := c.since.UTC()
		problem, since = c.err.Error(), &t
	}
	if !c.last.IsZero() {
		t := c.last.UTC()
		last = &t
	}
	return problem, since, last
}

// hasBegun says whether there has been a success or a failure.
func (c *condition) hasBegun() bool {
	problem, _, last := c.report()
	return problem != "" || last != nil
}
