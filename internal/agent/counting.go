package agent

import (
	"cmp"
	"strings"
	"sync"

	"bouncefeed/internal/classify"
	"bouncefeed/internal/event"
	"bouncefeed/internal/provider"
	"bouncefeed/internal/report"
)

// counting tells a report what became of each recipient. Mail that is not ours counts nowhere: its failures are nobody's here.
//
// A batch is stored while the next one is parsed: failures are counted beside deliveries.
type counting struct {
	mu         sync.Mutex // of the two that follow
	tally      *report.Tally
	group      *provider.Group
	classifier *classify.Classifier
}

// passage counts a delivery, or one put off, that a parser skimmed.
func (c *counting) passage(p *event.Passage) {
	c.transit(&event.Event{
		Type: p.Type, Time: p.Time, Recipient: p.Recipient, RemoteMTA: p.RemoteMTA, Code: p.Code, Status: p.Status, Diagnostic: p.Diagnostic, Transit: p.Transit,
	})
}

// event counts what is not reported.
func (c *counting) event(e *event.Event) {
	if e.Type == event.Delivered || e.Type == event.Delayed {
		c.transit(e)
	}
}

func (c *counting) transit(e *event.Event) {
	if e.Transit.Foreign {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.fact(e)
	switch {
	case e.Type == event.Delivered:
		f.Class, f.PutOff = report.Accepted, e.Transit.Before
	case e.Transit.Before:
		f.Class = report.Attempt
	default:
		one := *e
		judge(c.classifier, &one)
		f.Class = report.PutOff
		say(&f, &one)
	}
	c.tally.Add(&f)
}

// failure counts what is reported, and no repeat. returned: it had been accepted, and came back.
func (c *counting) failure(e *event.Event, returned bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.fact(e)
	f.Class, f.PutOff, f.Returned = report.ClassOf(e.Type, e.Fault), e.Transit.Before, returned
	say(&f, e)
	c.tally.Add(&f)
}

// say adds what was said of a failure.
func say(f *report.Fact, e *event.Event) {
	f.Reason, f.Recipient, f.Code, f.Status, f.Text = e.Reason, e.Recipient, e.Code, e.Status, e.Diagnostic
}

func (c *counting) fact(e *event.Event) report.Fact {
	domain := e.Recipient[strings.LastIndexByte(e.Recipient, '@')+1:]
	relay := cmp.Or(e.Transit.Relay, e.RemoteMTA)
	return report.Fact{Time: e.Time, Provider: c.group.Of(relayHost(relay), domain), Domain: domain, Delay: e.Transit.Delay}
}

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
