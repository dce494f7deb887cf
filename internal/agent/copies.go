package agent

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"

	"bouncefeed/internal/address"
	"bouncefeed/internal/event"
	"bouncefeed/parsers"
)

// Without the log of the host that reports, nobody can say whether a recipient has the message all the same, and only a copy
// of it failed: an archive's, a forward's. But an address that fails for several subscribers is none's own.

const (
	maxPending = 10_000
	maxTargets = 1 << 15 // addresses that are remembered, twice
	sharedBy   = 2       // subscribers: one person has one

	whyWaitsForCopy = "waits a moment: another report may tell that only a copy failed"
	whyCopy         = "a copy's failure, it seems: the address that failed did so for several subscribers, who may have the message"
)

// copyTargets are the addresses that failed lately, and for whom, as reports tell. nil: nothing is asked.
type copyTargets struct {
	mu          sync.Mutex
	newer, last map[uint64]*copyTarget
	pending     map[string]*copyTarget // of reports that wait, by the event's id
}

// A copyTarget is for whom an address failed: hashes of their addresses, or of their UUIDs.
type copyTarget struct {
	sources []uint64 // of those that it was generated from
	holders []uint64 // the subscribers, where the report has one address only
}

func (t *copyTarget) isShared() bool { return len(t.sources) >= sharedBy || len(t.holders) >= sharedBy }

func newCopyTargets() *copyTargets {
	return &copyTargets{newer: map[uint64]*copyTarget{}, pending: map[string]*copyTarget{}}
}

func hash(s string) uint64 {
	sum := sha256.Sum256([]byte(s))
	return binary.BigEndian.Uint64(sum[:])
}

// targetOf is the address that failed in the end, and whether that is another than the recipient's.
func targetOf(e *event.Event) (target string, isOther bool) {
	if e.OriginalRecipient != "" && !address.Same(e.Recipient, e.OriginalRecipient) {
		return address.Key(e.OriginalRecipient), true
	}
	return address.Key(e.Recipient), false
}

// A notedTarget is what is known of the address that failed, of a report.
type notedTarget struct {
	*copyTarget
	isOther  bool // than the recipient's
	isShared bool // by several subscribers
}

// noteTarget remembers the address that failed, as e has it that is proven, if e is a report of which only other reports can
// tell that a copy failed.
func (d *draft) noteTarget(e *event.Event) notedTarget {
	if d.copies == nil || d.formats != nil || !parsers.IsMessage(d.format.Type) || e.Type == event.Complaint || d.logHosts.has(e.QueueIDIssuer) {
		return notedTarget{}
	}
	return d.copies.note(e)
}

// wait notes that an event waits for other reports of t.
func (c *copyTargets) wait(id string, t *copyTarget) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pending) < maxPending {
		c.pending[id] = t
	}
}

// waited says why e, which has waited for other reports, is held on; "": it is not. known is false if it did not.
func (c *copyTargets) waited(e *event.Event) (why string, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.pending[e.ID]
	if delete(c.pending, e.ID); t != nil && t.isShared() {
		why = whyCopy
	}
	return why, t != nil
}

func (c *copyTargets) note(e *event.Event) notedTarget {
	target, isOther := targetOf(e)
	if target == "" {
		return notedTarget{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := hash(target)
	t := c.newer[key]
	if t == nil {
		if t = c.last[key]; t == nil {
			t = &copyTarget{}
		}
		if len(c.newer) >= maxTargets {
			c.last, c.newer = c.newer, map[uint64]*copyTarget{}
		}
		c.newer[key] = t
	}
	switch {
	case isOther:
		t.sources = addFew(t.sources, hash(address.Key(e.Recipient)))
	case e.SubscriberUUID != "":
		t.holders = addFew(t.holders, hash(e.SubscriberUUID))
	}
	return notedTarget{t, isOther, t.isShared()}
}

// addFew adds what is not there, as long as more would say more.
func addFew(all []uint64, one uint64) []uint64 {
	if len(all) >= sharedBy || slices.Contains(all, one) {
		return all
	}
	return append(all, one)
}
