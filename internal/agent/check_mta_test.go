package agent

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bouncefeed/internal/config"
)

// What check says of the mail server: programs of our own stand in for the real ones.
func TestMailServerWarnings(t *testing.T) {
	bin := t.TempDir()
	checks := filepath.Join(bin, "header_checks")
	for name, text := range map[string]string{
		"header_checks":   "/^X-Listmonk-(Campaign|Subscriber):/ INFO\n",
		"postconf":        "#!/bin/sh\n[ -f " + bin + "/main.cf ] || exit 1\ncat " + bin + "/main.cf\n",
		"systemd-analyze": "#!/bin/sh\necho '[Journal]'\n",
		"systemctl":       "#!/bin/sh\nprintf 'LoadState=loaded\\nActiveState=active\\nLogRateLimitIntervalUSec=0\\nLogRateLimitBurst=0\\n'\n",
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	const stock = "mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128\nheader_checks =\nnested_header_checks =\nmime_header_checks =\nmaillog_file =\n"
	logged := strings.ReplaceAll(stock, "header_checks =", "header_checks = regexp:"+checks)
	const journal, file = "{type: journald}", "{type: logfile, path: /var/log/mail.log, parser: postfix}"
	for name, c := range map[string]struct{ main, input, want string }{
		"stock, journal":   {stock, journal, "journald drops what postfix@-.service writes beyond 10000 messages in 30s"},
		"stock, file":      {stock, file, "by logger(1)"},
		"postlogd's file":  {strings.Replace(stock, "maillog_file =", "maillog_file = /var/log/mail.log", 1), file, ""},
		"postlogd's other": {strings.Replace(stock, "maillog_file =", "maillog_file = /var/log/postfix.log", 1), file, "by logger(1)|to /var/log/postfix.log (postconf maillog_file), not to /var/log/mail.log"},
		"nested":           {logged, file, "by logger(1)|postconf -e 'nested_header_checks =' 'mime_header_checks =' && postfix reload"},
		"networks":         {strings.Replace(stock, "127.0.0.0/8", "127.0.0.0/8 203.0.113.0/24", 1), file, `by logger(1)|from 203.0.113.0/24 (mynetworks)`},
		"networks named":   {strings.Replace(stock, "127.0.0.0/8", "127.0.0.0/8 203.0.113.0/28", 1), `{type: logfile, path: /var/log/mail.log, parser: {type: postfix, mynetworks: [127.0.0.0/8, "::1", 203.0.113.0/24]}}`, "by logger(1)"},
		"archive":          {stock + "always_bcc = archive@example.com\ndouble_bounce_sender = notices\n", file, `by logger(1)|archives: ["archive@example.com"]|double_bounce_sender: "notices"`},
		"archive named": {stock + "always_bcc = archive@example.com\ndouble_bounce_sender = notices\n",
			`{type: logfile, path: /var/log/mail.log, parser: {type: postfix, archives: ["*@example.com"], double_bounce_sender: notices}}`, "by logger(1)"},
		"other server": {logged, `{type: journald, parsers: [exim]}`, ""},
		"elsewhere":    {stock, "{type: journald, directory: /srv/journal}", "believes whoever can put a file there: the journal in /srv/journal"},
		"internal":     {stock + "info_log_address_format = internal\n", file, "by logger(1)|info_log_address_format = external"},
		"no main.cf":   {"", file, "postconf: exit status 1|by logger(1)"},
	} {
		t.Run(name, func(t *testing.T) {
			os.Remove(filepath.Join(bin, "main.cf"))
			if c.main != "" {
				if err := os.WriteFile(filepath.Join(bin, "main.cf"), []byte(c.main), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			input := strings.Replace(c.input, "parsers: [exim]", "parser: {type: journald, parsers: [exim]}", 1)
			cfg, err := config.Parse("c.yaml", []byte("inputs: {in: "+input+"}\noutputs: {file: {type: file, path: /var/lib/bouncefeed/x}}\n"))
			if err != nil {
				t.Fatal(err)
			}
			log := slog.New(slog.DiscardHandler)
			notes, err := Notes(context.Background(), cfg, "c.yaml", "test", log)
			p, _ := newPlan(cfg, "c.yaml", "test", log)
			if err != nil {
				t.Fatal(err)
			}
			var said []string
			for _, f := range append(notes, mailServerWarnings(context.Background(), p)...) {
				said = append(said, f.Detail)
				if !f.OK || !f.Warning {
					t.Errorf("%+v", f)
				}
			}
			all := strings.Join(said, "\n")
			wants := strings.FieldsFunc(c.want, func(r rune) bool { return r == '|' })
			if name == "other server" { // Exim's unit has a limit, too
				wants = []string{"journald drops what exim4.service"}
			}
			for _, want := range wants {
				if !strings.Contains(all, want) {
					t.Errorf("lacks %q:\n%s", want, all)
				}
			}
			if len(said) != len(wants) {
				t.Errorf("%d warnings, want %d:\n%s", len(said), len(wants), all)
			}
		})
	}
}
