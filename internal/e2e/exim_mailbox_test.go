package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// eximReturns has Exim deliver what comes back to news.test into the mailbox, and tell senders of a delay.
var eximReturns = []string{
	"begin acl\n", "delay_warning = 2s\n\nbegin acl\n",
	"begin routers\n", `begin routers
returns:
  driver = accept
  domains = news.test
  transport = mailbox
`,
	"begin transports\n", `begin transports
mailbox:
  driver = appendfile
  maildir_format
  directory = ` + maildir + `
  user = Debian-exim
  mode = 0644
  delivery_date_add
  envelope_to_add
  return_path_add
`,
}

// startEximMailbox runs an Exim whose bounces land in a mailbox of Dovecot's.
func startEximMailbox(t *testing.T) {
	t.Helper()
	startDNS(t)
	startSink(t)
	startRsyslog(t, rfc3339Log)
	startDovecot(t)
	for _, sub := range []string{"new", "cur", "tmp"} { // Exim, which has dropped its privileges, delivers as its own user
		if err := os.Chmod(filepath.Join(maildir, sub), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	startExim(t, "/var/log/exim4/%slog", "", eximReturns...)
	showIfFailed(t, eximLog, 12000)
}

// newEximMailboxDaemon is newMailboxDaemon for a log of Exim's.
func newEximMailboxDaemon(t *testing.T, input, port, trust string, withLog bool) *daemon {
	t.Helper()
	d := newMailboxDaemon(t, startReceiver(t), input, port, trust, withLog)
	file := filepath.Join(d.dir, "config.yaml")
	writeFile(t, file, strings.NewReplacer("parser: postfix", "parser: exim", mailLog, eximLog).Replace(readFile(t, file)))
	return d
}

// requireDelays ends the test unless warnings of a delay came to the mailbox, which is the last input.
func requireDelays(t *testing.T, d *daemon) {
	t.Helper()
	s := d.status(t)
	if box := s.Inputs[len(s.Inputs)-1]; box.Ignored["delayed"] == 0 {
		t.Fatalf("no warning of a delay: %+v", box)
	}
}

// TestEximMailbox: real reports and delay warnings of a real Exim, the log left out.
func TestEximMailbox(t *testing.T) {
	if !jailed(t, eximBinary, pop3Server) {
		return
	}
	startEximMailbox(t)
	d := newEximMailboxDaemon(t, "maildir", "", "any", false)
	d.start(t)
	var tr traffic
	for _, s := range scenarios {
		if s.name != "refused" { // of a host that it knows as dead, Exim says now this, now that
			tr.send(t, letter{names: []string{s.name}, identified: inHeaders})
			tr.send(t, letter{names: []string{s.name}, identified: inID})
		}
	}
	tr.send(t, letter{names: []string{"unknown", "full", "ok", "gone", "disabled", "filling"}}) // two reports
	for i, w := range tr.wants {
		if w.scenario.name == "drop" { // the report says no more than "retry timeout exceeded"
			tr.wants[i].scenario.reason = "expired"
		}
	}
	waitEximEmpty(t)
	waitMailboxEmpty(t, d)
	requireEveryBounce(t, &tr, d)
	requireDelays(t, d)
	d.stop(t)
}

// TestEximMailboxBesideLog: Exim's log and its reports tell of the same bounces at once; each is reported once. What no
// header proves, the log does.
func TestEximMailboxBesideLog(t *testing.T) {
	if !jailed(t, eximBinary, pop3Server) {
		return
	}
	startEximMailbox(t)
	d := newEximMailboxDaemon(t, "imap", "993", "proof", true)
	d.start(t)
	var tr traffic
	together := []string{"unknown", "full", "ok", "grey", "gone", "block", "plain"}
	for _, identified := range []string{anonymous, inHeaders, inEnvelope} {
		for _, name := range append(together, "multi", "filling", "busy") {
			tr.send(t, letter{names: []string{name}, identified: identified})
		}
		tr.send(t, letter{names: together, identified: identified})
	}
	tr.send(t, letter{to: []string{alias}})
	waitEximEmpty(t)
	waitToldTwice(t, &tr, d)
	requireEveryBounce(t, &tr, d)
	requireDelays(t, d)
	d.stop(t)
}

// TestEximMailboxHoldsTheUnproven is the same without the log: nothing shows that the mails were ours. Nothing is sent,
// and nothing deleted.
func TestEximMailboxHoldsTheUnproven(t *testing.T) {
	if !jailed(t, eximBinary, pop3Server) {
		return
	}
	startEximMailbox(t)
	d := newEximMailboxDaemon(t, "pop3", "995", "proof", false)
	d.start(t)
	var tr traffic
	tr.send(t, letter{names: []string{"unknown", "full"}})
	tr.send(t, letter{names: []string{"plain"}})
	waitEximEmpty(t)
	waitFor(t, "all is held", func() bool { return d.status(t).Inputs[0].Held == 3 })
	if left := mailsLeft(t); len(d.receiver.Seen()) != 0 || len(left) != 2 {
		t.Errorf("%d posts, left:\n%s", len(d.receiver.Seen()), describeMails(left))
	}
	d.stop(t)
}
