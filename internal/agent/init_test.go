package agent

import (
	"log/slog"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"bouncefeed/internal/config"
)

// What init drafts has a parser, and each mail server whose log is read has a row in init's table. The accounting of
// PowerMTA and KumoMTA stands where their admins say.
func TestMailServersHaveParsers(t *testing.T) {
	want := slices.DeleteFunc(LineFormats(), func(kind string) bool { return kind == "journald" || kind == "powermta" || kind == "kumomta" })
	var got []string
	for _, server := range mailServers {
		got = append(got, server.parser)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("init knows %v, parsers are there for %v", got, want)
	}
}

func TestLook(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	in := func(age time.Duration) *fstest.MapFile { return &fstest.MapFile{ModTime: now.Add(-age)} }
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		root fstest.MapFS
		want []Found // type, path
	}{
		"Debian with rsyslog":               {fstest.MapFS{"etc/postfix/main.cf": in(day), "var/log/mail.log": in(day), "usr/bin/journalctl": in(day)}, []Found{{Type: "journald"}}},
		"Debian 12 without rsyslog":         {fstest.MapFS{"etc/postfix/main.cf": in(day), "usr/bin/journalctl": in(day)}, []Found{{Type: "journald"}}},
		"rsyslog without systemd":           {fstest.MapFS{"etc/postfix/main.cf": in(day), "var/log/mail.log": in(day)}, []Found{{Type: "logfile", Path: "/var/log/mail.log"}}},
		"rsyslog was removed":               {fstest.MapFS{"etc/postfix/main.cf": in(day), "var/log/mail.log": in(40 * day), "usr/bin/journalctl": in(day)}, []Found{{Type: "journald"}}},
		"postlogd":                          {fstest.MapFS{"usr/bin/journalctl": in(day), "etc/postfix/main.cf": {Data: []byte("# maillog_file = /x\nmaillog_file = /var/log/postfix.log\n")}, "var/log/postfix.log": in(0), "var/log/mail.log": in(0)}, []Found{{Type: "logfile", Path: "/var/log/postfix.log"}}},
		"Red Hat":                           {fstest.MapFS{"etc/postfix/main.cf": in(day), "var/log/maillog": in(day)}, []Found{{Type: "logfile", Path: "/var/log/maillog"}}},
		"Exim logs to its own file":         {fstest.MapFS{"etc/exim4/update-exim4.conf.conf": in(day), "var/log/exim4/mainlog": in(20 * day), "usr/bin/journalctl": in(day)}, []Found{{Type: "logfile", Path: "/var/log/exim4/mainlog"}}},
		"two servers":                       {fstest.MapFS{"etc/postfix/main.cf": in(day), "var/log/mail.log": in(0), "etc/exim4/x": in(0), "var/log/exim4/mainlog": in(0)}, []Found{{Type: "logfile", Path: "/var/log/mail.log"}, {Type: "logfile", Path: "/var/log/exim4/mainlog"}}},
		"no mail server":                    {fstest.MapFS{}, nil},
		"Postfix, but neither log nor jour": {fstest.MapFS{"etc/postfix/main.cf": in(day)}, []Found{{Type: "logfile", Path: "/var/log/mail.log"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got := Look(c.root, now)
			if len(got) != len(c.want) {
				t.Fatalf("found %v", got)
			}
			for i := range got {
				if got[i].Type != c.want[i].Type || got[i].Path != c.want[i].Path {
					t.Errorf("found %+v, want %+v", got[i], c.want[i])
				}
			}
			draft := Draft(got, Receiver{URL: "https://lists.example.com/webhooks/bounce", Username: "bouncefeed", PasswordFile: "/etc/bouncefeed/listmonk.token"})
			cfg, err := config.Parse("draft.yaml", draft)
			if err == nil {
				err = Check(cfg, "draft.yaml", "test", slog.New(slog.DiscardHandler))
			}
			if err != nil {
				t.Errorf("the draft is wrong: %v\n%s", err, draft)
			}
		})
	}
}
