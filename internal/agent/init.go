package agent

import (
	"bytes"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// Found is a source of bounces on this machine, and why it was chosen.
type Found struct {
	Name   string // of the input to be
	Type   string // logfile or journald
	Path   string // of a log file
	Parser string // of a log file, or of the journal's entries
	Why    string
}

// A mail server's own traces: a file that is there if it is installed, and where it may log.
var mailServers = []struct {
	name, parser string
	installed    []string
	logs         []string
	journal      bool // it logs through syslog, so that the journal has it where there is one
}{
	{"postfix", "postfix", []string{"etc/postfix/main.cf"}, []string{"var/log/mail.log", "var/log/maillog"}, true},
	{"exim", "exim", []string{"etc/exim4", "etc/exim", "etc/exim.conf"}, []string{"var/log/exim4/mainlog", "var/log/exim/main.log", "var/log/exim_mainlog", "var/log/exim/mainlog"}, false},
	{"sendmail", "sendmail", []string{"etc/mail/sendmail.cf"}, []string{"var/log/mail.log", "var/log/maillog"}, true},
	{"opensmtpd", "opensmtpd", []string{"etc/smtpd.conf"}, []string{"var/log/mail.log", "var/log/maillog"}, true},
}

// stale is how old a log may be until the journal is the likelier place: rsyslog was removed, its last file was left.
const stale = 8 * 24 * time.Hour

// Look finds the mail servers of the machine whose root directory is given, and where each logs. It reads a few files'
// names and times, and Postfix's main.cf.
func Look(root fs.FS, now time.Time) []Found {
	var found []Found
	hasJournal := exists(root, "run/systemd/journal") || exists(root, "usr/bin/journalctl")
	for _, server := range mailServers {
		if !exists(root, server.installed...) {
			continue
		}
		logs, own := server.logs, maillogFile(root, server.name)
		if own != "" {
			logs = []string{own}
		}
		f := Found{Name: server.name, Type: "logfile", Path: "/" + logs[0], Parser: server.parser, Why: "its log was not found: this is where it usually is"}
		log, fresh := freshest(root, logs, now)
		switch {
		case server.journal && hasJournal && own == "":
			// Into a file of syslog's whoever may call logger(1) writes what he likes; the journal says who wrote it.
			f = Found{Name: server.name, Type: "journald", Parser: server.parser, Why: "it logs through syslog: unlike a file, the journal tells who wrote a line"}
		case fresh:
			f.Path, f.Why = "/"+log, "its log is there and in use"
		case log != "":
			f.Path, f.Why = "/"+log, "its log is there, but nothing was written for days"
		}
		found = append(found, f)
	}
	return found
}

func exists(root fs.FS, paths ...string) bool {
	for _, p := range paths {
		if _, err := fs.Stat(root, p); err == nil {
			return true
		}
	}
	return false
}

// freshest is the first log that is in use, or else the first there is.
func freshest(root fs.FS, logs []string, now time.Time) (log string, fresh bool) {
	for _, l := range logs {
		st, err := fs.Stat(root, l)
		switch {
		case err != nil:
		case now.Sub(st.ModTime()) < stale:
			return l, true
		case log == "":
			log = l
		}
	}
	return log, false
}

// maillogFile is Postfix's maillog_file (postconf(5)), if postlogd writes a log of its own.
func maillogFile(root fs.FS, server string) string {
	if server != "postfix" {
		return ""
	}
	main, err := fs.ReadFile(root, "etc/postfix/main.cf")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(main)) {
		key, value, _ := strings.Cut(line, "=")
		if value = strings.TrimSpace(value); strings.TrimSpace(key) == "maillog_file" && strings.HasPrefix(value, "/") && value != "/dev/stdout" {
			return value[1:]
		}
	}
	return ""
}

// Draft is a configuration for what was found, to be completed by the admin.
func Draft(found []Found, url, username, passwordFile string) []byte {
	var b bytes.Buffer
	b.WriteString("# Written by 'bouncefeed init'. Every key: /usr/share/doc/bouncefeed/examples/config.yaml\n")
	b.WriteString("# Then: sudo -u bouncefeed bouncefeed check --online && systemctl start bouncefeed\ninputs:\n")
	if len(found) == 0 {
		found = []Found{{Name: "postfix", Type: "logfile", Path: "/var/log/mail.log", Parser: "postfix", Why: "no mail server was found on this machine: this is an example"}}
	}
	for _, f := range found {
		fmt.Fprintf(&b, "  %s:   # %s\n    type: %s\n", f.Name, f.Why, f.Type)
		if f.Path != "" {
			fmt.Fprintf(&b, "    path: %s\n    parser: %s\n", f.Path, f.Parser)
		} else if f.Parser != "" {
			fmt.Fprintf(&b, "    parser: {type: journald, parsers: [%s]}\n", f.Parser)
		}
		b.WriteString("    # senders: [\"*@news.example.com\"]   # report only mail of these envelope senders: recommended\n")
	}
	fmt.Fprintf(&b, "outputs:\n  listmonk:\n    type: listmonk\n    url: %s\n    username: %s\n    password_file: %s   # the API user's token\n", url, username, passwordFile)
	return b.Bytes()
}
