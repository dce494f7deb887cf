package e2e

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/e2e/e2etest"
)

// TestSpine is the main job: a real Postfix bounces real mail, the daemon follows mail.log and tells the receiver of
// exactly the deliveries that failed, once each, with the right words. Then the same log proves that this harness would
// have noticed if not.
func TestSpine(t *testing.T) {
	if !jailed(t) {
		return
	}
	startMailServer(t, rfc3339Log)
	r := startReceiver(t)
	d := newDaemon(t, r, mailLog, sendAll)
	d.start(t)

	var tr traffic
	sendEverything(t, &tr)
	settle(t, &tr, d)
	requireFaultless(t, &tr, d, sendAll)

	// A restart that is no crash repeats nothing.
	d.stop(t)
	tr.send(t, letter{names: []string{"unknown", "ok"}}) // while it is down
	d.start(t)
	settle(t, &tr, d)
	requireFaultless(t, &tr, d, sendAll)
	logLatency(t, &tr, d)
	d.stop(t)

	t.Run("HarnessCanFail", func(t *testing.T) { harnessCanFail(t, tr.wants) })
}

// sendEverything sends every scenario in every way a list manager's mail may take.
func sendEverything(t *testing.T, tr *traffic) {
	t.Helper()
	var together []string // recipients that share messages
	for _, s := range scenarios {
		tr.send(t, letter{names: []string{s.name}, identified: inHeaders})
		if s.domain == mixed {
			together = append(together, s.name)
		}
	}
	for range 5 {
		tr.send(t, letter{names: together})
		tr.send(t, letter{names: []string{"spam", "spam", "drop", "busy", "gone", "ok", "refused"}})
	}
	for _, identified := range []string{inHeaders, inID, inEnvelope} {
		for _, name := range []string{"unknown", "full", "filling", "grey", "gone"} {
			tr.send(t, letter{names: []string{name}, identified: identified})
		}
	}

	// Through a content filter: two queue ids, one bounce, with the first one's id.
	tr.send(t, letter{port: filteredPort, names: []string{"unknown"}, identified: inHeaders})
	tr.send(t, letter{port: filteredPort, names: together})

	// The address that the sender knows is reported, not where an alias sent it.
	tr.send(t, letter{to: []string{alias}})

	// One recipient, two messages: two bounces.
	tr.send(t, letter{to: []string{"unknown-800001@mixed.test"}})
	tr.send(t, letter{to: []string{"unknown-800001@mixed.test"}})

	// The notice to this sender bounces, too: that is nobody's business.
	tr.send(t, letter{sender: "unknown-800002@mixed.test", names: []string{"unknown"}})

	// Postfix logs a Message-ID as it stands. The forger's own mail is delivered; the victim must not hear of it.
	tr.send(t, letter{names: []string{"ok"}, messageID: "a@b> 4XyZ0000001: to=<victim-2@mixed.test>, relay=mx.sink.test[198.51.100.25]:25, " +
		"delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.sink.test[198.51.100.25] said: 550 5.1.1 no such user"})

	// listmonk's test mails belong to nobody.
	for _, name := range []string{"unknown", "full", "gone"} {
		tr.send(t, letter{names: []string{name}, identified: asTest})
	}

	// An address verification probe fails in the log without any mail.
	probed := message{from: "bounces@news.test", to: []string{"unknown-800003@mixed.test"}}
	if _, err := submit(probingPort, probed); err == nil || !strings.Contains(err.Error(), "unverified address") {
		t.Errorf("Postfix should have refused an unverified address, but said %v", err)
	}
}

// settle waits until Postfix is done with all mail and the daemon with all of Postfix's log.
func settle(t *testing.T, tr *traffic, d *daemon) {
	t.Helper()
	waitQueueEmpty(t)
	last := tr.send(t, letter{names: []string{"unknown"}})[0] // the log is read in order: what comes before it was read
	waitFor(t, "the last bounce arrives", func() bool { return d.receiver.Has(last.recipient) })
	waitQueueEmpty(t)
	d.waitIdle(t)
}

// requireFaultless ends the test unless exactly what was to arrive has arrived, and the daemon's counters agree.
func requireFaultless(t *testing.T, tr *traffic, d *daemon, send string) {
	t.Helper()
	v := judge(tr.wants, d.receiver.Seen(), send)
	t.Log(v)
	for _, p := range append(v.problems(), d.receiver.Misunderstood()...) {
		t.Error(p)
	}
	d.requireAccounts(t)
	s := d.status(t)
	in, out := s.Inputs[0], s.Outputs[0]
	if out.Sent != uint64(v.expected) || out.Dead != 0 || in.Held != 0 || in.Gaps != 0 {
		t.Errorf("the daemon counts otherwise: %+v %+v", in, out)
	}
	d.requireQuiet(t)
	if t.Failed() {
		t.FailNow()
	}
}

// requireQuiet holds the daemon to have said nothing that would call for a developer or an admin, and no secret.
func (d *daemon) requireQuiet(t *testing.T, secrets ...string) {
	t.Helper()
	said := readFile(t, filepath.Join(d.dir, "stderr"))
	for _, alarm := range append(secrets, "panic: ", "DATA RACE", "level=ERROR", e2etest.Token) {
		if strings.Contains(said, alarm) {
			t.Errorf("the daemon said %q in the course of the test", alarm)
		}
	}
}

func total(counts map[string]uint64) (sum uint64) {
	for _, n := range counts {
		sum += n
	}
	return sum
}

// logLatency measures the time from the log line to the arrival of its bounce while nothing else happens.
func logLatency(t *testing.T, tr *traffic, d *daemon) {
	t.Helper()
	var took []time.Duration
	for range 20 {
		w := tr.send(t, letter{names: []string{"unknown"}})[0]
		waitFor(t, "a bounce arrives", func() bool { return d.receiver.Has(w.recipient) })
		posts := d.receiver.Seen()
		p := posts[len(posts)-1]
		took = append(took, p.At.Sub(p.CreatedAt)) // created_at is the line's own time, to the microsecond
	}
	slices.Sort(took)
	t.Logf("idle, from log line to POST: median %v, longest of %d %v", took[len(took)/2], len(took), took[len(took)-1])
}
