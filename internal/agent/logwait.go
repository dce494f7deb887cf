package agent

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bouncefeed/inputs"
	"bouncefeed/internal/event"
	"bouncefeed/parsers"
)

// A mail server's log and its report tell of the same failure, and the log knows more: who the recipient was, and whether
// he has the message all the same. So a report of a host whose log is read here is held until the log has spoken.

const (
	logWait     = 2500 * time.Millisecond
	logPatience = 10 * time.Minute // with a log input that is behind
	logNews     = time.Minute      // a report that came longer ago is no news to its host's log
	whyWaits    = "waits a moment: the log of the reporting host, which is read here, may know more"
	whyNotInLog = "the log of the reporting host, which is read here, does not tell of this failure"
)

// logHosts are the mail servers whose logs are read here, by the first label of their names. nil: none is waited for.
type logHosts struct {
	mu      sync.Mutex
	hosts   map[string]bool
	waiting atomic.Bool // something may wait in the queue
	behind  func() bool // whether a log has more to say; nil: none ever has

	patientUntil time.Time // with logs that are behind; zero: none was when last asked
}

func newLogHosts() *logHosts {
	l := &logHosts{hosts: map[string]bool{}}
	l.waiting.Store(true) // since before the last stop
	return l
}

// firstLabel is how syslog names a host; a report has its whole name.
func firstLabel(host string) string {
	host, _, _ = strings.Cut(strings.ToLower(host), ".")
	return host
}

const maxLogHosts = 10_000

func (l *logHosts) add(host string) {
	if l == nil || host == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.hosts) < maxLogHosts {
		l.hosts[firstLabel(host)] = true
	}
}

func (l *logHosts) has(host string) bool {
	if l == nil || host == "" {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hosts[firstLabel(host)]
}

// readsLog says whether a format is a mail server's log.
func readsLog(format string) bool { return format != "" && !parsers.IsMessage(format) }

// waits says whether e is a report that its host's log should precede.
func (d *draft) waits(e *event.Event) bool {
	if e.Proof == event.ProofSource || e.Type == event.Complaint || !d.logHosts.has(e.QueueIDIssuer) {
		return false
	}
	return true
}

// lacksLog notes a report whose proof may only not be there yet: it was read before the log line that enters its message
// in the ledger.
func (d *draft) lacksLog(e *event.Event) {
	if d.formats == nil && parsers.IsMessage(d.format.Type) && d.logHosts.has(e.QueueIDIssuer) {
		d.unproven = append(d.unproven, unprovenReport{e.MessageID, e.Recipient, e.OriginalRecipient, d.record.time})
	}
}

// An unprovenReport is what the ledger is asked for again.
type unprovenReport struct {
	messageID, recipient, original string
	came                           time.Time
}

// awaitProof waits until the ledger has all that was not proven, or the logs have spoken, and says whether it waited at
// all: then the messages are to be judged again. Meanwhile they stay where they are, like those behind them.
func (s *sink) awaitProof(ctx context.Context, unproven []unprovenReport) (waited bool) {
	start := s.now()
	isNews := slices.ContainsFunc(unproven, func(u unprovenReport) bool { return start.Sub(u.came).Abs() < logNews })
	for len(unproven) > 0 {
		now := s.now()
		if (!isNews || now.Sub(start) >= logWait) && !s.logHosts.mayCatchUp(now) || !wait(ctx, logWait/25) {
			return waited
		}
		waited = true
		unproven = slices.DeleteFunc(unproven, func(u unprovenReport) bool {
			return s.ledger.has(u.messageID, u.recipient) || s.ledger.has(u.messageID, u.original)
		})
	}
	return waited
}

// mayCatchUp says whether a log is behind, and not for so long that nobody waits for it any more.
func (l *logHosts) mayCatchUp(now time.Time) bool {
	behind := l.behind != nil && l.behind()
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !behind:
		l.patientUntil = time.Time{}
	case l.patientUntil.IsZero():
		l.patientUntil = now.Add(logPatience)
	}
	return behind && now.Before(l.patientUntil)
}

// releaseWaiting queues the reports that have waited long enough.
func (a *Agent) releaseWaiting(ctx context.Context) error {
	var state condition
	for wait(ctx, logWait/10) {
		if !a.logHosts.waiting.Swap(false) {
			continue
		}
		now, behind := time.Now(), a.isBehind()
		if behind {
			now = now.Add(-logPatience)
		}
		n, err := a.queue.ReleaseWaiting(now, func(e *event.Event) string {
			if why, known := a.copies.waited(e); known {
				return why
			}
			return notInLog(e)
		})
		switch {
		case err == nil:
			state.succeed()
		case isFatal(err):
			return err
		case state.fail(err):
			a.log.Warn("release reports that waited for a log, trying again", "error", err)
		}
		if n > 0 || err != nil {
			a.logHosts.waiting.Store(true)
		}
	}
	return nil
}

// isBehind says whether a log has more to say. A busy one always has: then what counts is when it was last at its end. What
// came logWait ago came before that.
func (a *Agent) isBehind() bool {
	for _, in := range a.inputs {
		r, ok := in.built.Input.(inputs.Reporter)
		if !ok || !readsLog(in.built.Settings.Parser.Type) {
			continue
		}
		if p := r.Report(); p.Lag > 0 && time.Since(p.CaughtUp) > logWait-logWait/4 {
			return true
		}
	}
	return false
}

// notInLog says why a report is held on: the ledger proves what was sent, not that it failed, and the log tells of no
// failure. Whoever knows a subscriber's UUID has seen his message; he may speak for himself.
func notInLog(e *event.Event) string {
	if e.Proof == event.ProofRecipient && (e.SubscriberUUID == "" || e.Evidence == "") {
		return whyNotInLog
	}
	return ""
}
