package agent

import (
	"cmp"
	"strings"
	"sync"
	"time"

	"bouncefeed/internal/classify"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/provider"
	"bouncefeed/internal/report"
)

// counting says in rows of statistics what became of each recipient. Mail that is not ours counts nowhere: its failures are
// nobody's here. All inputs share it; it may be asked by several at once.
type counting struct {
	classifier *classify.Classifier // nil: it is asked of failures only
	now        func() time.Time     // nil: any time is believed

	mu    sync.Mutex // of what follows
	group *provider.Group
	heard map[heardOf]time.Time
}

// heardOf is what an example stands for.
type heardOf struct {
	provider string
	reason   event.Reason
}

func newCounting(c *classify.Classifier, now func() time.Time) *counting {
	return &counting{classifier: c, now: now, group: provider.NewGroup(provider.Default()), heard: map[heardOf]time.Time{}}
}

// A stranger's clock, or the date of a report, makes no days of its own.
const (
	oldestCounted = 15 * 24 * time.Hour
	newestCounted = 24 * time.Hour
)

// failure counts what is reported, and no repeat (queue.Options.Counted).
func (c *counting) failure(e *event.Event) (counted event.Counted) {
	if e.Input == config.Backfill && c.now != nil { // it would count what was counted when it happened
		return counted
	}
	c.add(&counted, e, report.Lists)
	return counted
}

// add counts a failure that was judged.
func (c *counting) add(to *event.Counted, e *event.Event, stream report.Stream) {
	f := c.fact(&event.Passage{Time: e.Time, Recipient: e.Recipient, RemoteMTA: e.RemoteMTA, Transit: e.Transit}, stream)
	f.Class, f.PutOff = report.ClassOf(e.Type, e.Fault), e.Transit.Before
	f.Returned = e.Proof == event.ProofRecipient // a report, and the ledger says that it went out
	f.Campaign = e.CampaignUUID
	f.Reason, f.Recipient, f.Code, f.Status, f.Text = e.Reason, e.Recipient, e.Code, e.Status, e.Diagnostic
	to.Stats = append(to.Stats, f.Stats()...)
	if f.Class != report.Complaint {
		c.quote(to, &f)
	}
}

// quote keeps what was said, once an hour of each reason.
func (c *counting) quote(to *event.Counted, f *report.Fact) {
	key := heardOf{f.Provider, f.Reason}
	c.mu.Lock()
	last, heard := c.heard[key]
	due := !heard || f.Time.Sub(last).Abs() >= time.Hour
	if due {
		c.heard[key] = f.Time // reasons and providers are few
	}
	c.mu.Unlock()
	if !due {
		return
	}
	example := f.Example()
	if to.Examples = append(to.Examples, example); example.Text == "" { // the next one may tell more
		c.mu.Lock()
		delete(c.heard, key)
		c.mu.Unlock()
	}
}

func (c *counting) fact(p *event.Passage, stream report.Stream) report.Fact {
	domain := domainOf(p.Recipient)
	return report.Fact{
		Time: c.when(p.Time), Stream: stream, Provider: c.providerOf(cmp.Or(p.Relay, p.RemoteMTA), domain), Domain: domain, Delay: p.Delay,
	}
}

func (c *counting) providerOf(relay, domain string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.group.Of(relayHost(relay), domain)
}

// when is the time under which something counts.
func (c *counting) when(at time.Time) time.Time {
	if c.now == nil {
		return at
	}
	if now := c.now(); at.Before(now.Add(-oldestCounted)) || at.After(now.Add(newestCounted)) {
		return now
	}
	return at
}

func domainOf(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

func relayOf(e *event.Event) string { return cmp.Or(e.Transit.Relay, e.RemoteMTA) }

// relayHost is the host of what a log calls the relay; "" where it names none.
func relayHost(relay string) string {
	if provider.IsLocal(relay) {
		return relay
	}
	host, _, _ := strings.Cut(relay, "[")
	if host = strings.TrimRight(host, " ."); host == "none" {
		return ""
	}
	return host
}
