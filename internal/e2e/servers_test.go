package e2e

import (
	"os"
	"strings"
	"testing"
)

// startMailServer runs everything a bounce needs before bouncefeed sees it: name server, sink, rsyslog, Postfix.
func startMailServer(t *testing.T, template string) (rsyslogd *process) {
	t.Helper()
	startDNS(t)
	startSink(t)
	rsyslogd = startRsyslog(t, template)
	startPostfix(t)
	return rsyslogd
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
	log, err := os.ReadFile(mailLog)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(log), "\n")
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
