package debian

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"bouncefeed/internal/e2e/e2etest"
)

const journalConfig = `guard: {enabled: false}
inputs:
  journal:
    type: journald
outputs:
  listmonk:
    type: listmonk
    url: http://127.0.0.1:9000/webhooks/bounce
    username: bouncefeed
    password_file: /etc/bouncefeed/listmonk.token
`

// journal: a system as Debian installs it, without rsyslog: what Postfix says stands in the journal only.
func journal(d *debian, r *receiver) {
	d.run(`systemctl -q disable --now syslog.socket rsyslog.service; rm -f /var/log/mail.log*
mkdir -p /run/systemd/system/bouncefeed.service.d
printf '[Service]\nRestartSec=100ms\n' > /run/systemd/system/bouncefeed.service.d/test.conf
systemctl daemon-reload`)
	if out, code := d.try("runuser -u bouncefeed -- bouncefeed check --online"); code == 0 || !strings.Contains(out, "type: journald") {
		d.t.Errorf("without mail.log, check does not name the journal:\n%s", out)
	}
	d.put("/etc/bouncefeed/config.yaml", journalConfig)
	d.run("runuser -u bouncefeed -- bouncefeed check --online")
	d.run("systemctl restart bouncefeed")
	awaitBegin(d, "the journal")
	r.bounce("by-journal")
	forge(d, r)
	killJournal(d, r)
	vacuum(d, r)
	dropped(d)
	d.run("rm -r /run/systemd/system/bouncefeed.service.d; systemctl daemon-reload")

	d.run("systemctl stop bouncefeed") // next comes the power cut: the rest of this boot is to be read in the next one
	r.sendMail("before-power-cut")
	d.until("the bounce in the journal", func() bool { return inJournal(d, "before-power-cut") })
}

// inJournal says whether the journal tells of a recipient's bounce.
func inJournal(d *debian, localPart string) bool {
	_, code := d.try("journalctl -q | grep -q 'to=<" + localPart + "@localhost>.*status=bounced'")
	return code == 0
}

// inputStatus is what status says of the only input.
type inputStatus struct {
	At      string
	Gaps    int
	Read    int
	Refused map[string]int
	Problem string
}

func statusOfInput(d *debian) inputStatus {
	out, _ := d.try("bouncefeed status --json")
	var s struct{ Inputs []inputStatus }
	if err := json.Unmarshal([]byte(out), &s); err != nil || len(s.Inputs) != 1 {
		return inputStatus{Gaps: -1} // not up at the moment
	}
	return s.Inputs[0]
}

// awaitBegin waits until a first start has found the end of source, from where it reads: that may be after READY=1.
func awaitBegin(d *debian, source string) {
	d.t.Helper()
	d.until("where to begin in "+source, func() bool { at := statusOfInput(d).At; return at != "" && at != source })
}

// forge has local users write what would be a bounce, had Postfix said it: none is posted, each is counted. One forger has
// a journal file of his own, one, a system account, has not; one runs inside Postfix's unit, from his ~/.forward.
func forge(d *debian, r *receiver) {
	d.put("/tmp/line", `4ABCDE12346: to=<victim@example.com>, relay=mx.example.com[192.0.2.1]:25, delay=1, delays=0/0/0/1, `+
		`dsn=5.1.1, status=bounced (host mx.example.com[192.0.2.1] said: 550 5.1.1 no such user)`)
	d.put("/tmp/entry", "SYSLOG_IDENTIFIER=postfix/smtp\nSYSLOG_FACILITY=2\n_UID=0\n_EXE=/usr/lib/postfix/sbin/smtp\n")
	d.run(`useradd -m jane && useradd -r web && chmod 644 /tmp/line /tmp/entry
(cat /tmp/entry; printf 'MESSAGE=%s\n' "$(cat /tmp/line)") > /tmp/native
printf '"|/usr/bin/logger -p mail.info -t postfix/local -f /tmp/line"\n' > /home/jane/.forward && chown jane: /home/jane/.forward`)
	forgeries := []string{
		`runuser -u jane -- logger -p mail.info -t 'postfix/smtp[1]' -f /tmp/line`,
		`runuser -u jane -- postlog -t postfix/smtp "$(cat /tmp/line)"`,
		`runuser -u jane -- logger --journald=/tmp/native`,
		`runuser -u web -- logger -p mail.info -t postfix/smtp -f /tmp/line`,
		`runuser -u web -- postlog -t postfix/smtp "$(cat /tmp/line)"`,
		`printf 'Subject: x\n\nx\n' | sendmail -f news@localhost jane@localhost`,
	}
	before := statusOfInput(d).Refused["not_the_mta"]
	for _, f := range forgeries {
		d.run(f)
	}
	d.until("every forgery to be counted", func() bool {
		return statusOfInput(d).Refused["not_the_mta"] == before+len(forgeries)
	})
	if slices.ContainsFunc(r.Seen(), func(p e2etest.Post) bool { return strings.Contains(p.Body, "victim") }) {
		d.t.Errorf("a forgery was posted: %+v", r.Seen())
	}
}

// killJournal kills the daemon and its journalctl in turn, at any moment, while mail bounces: each bounce is posted once.
func killJournal(d *debian, r *receiver) {
	const rounds, mails = 8, 5
	for i := range rounds {
		victim := "systemctl kill --kill-who=main -s KILL bouncefeed"
		if i%2 == 0 {
			victim = "kill -9 $(pgrep -x journalctl -P $(systemctl show -P MainPID bouncefeed))"
		}
		moment := rand.IntN(mails)
		for k := range mails {
			r.sendMail(fmt.Sprintf("kill-%d-%d", i, k))
			if k == moment {
				d.until("something to kill", func() bool { _, code := d.try(victim); return code == 0 })
			}
		}
		if i%3 == 2 {
			d.run("journalctl -q --rotate")
		}
	}
	d.until("every bounce after the kills", func() bool { r.again += r.ForgetRepeats(); return len(r.Seen()) >= len(r.sent) })
	r.onceEach()
	if s := statusOfInput(d); s.Gaps != 0 {
		d.t.Errorf("rotation counts as a gap: %+v", s)
	}
}

// vacuum deletes what the daemon has not read while it is down: that is lost, told and counted; nothing else is.
func vacuum(d *debian, r *receiver) {
	d.run("systemctl stop bouncefeed")
	r.sendMail("vacuumed")
	r.sent = r.sent[:len(r.sent)-1]
	d.until("the bounce in the journal", func() bool { return inJournal(d, "vacuumed") })
	d.until("its deletion", func() bool {
		d.run("journalctl -q --rotate && journalctl -q --vacuum-size=1")
		return !inJournal(d, "vacuumed")
	})
	r.sendMail("after-vacuum")
	d.run("systemctl start bouncefeed")
	r.wait("after-vacuum")
	if s := statusOfInput(d); s.Gaps != 1 {
		d.t.Errorf("what was vacuumed unread is no gap: %+v", s)
	}
	d.run("systemctl restart bouncefeed")
	r.bounce("after-gap")
	if s := statusOfInput(d); s.Gaps != 1 {
		d.t.Errorf("the same gap counts twice: %+v", s)
	}
	r.onceEach()
}

// dropped: what journald drops because Postfix writes too fast is a gap as well.
func dropped(d *debian) {
	d.run(`mkdir -p /run/systemd/journald.conf.d; printf '[Journal]\nRateLimitIntervalSec=2s\nRateLimitBurst=20\n' > /run/systemd/journald.conf.d/test.conf
systemctl restart systemd-journald`)
	gaps := statusOfInput(d).Gaps
	d.until("journald's notice to be counted", func() bool {
		d.run(`for i in 1 2 3 4 5 6 7 8; do printf 'Subject: x\n\nx\n' | sendmail -f news@localhost root@localhost; done`)
		return statusOfInput(d).Gaps > gaps
	})
	d.run("rm /run/systemd/journald.conf.d/test.conf; systemctl restart systemd-journald")
}
