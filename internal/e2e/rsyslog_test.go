package e2e

import (
	"os"
	"strings"
	"testing"
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

// logrotateConf is Debian's /etc/logrotate.d/rsyslog, but for the number kept, as the test rotates every few seconds, and
// the HUP after it, which the test sends itself.
const logrotateConf = `/var/log/syslog
/var/log/mail.log
{
	rotate 100
	weekly
	missingok
	notifempty
	compress
	delaycompress
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
	p := startServer(t, "rsyslogd", "/usr/sbin/rsyslogd", "-n", "-i", "/run/rsyslogd.pid")
	waitFor(t, "rsyslogd reads /dev/log", func() bool {
		info, err := os.Stat("/dev/log")
		return err == nil && info.Mode().Type() == os.ModeSocket
	})
	return p
}

// rotate runs logrotate: mail.log becomes mail.log.1, that .2.gz and so on. rsyslogd goes on writing to the renamed file
// until its HUP, which is the caller's: a busy machine may be late with it.
func rotate(t *testing.T) {
	t.Helper()
	if err := command("/usr/sbin/logrotate", "--force", "--state", "/var/lib/logrotate/status", "/etc/logrotate.conf"); err != nil {
		t.Error(err)
	}
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
