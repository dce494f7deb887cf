package agent

import (
	"log/slog"
	"strings"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/guard"
	"bouncefeed/internal/provider"
	"bouncefeed/internal/queue"
)

// ruleOf gives the rule of the configuration; nil: no guard is wanted.
func ruleOf(c *config.Guard) *guard.Rule {
	if !c.Enabled {
		return nil
	}
	return &guard.Rule{Hard: c.Hard, Times: c.Times, Share: float64(c.Share)}
}

// newGuard makes the queue's guard; nil: none.
func newGuard(rule *guard.Rule, log *slog.Logger) *queue.Guard {
	if rule == nil {
		return nil
	}
	return &queue.Guard{
		Rule:     *rule,
		Provider: providerOf,
		Warn:     func(x queue.Excess) { warnOfExcess(log, x) },
	}
}

// warnOfExcess says once that an excess has begun.
func warnOfExcess(log *slog.Logger, x queue.Excess) {
	said := []any{"reason", x.Event.Reason, "code", x.Event.Code, "status", x.Event.Status}
	if x.Of == queue.ScopeSender {
		log.Warn("more bounces than is plausible are about this server, not about the recipients: see 'bouncefeed report' and its log", said...)
		return
	}
	log.Warn("more hard bounces than is plausible: they are held, see 'bouncefeed held list', then release or drop",
		append(said, "of", strings.Replace(x.Of, "/", " ", 1))...)
}

// providerOf names whose mailbox it is; "": of nobody who is known.
func providerOf(host, domain string) string {
	if id, ok := provider.Default().ByHost(host); ok {
		return id
	}
	id, _ := provider.Default().ByDomain(domain)
	return id
}

// mailCount counts the mails of a draft that did not fail, for the guard. One that was put off before is counted already.
type mailCount struct {
	counts map[mailed]*uint64
	last   mailed // often the next one goes there, too
	n      *uint64
}

type mailed struct {
	domain string
	relay  string // as the log has it
	hour   int64
}

func (m *mailCount) add(t event.Type, at time.Time, recipient string, how *event.Transit) {
	if t != event.Delivered && t != event.Delayed || how.Foreign || how.Before || at.IsZero() {
		return
	}
	to := mailed{domainOf(recipient), how.Relay, guard.HourOf(at)}
	if m.n == nil || to != m.last {
		m.find(to)
	}
	*m.n++
}

func (m *mailCount) find(to mailed) {
	if n := m.counts[to]; n != nil {
		m.last, m.n = to, n
		return
	}
	if m.counts == nil {
		m.counts = map[mailed]*uint64{}
	}
	m.last, m.n = mailed{strings.Clone(to.domain), strings.Clone(to.relay), to.hour}, new(uint64)
	m.counts[m.last] = m.n
}

func (m *mailCount) all() (mails []queue.Mail) {
	for to, n := range m.counts {
		mails = append(mails, queue.Mail{Domain: to.domain, Relay: relayHost(to.relay), Hour: to.hour, N: *n})
	}
	return mails
}

// softenHeld sends as soft what the guard has held for long enough, if so configured.
func (a *Agent) softenHeld() error {
	g := a.config.Guard
	if !g.Enabled || g.After != "soft" {
		return nil
	}
	_, err := a.queue.SoftenHeld(time.Now().Add(-g.HoldFor.Std()))
	return err
}
