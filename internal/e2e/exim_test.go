package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bouncefeed/internal/e2e/e2etest"
)

// Exim as Debian ships it, unpacked by packaging/test-root.sh: Debian installs no two mail servers beside each other.
const (
	eximBinary = "/opt/exim4/usr/sbin/exim4"
	eximSpool  = "/var/spool/exim4"
	eximLog    = "/var/log/exim4/mainlog"
)

// eximConf has retry times of seconds instead of days and the ACL that the README recommends. What is logged is as in
// Debian's configuration, but for what a test adds.
const eximConf = `primary_hostname = mx1.sender.test
exim_path = ` + eximBinary + `
spool_directory = ` + eximSpool + `
log_file_path = LOG_FILE_PATH
log_selector = +smtp_protocol_error +smtp_syntax_error +tls_certificate_verified +tls_peerdn LOG_SELECTOR
local_interfaces = 127.0.0.1
daemon_smtp_ports = 25
tls_advertise_hosts =
deliver_drop_privilege = true
queue_run_max = 3
ignore_bounce_errors_after = 0s
acl_smtp_rcpt = acl_check_rcpt
acl_smtp_data = acl_check_data

begin acl
acl_check_rcpt:
  accept hosts = 127.0.0.1
acl_check_data:
  warn condition = ${if or {{def:h_X-Listmonk-Campaign:}{def:h_X-Listmonk-Subscriber:}}}
       logwrite = :main: listmonk id=$message_exim_id campaign=$h_X-Listmonk-Campaign: subscriber=$h_X-Listmonk-Subscriber:
  accept

begin routers
aliases:
  driver = redirect
  domains = sender.test
  local_parts = team
  data = ` + aliasTarget + `
dnslookup:
  driver = dnslookup
  transport = remote_smtp
  no_more

begin transports
remote_smtp:
  driver = smtp
  connect_timeout = 2s
  no_multi_domain
  delay_after_cutoff = false

begin retry
* * F,6s,1s
`

// startExim runs a fresh Exim with an empty queue. more are texts of its configuration and what is to stand in their place.
func startExim(t *testing.T, logFilePath, logSelector string, more ...string) {
	t.Helper()
	for _, dir := range []string{eximSpool, filepath.Dir(eximLog)} {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	addLine(t, "/etc/passwd", "Debian-exim:x:791:791::"+eximSpool+":/usr/sbin/nologin")
	addLine(t, "/etc/group", "Debian-exim:x:791:")
	if err := command("install", "-d", "-o", "Debian-exim", "-g", "Debian-exim", "-m", "750", eximSpool); err != nil {
		t.Fatal(err)
	}
	if err := command("install", "-d", "-o", "Debian-exim", "-g", daemonGroup, "-m", "2750", filepath.Dir(eximLog)); err != nil {
		t.Fatal(err)
	}
	conf := strings.NewReplacer(append(more, "LOG_FILE_PATH", logFilePath, "LOG_SELECTOR", logSelector)...).Replace(eximConf)
	writeFile(t, "/etc/exim4/exim4.conf", conf)
	startServer(t, "exim4", eximBinary, "-bdf", "-q1s")
	waitFor(t, "Exim listens", func() bool { return listening(smtpPort) })
}

func addLine(t *testing.T, file, line string) {
	t.Helper()
	if text := readFile(t, file); !strings.Contains(text, line) {
		writeFile(t, file, text+line+"\n")
	}
}

// waitEximEmpty waits until every message is delivered, returned or expired.
func waitEximEmpty(t *testing.T) {
	t.Helper()
	waitSteady(t, "Exim's queue is empty", func() bool {
		files, err := os.ReadDir(filepath.Join(eximSpool, "input"))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return len(files) == 0
	})
}

// newEximDaemon is newDaemon for a log of Exim's.
func newEximDaemon(t *testing.T, r *e2etest.Receiver, log string) *daemon {
	t.Helper()
	d := newDaemon(t, r, log, sendAll)
	file := filepath.Join(d.dir, "config.yaml")
	writeFile(t, file, strings.Replace(readFile(t, file), "parser: postfix", "parser: exim", 1))
	return d
}

// TestExim is TestSpine with Exim, whose log says less by default and much more with +all; through syslog, long lines
// come in parts.
func TestExim(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, logFilePath, logSelector, log string }{
		{"Default", "/var/log/exim4/%slog", "", eximLog},
		{"All", "/var/log/exim4/%slog", "+all", eximLog},
		{"Syslog", "syslog", "+all", mailLog},
	} {
		t.Run(test.name, func(t *testing.T) {
			if !jailed(t, eximBinary) {
				return
			}
			startDNS(t)
			startSink(t)
			startRsyslog(t, rfc3339Log)
			startExim(t, test.logFilePath, test.logSelector)
			showIfFailed(t, test.log, 12000)
			r := startReceiver(t)
			d := newEximDaemon(t, r, test.log)
			d.start(t)

			var tr traffic
			sendThroughExim(t, &tr)
			settleExim(t, &tr, d)
			requireFaultless(t, &tr, d, sendAll)

			if log := readFile(t, test.log); test.logFilePath == "syslog" && !strings.Contains(log, ": [2/2] ") {
				t.Error("no line was so long that Exim logged it in parts")
			}

			// A restart that is no crash repeats nothing.
			d.stop(t)
			tr.send(t, letter{names: []string{"unknown", "ok"}}) // while it is down
			d.start(t)
			settleExim(t, &tr, d)
			requireFaultless(t, &tr, d, sendAll)
			d.stop(t)
		})
	}
}

// sendThroughExim sends every scenario in every way a list manager's mail may take.
func sendThroughExim(t *testing.T, tr *traffic) {
	t.Helper()
	var together []string // recipients that share messages
	for _, s := range scenarios {
		tr.send(t, letter{names: []string{s.name}, identified: inHeaders})
		if s.domain == mixed {
			together = append(together, s.name)
		}
	}
	for range 2 { // not "refused": Exim does not ask a dead host again for another message, and says nothing of why it is dead
		tr.send(t, letter{names: together})
		tr.send(t, letter{names: []string{"spam", "spam", "drop", "busy", "gone", "ok"}})
	}
	for _, identified := range []string{inHeaders, inID, inEnvelope} {
		for _, name := range []string{"unknown", "full", "filling", "grey", "gone"} {
			tr.send(t, letter{names: []string{name}, identified: identified})
		}
	}

	// The address that the sender knows is reported, not where an alias sent it.
	tr.send(t, letter{to: []string{alias}})

	// One recipient, two messages: two bounces.
	tr.send(t, letter{to: []string{"unknown-800001@mixed.test"}})
	tr.send(t, letter{to: []string{"unknown-800001@mixed.test"}})

	// The notice to this sender bounces, too: that is nobody's business.
	tr.send(t, letter{sender: "unknown-800002@mixed.test", names: []string{"unknown"}})

	// listmonk's test mails belong to nobody.
	for _, name := range []string{"unknown", "full", "gone"} {
		tr.send(t, letter{names: []string{name}, identified: asTest})
	}

	// Exim prints a local part without its quotes. The forger's address exists; the victim must not hear of it.
	tr.send(t, letter{to: []string{`"victim-2@mixed.test R=dnslookup T=remote_smtp: 550 5.1.1 no such user"@mixed.test`}})
}

// settleExim waits until Exim is done with all mail and the daemon with all of Exim's log.
func settleExim(t *testing.T, tr *traffic, d *daemon) {
	t.Helper()
	waitEximEmpty(t)
	last := tr.send(t, letter{names: []string{"unknown"}})[0] // the log is read in order: what comes before it was read
	waitFor(t, "the last bounce arrives", func() bool { return d.receiver.Has(last.recipient) })
	waitEximEmpty(t)
	d.waitIdle(t)
}
