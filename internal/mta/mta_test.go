package mta

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// program puts a script in a program's place.
func program(t *testing.T, name, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func TestPostfix(t *testing.T) {
	dir := t.TempDir()
	checks, nets, plain := dir+"/header_checks", dir+"/networks", dir+"/plain"
	for path, text := range map[string]string{
		checks: "# comment\n/^X-Listmonk-(Campaign|Subscriber):/ INFO\n", plain: "# /^X-Listmonk/ INFO\n/^Subject: x/ REJECT\n", nets: "198.51.100.0/24 # lists\n2001:db8:1::/48\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program(t, "postconf", fmt.Sprintf(`cat <<X
mynetworks = 127.0.0.0/8 [::1]/128, 203.0.113.7 !192.0.2.1 hash:/etc/postfix/net %s
header_checks = regexp:%s
nested_header_checks = regexp:%[2]s
mime_header_checks = regexp:%[3]s, regexp:{{/^X-Listmonk-Campaign:/ INFO}}
maillog_file = /var/log/postfix.log
X
echo 'postconf: warning: info_log_address_format: unknown parameter' >&2
`, nets, checks, plain))
	p, err := ReadPostfix(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(p.Networks()); got != "[127.0.0.0/8 ::1/128 203.0.113.7/32 198.51.100.0/24 2001:db8:1::/48]" {
		t.Error(got)
	}
	if got := p.NestedListmonk(); !slices.Equal(got, []string{"nested_header_checks", "mime_header_checks"}) || !p.LogsListmonk("header_checks") {
		t.Error(got)
	}
	if p.LogFile() != "/var/log/postfix.log" || p.Value("info_log_address_format") != "" {
		t.Errorf("%+v", p)
	}
	p.values["nested_header_checks"], p.values["mime_header_checks"] = "", "regexp:"+plain
	if got := p.NestedListmonk(); got != nil {
		t.Error(got)
	}

	program(t, "postconf", "echo 'postconf: fatal: open /etc/postfix/main.cf: No such file' >&2; exit 1")
	if _, err := ReadPostfix(context.Background()); err == nil || errors.Is(err, ErrNone) || !strings.Contains(err.Error(), "main.cf") {
		t.Error(err)
	}
	if _, err := run(context.Background(), "no-such-mail-server"); !errors.Is(err, ErrNone) {
		t.Error(err)
	}
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	const conf = "# /etc/systemd/journald.conf\n[Journal]\n#RateLimitBurst=1\nRateLimitBurst=500\n\n# drop-in\n[Journal]\nRateLimitIntervalSec=1min 30s\n"
	global := journaldLimit(conf)
	if global.Burst != 500 || global.Interval != 90*time.Second {
		t.Errorf("%+v", global)
	}
	for _, c := range []struct {
		conf, own, want string
	}{
		{conf, "LogRateLimitIntervalUSec=0\nLogRateLimitBurst=0\n", "500 messages in 1m30s"}, // a unit's 0 is "not set"
		{conf, "LogRateLimitIntervalUSec=10s\nLogRateLimitBurst=20\n", "20 messages in 10s"},
		{conf, "LogRateLimitIntervalUSec=0\nLogRateLimitBurst=1000000\n", ""},
		{"", "LogRateLimitIntervalUSec=infinity\n", "10000 messages in 30s"},
		{"RateLimitIntervalSec=0\n", "", ""},
		{"RateLimitBurst=0\n", "", ""},
	} {
		got := ""
		if l := unitLimit("postfix@-.service", journaldLimit(c.conf), properties(c.own)); l != nil {
			got = l.String()
		}
		if got != c.want {
			t.Errorf("%q, %q: %q, want %q", c.conf, c.own, got, c.want)
		}
	}
	for unit, want := range map[string]string{"postfix@-.service": "/postfix@.service.d;", "exim4.service": "/exim4.service.d;"} {
		l := RateLimit{Unit: unit}
		if got := l.Remedy(); !strings.Contains(got, want) || !strings.HasSuffix(got, "restart "+strings.FieldsFunc(unit, func(c rune) bool { return c == '@' || c == '.' })[0]) {
			t.Error(got)
		}
	}
}

func TestExim(t *testing.T) {
	program(t, "exim4", "echo 'log_file_path = syslog : /srv/log/%slog'")
	if e, err := ReadExim(context.Background()); err != nil || e.MainLog != "/srv/log/mainlog" {
		t.Errorf("%+v, %v", e, err)
	}
	for said, want := range map[string]string{"log_file_path = syslog\n": "", "log_file_path = \n": "/var/log/exim4/mainlog"} {
		if e := parseExim(said); e.MainLog != want {
			t.Errorf("%q: %+v", said, e)
		}
	}
}
