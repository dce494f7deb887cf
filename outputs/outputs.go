// Package outputs ships events: one file is one kind of receiver. An output makes one attempt and tells what came of
// it; waiting, repeating and giving up are the agent's.
package outputs

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/text"
)

// Output is one receiver. The agent calls it from one goroutine.
type Output interface {
	// Send makes one attempt. nil: the receiver has it. An error marked event.Permanent: it never will.
	// Anything else: later. No retry loop, sleep or log inside.
	Send(ctx context.Context, batch []event.Event) error
}

// Probe is an output that can ask its receiver whether it would take events, without giving it one: `check --online`
// does. found is worth telling: what the receiver is, hints ("hint: …"). The error names the remedy.
type Probe interface {
	Probe(ctx context.Context) (found []string, err error)
}

// Picky is an output whose receiver can never take some events: they are counted and not sent.
type Picky interface {
	Unfit(e *event.Event) bool
}

// Verifier is an output whose receiver answers before it has stored an event, and can be asked later whether it has.
// It stores in the order in which it took them.
type Verifier interface {
	Output
	// Verifies says whether it will be asked; an error: not known now, or that it should be and can't.
	Verifies(ctx context.Context) (bool, error)
	// Stored asks which of wanted are stored.
	Stored(ctx context.Context, wanted []event.Event) (Answered, error)
	// Otherwise gives an event that was not stored in a form in which it may yet be.
	Otherwise(e event.Event) (event.Event, bool)
	// Broke says whether nobody listened at its address since this was asked last: it was restarted.
	Broke() bool
	// Trust says what to do where it is not asked: for how long to keep what it has answered for, so that it can be told
	// again, and whether to do so after every break.
	Trust() (keep time.Duration, resend bool)
}

// Answered is what a receiver tells of what it has stored.
type Answered struct {
	Stored   map[string]bool // by id: it is, or it is not; missing: not looked at
	Requests int             // what it cost
}

// Settings are the keys that every output takes; a module's configuration embeds them and its defaults set them.
type Settings struct {
	// Send: which events go out: hard, soft, complaint; sender_fault adds the soft ones whose fault is ours.
	Send []string `yaml:"send"`
	// Reasons narrows that down to bounces with these reasons; complaints have none, of them send alone decides.
	Reasons []string `yaml:"reasons"`
	// Inputs are those whose events go out; none: all.
	Inputs []string `yaml:"inputs"`
	// Recipients are to whom the failed mail went, * being any text; none: to anybody. What names no address goes to none of them.
	Recipients []string `yaml:"recipients"`
	// Start is where an output begins that is new: now, or with the oldest event that is kept for another.
	Start string `yaml:"start"`
	// MaxRate is how many events go out per second at most; 0: as many as the receiver takes.
	MaxRate float64 `yaml:"max_rate"`
	// Batch is how many events one Send may carry; a module that posts one at a time says 1 and does not offer it.
	Batch int
}

// Common gives the agent the settings of any module.
func (s *Settings) Common() *Settings { return s }

// DefaultSend is what an output sends unless told otherwise.
var DefaultSend = []string{"hard", "soft", "complaint"}

// Wants says whether e goes out under s.
func (s *Settings) Wants(e *event.Event) bool {
	return s.Sends(e) && (len(s.Reasons) == 0 || e.Type == event.Complaint || slices.Contains(s.Reasons, string(e.Reason))) &&
		(len(s.Inputs) == 0 || e.Input == "" || slices.Contains(s.Inputs, e.Input)) &&
		(len(s.Recipients) == 0 || slices.ContainsFunc(s.Recipients, func(pattern string) bool { return text.Match(pattern, e.Recipient) }))
}

// FromOldest says whether a new output begins with the oldest event.
func (s *Settings) FromOldest() bool { return s.Start == "oldest" }

// Sends says whether e's type goes out under s.
func (s *Settings) Sends(e *event.Event) bool {
	if e.Type == event.Soft && e.Fault == event.FaultSender {
		return slices.Contains(s.Send, "sender_fault")
	}
	return slices.Contains(s.Send, string(e.Type))
}

// Built is an output with what the agent needs to know about it.
type Built struct {
	Output   Output
	Settings *Settings
}

// Modules holds every kind of output; each file adds its own from init.
var Modules config.Registry[Built]

// register makes a kind of output known. build does no I/O; its mistakes are section.Errorf, so that they carry a place.
func register[C any, P interface {
	*C
	Common() *Settings
}](kind string, defaults C, build func(config.Env, config.Section, *C) (Output, error)) {
	config.Register(&Modules, kind, defaults, func(env config.Env, section config.Section, c *C) (Built, error) {
		s := P(c).Common()
		out, err := build(env, section, c)
		return Built{Output: out, Settings: s}, config.Join("", s.check(section), err)
	})
}

func (s *Settings) check(section config.Section) error {
	var errs []error
	for i, w := range s.Send {
		if w != "sender_fault" && !event.Type(w).Reported() {
			errs = append(errs, section.Errorf(fmt.Sprintf("send[%d]", i), "%q is none of hard, soft, complaint, sender_fault", w))
		}
	}
	for i, w := range s.Reasons {
		if _, _, known := event.Reason(w).Outcome(); !known {
			errs = append(errs, section.Errorf(fmt.Sprintf("reasons[%d]", i), "%q is no reason: the README has all of them", w))
		}
	}
	for i, pattern := range s.Recipients {
		if !strings.ContainsAny(pattern, "@*") {
			errs = append(errs, section.Errorf(fmt.Sprintf("recipients[%d]", i), "%q is no address: write jo@example.org, or *@%s for all of a domain", pattern, pattern))
		}
	}
	if s.Start != "" && s.Start != "now" && s.Start != "oldest" {
		errs = append(errs, section.Errorf("start", "%q is none of now, oldest", s.Start))
	}
	if s.MaxRate < 0 {
		errs = append(errs, section.Errorf("max_rate", "must not be negative"))
	}
	return config.Join("", errs...)
}
