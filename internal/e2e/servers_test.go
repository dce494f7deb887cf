package e2e

import (
	"net"
	"strings"
	"testing"

	"bouncefeed/internal/e2e/e2etest"
)

// startMailServer runs everything a bounce needs before bouncefeed sees it: name server, sink, rsyslog, Postfix.
func startMailServer(t *testing.T, template string, postconf ...[]string) (rsyslogd *process) {
	t.Helper()
	startDNS(t)
	startSink(t)
	rsyslogd = startRsyslog(t, template)
	startPostfix(t, postconf...)
	return rsyslogd
}

// startReceiver listens on loopback and takes everything.
func startReceiver(t *testing.T) *e2etest.Receiver {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := e2etest.NewReceiver()
	r.Listen(t, l)
	return r
}

// TestServers checks the stage itself: whatever bouncefeed makes of it, the log must hold each failure as the scenario
// says, and none of the deliveries that succeed.
func TestServers(t *testing.T) {
	if !jailed(t) {
		return
	}
	startMailServer(t, rfc3339Log)
	var tr traffic
	for _, s := range scenarios {
		tr.send(t, letter{names: []string{s.name}})
	}
	waitQueueEmpty(t)
	lines := strings.Split(readFile(t, mailLog), "\n")
	for _, w := range tr.wants {
		last := ""
		for _, line := range lines {
			if strings.Contains(line, " "+w.queueID+": to=<"+w.recipient+">") {
				last = line
			}
		}
		if !strings.Contains(last, ", dsn="+w.scenario.dsn) {
			t.Errorf("%s: want dsn=%s, the last line in the log is\n%s", w.scenario.name, w.scenario.dsn, last)
		}
	}
}
