package e2e

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

const mailLog = "/var/log/mail.log"

// The time formats of mail.log: Debian 12's default, and the one before.
const (
	rfc3339Log = "RSYSLOG_FileFormat"
	rfc3164Log = "RSYSLOG_TraditionalFileFormat"
)

// rsyslogConf is Debian's /etc/rsyslog.conf without the kernel's log, which is not ours to read.
const rsyslogConf = `module(load="imuxsock" SysSock.RateLimit.Interval="0")
$ActionFileDefaultTemplate TEMPLATE
$FileOwner root
$FileGroup adm
$FileCreateMode 0640
$DirCreateMode 0755
$Umask 0022
$WorkDirectory /var/spool/rsyslog
*.*;auth,authpriv.none		-/var/log/syslog
mail.*				-/var/log/mail.log
`

// logrotateConf is Debian's /etc/logrotate.d/rsyslog, but for the number kept (the test rotates every few seconds) and
// the way of the HUP (no systemd here).
const logrotateConf = `/var/log/syslog
/var/log/mail.log
{
	rotate 100
	weekly
	missingok
	notifempty
	compress
	delaycompress
	sharedscripts
	postrotate
		kill -HUP $(cat /run/rsyslogd.pid)
	endscript
}
`

// startRsyslog runs a fresh rsyslogd behind /dev/log, with an empty /var/log.
func startRsyslog(t *testing.T, template string) *process {
	t.Helper()
	emptyDir(t, "/var/log")
	for _, dir := range []string{"/var/spool/rsyslog", "/var/lib/logrotate"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll("/var/lib/logrotate/status"); err != nil {
		t.Fatal(err)
	}
	writeFile(t, "/etc/rsyslog.conf", strings.Replace(rsyslogConf, "TEMPLATE", template, 1))
	writeFile(t, "/etc/logrotate.conf", logrotateConf)
	p := start(t, "rsyslogd", exec.Command("/usr/sbin/rsyslogd", "-n", "-i", "/run/rsyslogd.pid"))
	waitFor(t, 10*time.Second, "rsyslogd reads /dev/log", func() bool {
		if !p.running() {
			t.Fatalf("rsyslogd ended: %s", tail(p.log, 4000))
		}
		info, err := os.Stat("/dev/log")
		return err == nil && info.Mode().Type() == os.ModeSocket
	})
	return p
}

// rotate is one run of logrotate: mail.log becomes mail.log.1 and rsyslogd gets its HUP.
func rotate(t *testing.T) {
	t.Helper()
	if err := command("/usr/sbin/logrotate", "--force", "--state", "/var/lib/logrotate/status", "/etc/logrotate.conf"); err != nil {
		t.Error(err)
	}
}

// rotateLate renames the log by hand and sends the HUP only after late: until then rsyslogd goes on writing to the
// renamed file.
func rotateLate(t *testing.T, rsyslogd *process, late <-chan time.Time) {
	t.Helper()
	if err := os.Rename(mailLog, mailLog+"-"+time.Now().Format("20060102-150405.000")); err != nil {
		t.Error(err)
	}
	<-late
	rsyslogd.signal(t, syscall.SIGHUP)
}

// emptyDir removes what is in dir, which is private to the jail.
func emptyDir(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(dir + "/" + e.Name()); err != nil {
			t.Fatal(err)
		}
	}
}
