package agent

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/mta"
)

// Found is a source of bounces on this machine, and why it was chosen.
type Found struct {
	Name   string // of the input to be
	Type   string // logfile or journald
	Path   string // of a log file
	Parser string // of a log file, or of the journal's entries
	Why    string

	Networks []string // whose mail is ours, where that is more than this machine and private networks
	Advice   []string // what is better changed in the mail server, with the commands
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

// LookHere is Look for this machine; it also asks the mail servers and journald themselves.
func LookHere(ctx context.Context) []Found {
	found := Look(os.DirFS("/"), time.Now())
	for i := range found {
		f := &found[i]
		switch f.Parser {
		case "postfix":
			if p, err := mta.ReadPostfix(ctx); err == nil {
				f.askedPostfix(p)
			}
		case "exim":
			if e, err := mta.ReadExim(ctx); err == nil {
				f.askedExim(e)
			}
		}
		if f.Type == "journald" {
			if l := mta.JournalLimit(ctx, f.Parser); l != nil {
				f.Advice = append(f.Advice, fmt.Sprintf("journald drops what %s writes beyond %s. Before you send that much, lift the limit:\n%s", l.Unit, l, l.Remedy()))
			}
		}
	}
	return found
}

// askedPostfix takes over what Postfix says of itself.
func (f *Found) askedPostfix(p *mta.Postfix) {
	if own := p.LogFile(); own != "" {
		f.Type, f.Path, f.Why = "logfile", own, "Postfix writes it itself (maillog_file)"
	}
	if len(missingNetworks(p, config.Section{})) > 0 {
		for _, n := range p.Networks() {
			f.Networks = append(f.Networks, n.String())
		}
	}
	switch nested := p.NestedListmonk(); {
	case len(nested) > 0:
		f.Advice = append(f.Advice, fmt.Sprintf("%s has listmonk's header fields logged out of attached messages, too: who forwards a newsletter as an attachment would be taken for the one whose mail failed:\npostconf -e '%s =' && postfix reload",
			strings.Join(nested, " and "), strings.Join(nested, " =' '")))
	case !p.LogsListmonk("header_checks") && p.Value("header_checks") == "":
		f.Advice = append(f.Advice, "To tell listmonk the campaign and the subscriber, have their header fields logged:\n"+
			"echo '/^X-Listmonk-(Campaign|Subscriber):/ INFO' > /etc/postfix/header_checks &&\n"+
			"postconf -e 'header_checks = regexp:/etc/postfix/header_checks' 'nested_header_checks =' 'mime_header_checks =' && postfix reload")
	case !p.LogsListmonk("header_checks"):
		f.Advice = append(f.Advice, "To tell listmonk the campaign and the subscriber, add the line /^X-Listmonk-(Campaign|Subscriber):/ INFO to the header_checks that you have ("+
			p.Value("header_checks")+"), and see to it that nested_header_checks and mime_header_checks have a table of their own without it.")
	}
}

// askedExim takes over where Exim says that it logs.
func (f *Found) askedExim(e *mta.Exim) {
	switch {
	case e.MainLog != "":
		f.Path, f.Why = e.MainLog, "Exim writes it itself (log_file_path)"
	case exists(os.DirFS("/"), "run/systemd/journal"):
		f.Type, f.Path, f.Why = "journald", "", "it logs through syslog: unlike a file, the journal tells who wrote a line"
	}
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
