package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Postfix's listeners in the jail.
const (
	smtpPort     = "127.0.0.1:25"
	filteredPort = "127.0.0.1:587"   // mail goes through a content filter, which sends it back to reinjectPort
	probingPort  = "127.0.0.1:2525"  // recipients are verified by a probe before they are accepted
	filterPort   = "127.0.0.1:10025" // the filter, ours
	reinjectPort = "127.0.0.1:10026"
)

// One alias whose target is unknown.
const (
	alias       = "team@sender.test"
	aliasTarget = "unknown-900001@mixed.test"
)

// mainCF is Debian's, with queue times of seconds instead of days and header_checks as the README recommends.
const mainCF = `compatibility_level = 3.6
smtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)
biff = no
alias_maps =
append_dot_mydomain = no
myhostname = mx1.sender.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_relay_restrictions = permit_mynetworks, reject
header_checks = regexp:/etc/postfix/header_checks
virtual_alias_maps = inline:{ {` + alias + ` = ` + aliasTarget + `} }
virtual_alias_domains =
maximal_queue_lifetime = 8s
bounce_queue_lifetime = 4s
queue_run_delay = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 2s
transport_retry_time = 1s
smtp_connect_timeout = 2s
smtputf8_enable = yes
address_verify_map =
address_verify_poll_count = 3
address_verify_poll_delay = 1s
`

// masterCF is Debian's without chroot, and with a queue manager that looks at the incoming queue every second instead of
// every five minutes: under load it misses a wake-up now and then.
const masterCF = `127.0.0.1:25    inet n - n - - smtpd
127.0.0.1:587   inet n - n - - smtpd
  -o syslog_name=postfix/submission
  -o content_filter=scan:[127.0.0.1]:10025
127.0.0.1:10026 inet n - n - - smtpd
  -o syslog_name=postfix/reinject
  -o receive_override_options=no_unknown_recipient_checks,no_milters
127.0.0.1:2525  inet n - n - - smtpd
  -o syslog_name=postfix/probing
  -o smtpd_recipient_restrictions=reject_unverified_recipient
pickup     unix n - n 60 1 pickup
cleanup    unix n - n - 0 cleanup
qmgr       unix n - n 1 1 qmgr
tlsmgr     unix - - n 1000? 1 tlsmgr
rewrite    unix - - n - - trivial-rewrite
bounce     unix - - n - 0 bounce
defer      unix - - n - 0 bounce
trace      unix - - n - 0 bounce
verify     unix - - n - 1 verify
flush      unix n - n 1000? 0 flush
proxymap   unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp       unix - - n - - smtp
scan       unix - - n - - smtp
  -o syslog_name=postfix/$service_name
  -o smtp_send_xforward_command=no
relay      unix - - n - - smtp
  -o syslog_name=postfix/$service_name
showq      unix n - n - - showq
error      unix - - n - - error
retry      unix - - n - - error
discard    unix - - n - - discard
local      unix - n n - - local
virtual    unix - n n - - virtual
anvil      unix - - n - 1 anvil
scache     unix - - n - 1 scache
`

const headerChecks = "/^X-Listmonk-(Campaign|Subscriber):/ INFO\n"

const spool = "/var/spool/postfix"

// startPostfix runs a fresh Postfix with an empty queue, and the content filter beside it. Each of changes is what postconf
// makes of the configuration before Postfix starts: a reload would stop delivery agents in the middle of a message, and
// Postfix then leaves their transport alone until the message has expired.
func startPostfix(t *testing.T, changes ...[]string) {
	t.Helper()
	for _, dir := range []string{spool, "/var/lib/postfix"} {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := command("chown", "postfix:postfix", "/var/lib/postfix"); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{"main.cf": mainCF, "master.cf": masterCF, "header_checks": headerChecks} {
		writeFile(t, filepath.Join("/etc/postfix", file), text)
	}
	for _, args := range changes {
		if err := command("/usr/sbin/postconf", args...); err != nil {
			t.Fatal(err)
		}
	}
	filter := &mailServer{name: "filter", rcpt: func(string) string { return "" }}
	filter.data = func(m message) string {
		reply, err := submit(reinjectPort, m)
		if err != nil {
			return "451 4.3.0 " + err.Error()
		}
		return reply // "250 2.0.0 Ok: queued as 4XyZ…", as amavis passes it on
	}
	filter.listen(t, filterPort)
	showIfFailed(t, mailLog, 8000)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("in Postfix's queue: %v", queued(t))
		}
	})
	p := startServer(t, "postfix", "/usr/sbin/postfix", "start-fg")
	p.stop = []string{"/usr/sbin/postfix", "stop"} // what we started is a script: SIGTERM would not reach its child
	waitFor(t, "Postfix listens", func() bool { return listening(smtpPort) && listening(reinjectPort) })
}

// queued lists the messages in Postfix's queue.
func queued(t *testing.T) (files []string) {
	t.Helper()
	for _, dir := range []string{"maildrop", "incoming", "active", "deferred"} {
		err := filepath.WalkDir(filepath.Join(spool, dir), func(file string, d fs.DirEntry, err error) error {
			if os.IsNotExist(err) { // delivered while we looked
				return nil
			}
			if err == nil && !d.IsDir() {
				files = append(files, file)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// waitQueueEmpty waits until every message is delivered, returned or expired.
func waitQueueEmpty(t *testing.T) {
	t.Helper()
	waitSteady(t, "Postfix's queue is empty", func() bool { return len(queued(t)) == 0 })
}

// startDNS answers for the test domains, and for nothing else but what more arguments to dnsmasq add.
func startDNS(t *testing.T, more ...string) *process {
	t.Helper()
	args := []string{"--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user=root", "--no-resolv", "--no-hosts",
		"--listen-address=" + nameServer, "--bind-interfaces", "--local=/test/", "--local=/in-addr.arpa/",
		"--host-record=mx.sink.test," + sinkAddr, "--host-record=mx.refused.test," + nobodyAddr,
		"--mx-host=refused.test,mx.refused.test,10",
		"--dns-rr=nullmx.test,15,0000:00"} // RFC 7505: preference 0, host "."
	for _, d := range []string{domain, "news.test", mixed, "busy.test", "drop.test", "data.test"} {
		args = append(args, fmt.Sprintf("--mx-host=%s,mx.sink.test,10", d))
	}
	p := startServer(t, "dnsmasq", "/usr/sbin/dnsmasq", append(args, more...)...)
	waitFor(t, "dnsmasq listens", func() bool { return listening(nameServer + ":53") })
	return p
}
