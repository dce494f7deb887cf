package e2e

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/e2e/e2etest"
	"bouncefeed/internal/queue"
)

// returnToSender has Postfix deliver what comes back to news.test into the mailbox.
var returnToSender = []string{
	"-e", "virtual_mailbox_domains=news.test", "virtual_mailbox_base=/var/mail", "virtual_mailbox_maps=static:bounces/Maildir/",
	"virtual_uid_maps=static:790", "virtual_gid_maps=static:790", "virtual_minimum_uid=1",
	"virtual_mailbox_lock=fcntl", "soft_bounce=no",
}

// startMailboxes runs a mail server whose bounces land in a mailbox of Dovecot's.
func startMailboxes(t *testing.T, postconf ...[]string) {
	t.Helper()
	startMailServer(t, rfc3339Log, append([][]string{returnToSender}, postconf...)...)
	startDovecot(t)
}

// mailboxInputs are sections of the configuration; %s is the port.
var mailboxInputs = map[string]string{
	"pop3":      "type: pop3\ntls: implicit\nport: %s\nafter: delete-reports",
	"pop3 stls": "type: pop3\ntls: stls\nport: %s\nafter: delete-reports",
	"imap":      "type: imap\ntls: implicit\nport: %s\nafter: delete-reports",
	"starttls":  "type: imap\ntls: starttls\nport: %s\nafter: delete-reports",
	"pipe":      "type: pipe",
	"maildir":   "type: maildir\npath: " + maildir + "\nafter: delete-reports\npoll: 500ms",
}

const loginKeys = "\nhost: 127.0.0.1\nusername: bounces\npassword_file: " + dovecotDir + "/password\nca_file: " + dovecotDir + "/cert.pem\npoll: 1s"

// newMailboxDaemon is newDaemon with a mailbox beside the log, or instead of it.
func newMailboxDaemon(t *testing.T, r *e2etest.Receiver, input, port, trust string, withLog bool) *daemon {
	t.Helper()
	d := newDaemon(t, r, mailLog, sendDefault)
	text := strings.Replace(mailboxInputs[input], "%s", port, 1) + "\ntrust: " + trust
	if strings.Contains(text, "port:") {
		text += loginKeys
	}
	text = "  box:\n    " + strings.ReplaceAll(text, "\n", "\n    ") + "\n"
	file := filepath.Join(d.dir, "config.yaml")
	inputs, rest, _ := strings.Cut(readFile(t, file), "outputs:")
	if !withLog {
		inputs = "inputs:\n"
	}
	writeFile(t, file, inputs+text+"outputs:"+rest)
	password := filepath.Join(dovecotDir, "password")
	writeFile(t, password, mailPassword+"\n")
	if err := command("chown", fmt.Sprint(daemonUID), password); err != nil {
		t.Fatal(err)
	}
	return d
}

// requireEveryBounce ends the test unless each bounce arrived once, the counters add up and no report is left behind.
func requireEveryBounce(t *testing.T, tr *traffic, d *daemon) {
	t.Helper()
	v := judge(tr.wants, d.receiver.Seen(), sendDefault)
	t.Log(v)
	for _, p := range append(v.problems(), d.receiver.Misunderstood()...) {
		t.Error(p)
	}
	d.requireAccounts(t)
	s := d.status(t)
	for _, in := range s.Inputs {
		if total(in.Refused) > 0 && in.Name == "box" {
			t.Errorf("%s: refused %v", in.Name, in.Refused)
		}
	}
	if s.Queue.Held > 0 {
		t.Errorf("held %d: %v", s.Queue.Held, s.Queue.Counters)
	}
	if out := s.Outputs[0]; out.Pending != 0 || out.Dead != 0 {
		t.Errorf("all is not sent: %+v", out)
	}
	d.requireQuiet(t, mailPassword)
	if t.Failed() {
		t.FailNow()
	}
}

// waitMailboxEmpty waits until every report was read and deleted.
func waitMailboxEmpty(t *testing.T, d *daemon) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Log("left:\n" + describeMails(mailsLeft(t)))
		}
	}()
	waitSteady(t, "the mailbox is empty", func() bool { return len(mailsLeft(t)) == 0 })
	waitFor(t, "everything is sent", func() bool { return d.status(t).Outputs[0].Pending == 0 })
}

// waitToldTwice waits until each bounce was told of by the log and by a report. A report that is read before the log's
// line is held for a moment, until the line supersedes it, and stays in the mailbox.
func waitToldTwice(t *testing.T, tr *traffic, d *daemon) {
	t.Helper()
	var failed, twice uint64
	for _, w := range tr.wants {
		if w.scenario.typ != "" {
			failed++
		}
	}
	waitFor(t, "each bounce is told of twice", func() bool {
		twice = 0
		s := d.status(t)
		for _, in := range s.Inputs {
			twice += in.Ignored[queue.WhyRepeat] + s.Queue.Counters.Input(in.Name, queue.CountSuperseded)
		}
		return twice >= failed && s.Queue.Held == 0
	})
	d.waitIdle(t)
	waitFor(t, "nearly all reports are deleted", func() bool { return len(mailsLeft(t)) <= int(failed)/4 })
	if twice != failed {
		t.Errorf("%d of %d bounces were told of twice: %v", twice, failed, d.status(t).Queue.Counters)
	}
}

// sendBounced sends every scenario that ends with a report to its sender.
func sendBounced(t *testing.T, tr *traffic, identified string) {
	t.Helper()
	for _, s := range scenarios {
		tr.send(t, letter{names: []string{s.name}, identified: identified})
	}
}

// TestMailboxes: real reports of a real Postfix, read from a real Dovecot and from the Maildir itself, the log left out.
func TestMailboxes(t *testing.T) {
	t.Parallel()
	for input, port := range map[string]string{"pop3": "995", "pop3 stls": "110", "imap": "993", "starttls": "143", "maildir": ""} {
		t.Run(input, func(t *testing.T) {
			if !jailed(t, pop3Server) {
				return
			}
			startMailboxes(t)
			r := startReceiver(t)
			d := newMailboxDaemon(t, r, input, port, "any", false)
			d.start(t)
			var tr traffic
			sendBounced(t, &tr, inHeaders)
			sendBounced(t, &tr, inID)
			waitQueueEmpty(t)
			waitMailboxEmpty(t, d)
			requireEveryBounce(t, &tr, d)
			d.stop(t)
		})
	}
}

// TestMailboxBesideLog: the log and the mailbox tell of the same bounces at once; each is reported once. What no header
// proves, the log does.
func TestMailboxBesideLog(t *testing.T) {
	if !jailed(t, pop3Server) {
		return
	}
	startMailboxes(t)
	r := startReceiver(t)
	d := newMailboxDaemon(t, r, "pop3", "995", "proof", true)
	d.start(t)
	var tr traffic
	for _, identified := range []string{anonymous, inHeaders} {
		sendBounced(t, &tr, identified)
	}
	waitQueueEmpty(t)
	waitToldTwice(t, &tr, d)
	requireEveryBounce(t, &tr, d)
	d.stop(t)
}

// TestMailboxHoldsTheUnproven: without a log or a UUID in the mail nothing shows that it was ours. Nothing is sent, and
// nothing deleted.
func TestMailboxHoldsTheUnproven(t *testing.T) {
	if !jailed(t, pop3Server) {
		return
	}
	startMailboxes(t)
	r := startReceiver(t)
	d := newMailboxDaemon(t, r, "pop3", "995", "proof", false)
	d.start(t)
	var tr traffic
	tr.send(t, letter{names: []string{"unknown", "full"}})
	tr.send(t, letter{names: []string{"plain"}})
	waitQueueEmpty(t)
	waitFor(t, "all is held", func() bool { return d.status(t).Inputs[0].Held == 3 })
	d.stop(t)
	d.start(t) // and what it finds again is known
	waitFor(t, "the mailbox is looked at", func() bool { return d.status(t).Inputs[0].Lag == 0 })
	if s := d.status(t).Inputs[0]; len(r.Seen()) != 0 || len(mailsLeft(t)) != 2 || s.Held != 3 || s.Read != 3 {
		t.Errorf("%d posts, %+v, left:\n%s", len(r.Seen()), s, describeMails(mailsLeft(t)))
	}
	d.stop(t)
}

// TestMailboxPipe: Postfix hands its reports to `bouncefeed deliver`. While the daemon is down, it keeps them.
func TestMailboxPipe(t *testing.T) {
	if !jailed(t, pop3Server) {
		return
	}
	addLine(t, "/etc/passwd", fmt.Sprintf("pipe-e2e:x:%d:%d::/:/bin/false", daemonUID+1, daemonUID+1)) // nobody the daemon knows
	r := startReceiver(t)
	d := newMailboxDaemon(t, r, "pipe", "", "any", false)
	startMailboxes(t,
		[]string{"-e", "virtual_transport=deliver", "bounce_queue_lifetime=1h", "deliver_destination_recipient_limit=1"},
		[]string{"-Me", "deliver/unix=deliver unix - n n - - pipe flags=F user=pipe-e2e argv=" + binary + " deliver --socket " + filepath.Join(d.dir, "deliver.sock")})
	var tr traffic
	d.start(t)
	sendBounced(t, &tr, inHeaders)
	for range 3 { // some of it while the daemon is down
		d.process.kill(t)
		r.NextLife(t)
		tr.send(t, letter{names: []string{"unknown", "full"}, identified: anonymous})
		<-time.After(500 * time.Millisecond)
		d.start(t)
	}
	waitQueueEmpty(t)
	waitFor(t, "everything is sent", func() bool { return d.status(t).Outputs[0].Pending == 0 })
	requireEveryBounce(t, &tr, d)
	d.stop(t)
	for args, code := range map[string]int{"deliver": 75, "deliver x": 64, "deliver --x": 64} {
		cmd := d.command(t, append(strings.Fields(args), "--socket", filepath.Join(d.dir, "deliver.sock"))...)
		cmd.Stdin = strings.NewReader("Subject: x\n\n")
		if out, err := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != code {
			t.Errorf("bouncefeed %s: %v, want %d\n%s", args, err, code, out)
		}
	}
}

// TestMailboxUnderFire kills the daemon at random moments, cuts its connection at random bytes, and has the password
// wrong for a while.
func TestMailboxUnderFire(t *testing.T) {
	t.Parallel()
	for input, server := range map[string]string{"pop3": pop3sPort, "imap": imapsPort} {
		t.Run(input, func(t *testing.T) { underFire(t, input, server) })
	}
}

func underFire(t *testing.T, input, server string) {
	if !jailed(t, pop3Server) {
		return
	}
	startMailboxes(t)
	r := startReceiver(t)
	seed := setting(t, "BOUNCEFEED_E2E_SEED", int(time.Now().UnixNano()))
	random := rand.New(rand.NewPCG(uint64(seed), 1))
	t.Logf("BOUNCEFEED_E2E_SEED=%d", seed)
	c := startCutter(t, server)
	d := newMailboxDaemon(t, r, input, c.port(), "any", false)
	var tr traffic
	kills := setting(t, "BOUNCEFEED_E2E_KILLS", 15)
	for i := range kills {
		c.cut(random)
		switch i {
		case kills / 2:
			setMailPassword(t, "another")
		case kills/2 + 2:
			setMailPassword(t, mailPassword)
		}
		d.launch(t)
		for end := time.Now().Add(time.Duration(random.IntN(1500)) * time.Millisecond); time.Now().Before(end); {
			tr.send(t, letter{names: []string{"unknown", "full"}[random.IntN(2):], identified: inHeaders})
			<-time.After(time.Duration(random.IntN(60)) * time.Millisecond)
		}
		d.process.kill(t)
		r.NextLife(t)
	}
	c.cut(nil)
	d.start(t)
	waitQueueEmpty(t)
	waitMailboxEmpty(t, d)
	t.Logf("%d kills, %d cuts, %d recipients", kills, c.cuts, len(tr.wants))
	requireEveryBounce(t, &tr, d)
	d.stop(t)
}
