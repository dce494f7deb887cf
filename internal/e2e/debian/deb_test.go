package debian

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"bouncefeed/internal/e2e/e2etest"
)

// TestDeb lives through the life of an installed package: installed, configured, bounces, crashes, upgraded, misconfigured,
// power cut, removed, purged.
func TestDeb(t *testing.T) {
	suites := strings.Fields(os.Getenv("BOUNCEFEED_E2E_SUITES"))
	if len(suites) == 0 {
		suites = []string{"bookworm", "trixie"}
	}
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			t.Parallel()
			d := newDebian(t, suite)
			first, second := builtDeb(t, "0.0.1"), builtDeb(t, "0.0.2")
			installSwitchedOff(d, first)
			d.boot()
			d.copyIn(first, "/root/first.deb")
			d.copyIn(second, "/root/second.deb")
			steps := []struct {
				name string
				run  func(*debian, *receiver)
			}{
				{"install", install}, {"configure", configure}, {"bounce", bounce}, {"reload", reload}, {"rotate", rotate}, {"weekly mail", weeklyMail}, {"drop-in", dropIn}, {"rights", rights},
				{"hang", hang}, {"crash", crash}, {"upgrade", upgrade}, {"downgrade", downgrade}, {"mistake", mistake}, {"journal", journal},
				{"power cut", powerCut},
				{"remove and purge", removeAndPurge}, {"repository", repository}, {"Exim", eximHost}, {"confined", confined},
				{"lint", lint},
			}
			r := newReceiver(d)
			for _, step := range steps {
				t.Log("==", step.name)
				step.run(d, r)
				if t.Failed() {
					t.Fatalf("%s: see above", step.name)
				}
			}
			r.onceEach()
			t.Logf("bounces over the whole life: %+v", r.account())
		})
	}
}

// builtDeb is the package of a version, as packaging/e2e-prepare.sh has built it.
func builtDeb(t *testing.T, version string) string {
	t.Helper()
	dir := os.Getenv("BOUNCEFEED_E2E_DEBS")
	if dir == "" {
		e2etest.Skip(t, "BOUNCEFEED_E2E_DEBS is not set: `make e2e` builds the packages and says where they are")
	}
	deb := filepath.Join(dir, "bouncefeed_"+version+"-1_"+runtime.GOARCH+".deb")
	if _, err := os.Stat(deb); err != nil {
		e2etest.Skip(t, err.Error()+": run packaging/e2e-prepare.sh")
	}
	return deb
}

// installSwitchedOff installs and purges where no systemd runs, as in an image build or a container. A configuration
// that is there before the package, as by a configuration management, is taken as it is, and the service enabled.
func installSwitchedOff(d *debian, deb string) {
	d.t.Helper()
	d.copyToDisk(deb, "/root/off.deb")
	out := d.switchedOff(`dpkg -i /root/off.deb && systemctl is-enabled bouncefeed; id bouncefeed && dpkg -P bouncefeed && ! ls -d /etc/bouncefeed /var/lib/bouncefeed`)
	if !strings.Contains(out, "\ndisabled\n") {
		d.t.Errorf("installed without a configuration, it is not disabled:\n%s", out)
	}
	out = d.switchedOff(`mkdir /etc/bouncefeed && echo '` + realConfig + `' >/etc/bouncefeed/config.yaml && dpkg -i /root/off.deb && systemctl is-enabled bouncefeed && dpkg -P bouncefeed`)
	if !strings.Contains(out, "\nenabled\n") {
		d.t.Errorf("installed without systemd running, it is not enabled:\n%s", out)
	}
}

// install leaves a draft of a configuration for the Postfix that is here, and a service that waits for more, quietly.
func install(d *debian, _ *receiver) {
	if out := d.run("dpkg -i /root/first.deb 2>&1"); !strings.Contains(out, "/etc/bouncefeed/config.yaml is a first draft for this machine") || strings.Contains(out, "policy-rc.d") {
		d.t.Errorf("the installation does not tell what to do next:\n%s", out)
	}
	d.want("systemctl is-enabled bouncefeed; systemctl is-active bouncefeed", "disabled\ninactive")
	d.run("bouncefeed check && grep -q 'postfix:' /etc/bouncefeed/config.yaml")
	d.want("id -nG bouncefeed | tr ' ' '\\n' | sort | xargs", "adm bouncefeed systemd-journal")
	d.want("getent passwd bouncefeed | cut -d: -f6-", "/var/lib/bouncefeed:/usr/sbin/nologin")
	d.want("stat -c '%n %U:%G %a' /etc/bouncefeed /etc/bouncefeed/config.yaml",
		"/etc/bouncefeed root:bouncefeed 750\n/etc/bouncefeed/config.yaml root:bouncefeed 640")
	d.want("dpkg-query -W -f '${Conffiles}' bouncefeed", "")
	d.run("test -s /usr/share/doc/bouncefeed/examples/config.yaml")
	d.want("dpkg -V bouncefeed", "")
	d.want("systemd-analyze verify --man=no bouncefeed.service", "")
	d.run("rm /etc/bouncefeed/config.yaml; systemctl start bouncefeed") // skipped, not failed
	d.want("systemctl is-active bouncefeed", "inactive")
	d.exposure()
}

// exposure: at most 1.2, of what systemd gives to a service with all of the system before it, 10.
func (d *debian) exposure() {
	d.t.Helper()
	out := d.run("systemd-analyze security --no-pager bouncefeed.service | tail -1")
	d.t.Logf("systemd-analyze security: %s", out)
	d.run("systemd-analyze security --no-pager --threshold=12 bouncefeed.service")
}

// realConfig does without the guard: dozens of bounces within minutes, and little other mail, would be held.
const realConfig = `guard: {enabled: false}
inputs:
  postfix:
    type: logfile
    path: /var/log/mail.log
    parser: postfix
outputs:
  listmonk:
    type: listmonk
    url: http://127.0.0.1:9000/webhooks/bounce
    username: bouncefeed
    password_file: /etc/bouncefeed/listmonk.token
`

// configure does what the README tells an admin to do.
func configure(d *debian, r *receiver) {
	r.listen()
	d.put("/etc/bouncefeed/config.yaml", realConfig)
	d.run("install -m 640 -g bouncefeed /dev/null /etc/bouncefeed/listmonk.token && echo " + e2etest.Token + " > /etc/bouncefeed/listmonk.token")
	d.run("systemctl enable --now bouncefeed")
	d.want("systemctl is-active bouncefeed", "active") // Type=notify: start returned, so READY=1 came
	d.t.Log(d.run(`since() { systemctl show -P $1TimestampMonotonic bouncefeed; }
echo "ready $((($(since ActiveEnter) - $(since ExecMainStart)) / 1000)) ms after its start; idle:" $(grep RssAnon /proc/$(systemctl show -P MainPID bouncefeed)/status)
ls -l /root/second.deb /usr/bin/bouncefeed | awk '{print $5, "bytes:", $NF}'`))
	d.want("stat -c '%n %U:%G %a' /var/lib/bouncefeed /var/lib/bouncefeed/queue.db",
		"/var/lib/bouncefeed bouncefeed:bouncefeed 700\n/var/lib/bouncefeed/queue.db bouncefeed:bouncefeed 600")
	log := d.run("journalctl -u bouncefeed --no-pager")
	if !strings.Contains(log, "msg=running version=0.0.1 inputs=1 outputs=1") {
		d.t.Errorf("the journal does not say that it runs:\n%s", log)
	}
	d.run("bouncefeed status") // the control socket, through RuntimeDirectory
	awaitBegin(d, "/var/log/mail.log")
	d.run("runuser -u bouncefeed -- bouncefeed check --online")
}

// bounce has the distribution's own Postfix bounce a mail, logged by the distribution's own rsyslog.
func bounce(d *debian, r *receiver) {
	r.bounce("first")
	host := d.run("uname -n")
	if post := r.Seen()[0]; post.Email != "first@localhost" || post.Type != "hard" || post.Source != "bouncefeed/"+host {
		d.t.Errorf("posted %+v", post)
	}
}

// reload changes the configuration of the running daemon, and a mistake changes nothing.
func reload(d *debian, r *receiver) {
	before := d.run("systemctl show -P MainPID bouncefeed")
	d.put("/etc/bouncefeed/config.yaml", strings.Replace(realConfig, "username: bouncefeed", "username: bouncefeed\n    send: [soft]", 1))
	d.run("systemctl reload bouncefeed")
	r.sendMail("not-to-be-sent")
	r.sent = r.sent[:len(r.sent)-1]
	d.put("/etc/bouncefeed/config.yaml", realConfig+"quue: {}\n")
	if _, code := d.try("systemctl reload bouncefeed"); code == 0 {
		d.t.Error("a mistake was reloaded")
	}
	d.until("the bounce that is not sent", func() bool {
		status, _ := d.try("bouncefeed status --socket /run/bouncefeed/control.sock") // the configuration is wrong at the moment
		return strings.Contains(status, "not sent 1,")
	})
	d.put("/etc/bouncefeed/config.yaml", realConfig)
	d.run("systemctl reload bouncefeed")
	r.bounce("after-reload")
	d.want("systemctl show -P MainPID bouncefeed", before)
	r.onceEach()
}

// rotate: the distribution's own logrotate, with its own rules.
func rotate(d *debian, r *receiver) {
	d.run("logrotate -f /etc/logrotate.d/rsyslog && test -e /var/log/mail.log.1")
	r.bounce("after-rotation")
}

// weeklyMail follows the example's own words; the distribution's Postfix takes and delivers it.
func weeklyMail(d *debian, _ *receiver) {
	d.run("cp /usr/share/doc/bouncefeed/examples/systemd/bouncefeed-report.* /etc/systemd/system && systemd-analyze verify --man=no /etc/systemd/system/bouncefeed-report.*")
	d.run("systemctl daemon-reload && systemctl enable --now bouncefeed-report.timer && systemctl start bouncefeed-report.service")
	d.until("the mail of the week", func() bool {
		_, code := d.try("grep -q 'what became of the mail of the week' /var/mail/root && grep -q '^bouncefeed report: ' /var/mail/root")
		return code == 0
	})
	d.run("systemctl disable --now bouncefeed-report.timer && rm -f /etc/systemd/system/bouncefeed-report.* /var/lib/systemd/timers/stamp-bouncefeed-report.timer && systemctl daemon-reload")
}

// dropIn follows what the unit says of drop-ins: a secret as a credential, an output file outside /var/lib, which the
// example for logrotate rotates.
func dropIn(d *debian, r *receiver) {
	d.run(`install -d -o bouncefeed /srv/bounces
install -m 600 /etc/bouncefeed/listmonk.token /root/listmonk.token
mkdir -p /etc/systemd/system/bouncefeed.service.d
printf '[Service]\nLoadCredential=listmonk:/root/listmonk.token\nReadWritePaths=/srv/bounces\n' > /etc/systemd/system/bouncefeed.service.d/test.conf`)
	config := strings.Replace(realConfig, "password_file: /etc/bouncefeed/listmonk.token", "password_credential: listmonk", 1)
	d.put("/etc/bouncefeed/config.yaml", config+"  archive:\n    type: file\n    path: /srv/bounces/bounces.jsonl\n")
	d.run("systemctl daemon-reload; systemctl restart bouncefeed")
	r.bounce("with-drop-in")
	d.until("the bounce in the file", func() bool {
		_, code := d.try("grep -q with-drop-in@localhost /srv/bounces/bounces.jsonl")
		return code == 0
	})
	d.run(`sed 's#/var/lib/bouncefeed/#/srv/bounces/#' /usr/share/doc/bouncefeed/examples/logrotate >/root/logrotate.conf
logrotate -s /root/logrotate.state -f /root/logrotate.conf && test ! -e /srv/bounces/bounces.jsonl && grep -q with-drop-in@localhost /srv/bounces/bounces.jsonl.1`)
	r.bounce("after-logrotate")
	d.until("the bounce in the new file", func() bool {
		out, _ := d.try("grep -c . /srv/bounces/bounces.jsonl; grep -c after-logrotate@localhost /srv/bounces/bounces.jsonl")
		return out == "1\n1"
	})
	d.put("/etc/bouncefeed/config.yaml", realConfig)
	d.run("rm -r /srv/bounces /etc/systemd/system/bouncefeed.service.d; systemctl daemon-reload; systemctl restart bouncefeed")
}

// rights: who may ask what, and that root's backfill leaves nothing of root's behind.
func rights(d *debian, _ *receiver) {
	const asNobody = "runuser -u nobody -- "
	d.put("/etc/bouncefeed/config.yaml", realConfig+"deliver: {mode: 0660, group: pipes}\ncontrol: {group: operators}\n")
	d.run(`sed -i '/^inputs:/a\  pipe: {type: pipe, trust: proof}' /etc/bouncefeed/config.yaml
groupadd pipes; groupadd operators; useradd -G pipes carrier; useradd -G operators watcher
mkdir -p /etc/systemd/system/bouncefeed.service.d
cp /usr/share/doc/bouncefeed/examples/systemd/groups.conf /etc/systemd/system/bouncefeed.service.d/test.conf
systemctl daemon-reload; systemctl restart bouncefeed`)
	d.want("stat -c '%n %U:%G %a' /run/bouncefeed /run/bouncefeed/*.sock", "/run/bouncefeed bouncefeed:bouncefeed 755\n"+
		"/run/bouncefeed/control.sock bouncefeed:operators 660\n/run/bouncefeed/deliver.sock bouncefeed:pipes 660")
	message := "printf 'Subject: hello\\n\\nbody\\n' | "
	d.run(message + "runuser -u carrier -- bouncefeed deliver")
	d.want(message+asNobody+"bouncefeed deliver 2>/dev/null; echo $?", "75")
	d.run("{ runuser -u watcher -- bouncefeed status || [ $? = 1 ]; } && runuser -u watcher -- bouncefeed held list && bouncefeed held drop --all")
	d.want("runuser -u watcher -- bouncefeed held drop --all 2>&1", `bouncefeed: no access: only root and user bouncefeed may ask for "held-drop", not user watcher`)
	d.want(asNobody+"bouncefeed status 2>&1", "bouncefeed: no access to the socket /run/bouncefeed/control.sock: run this as root")

	d.run("systemctl stop bouncefeed; install -m 600 /var/log/mail.log /root/old.log; bouncefeed backfill --as postfix /root/old.log && bouncefeed refused list")
	d.want("find /var/lib/bouncefeed ! -user bouncefeed", "")
	d.put("/etc/bouncefeed/config.yaml", realConfig)
	d.run("rm -r /etc/systemd/system/bouncefeed.service.d; userdel carrier; userdel watcher; groupdel pipes; groupdel operators; systemctl daemon-reload; systemctl start bouncefeed")
}

// hang: a daemon that no longer says it lives is replaced.
func hang(d *debian, r *receiver) {
	d.run(`mkdir -p /run/systemd/system/bouncefeed.service.d
printf '[Service]\nWatchdogSec=2s\n' > /run/systemd/system/bouncefeed.service.d/test.conf
systemctl daemon-reload; systemctl restart bouncefeed`)
	const lastSign = "systemctl show -P WatchdogTimestampMonotonic bouncefeed"
	first := d.run(lastSign)
	d.until("a sign of life", func() bool { return d.run(lastSign) != first })
	d.run("systemctl kill -s STOP bouncefeed")
	r.sendMail("hanging")
	d.until("a new daemon in place of the one that hangs", r.restarted)
	r.wait("hanging")
	d.run("rm -r /run/systemd/system/bouncefeed.service.d; systemctl daemon-reload; systemctl restart bouncefeed")
}

// crash: what bounces while the daemon is dead is told once it is back.
func crash(d *debian, r *receiver) {
	d.run("systemctl kill -s KILL bouncefeed")
	r.sendMail("while-dead")
	d.until("a new daemon in place of the killed one", r.restarted)
	r.wait("while-dead")
	r.bounce("after-kill")
}

// upgrade replaces the running daemon, under load and with nobody at the keyboard, and keeps what is the admin's:
// configuration, modes, state.
func upgrade(d *debian, r *receiver) {
	d.run("chmod 600 /etc/bouncefeed/config.yaml; chown bouncefeed: /etc/bouncefeed/config.yaml")
	const mails = 20
	for i := range mails {
		r.sendMail(fmt.Sprintf("during-upgrade-%d", i))
		if i == mails/2 {
			d.run("DEBIAN_FRONTEND=noninteractive apt-get -q -y install /root/second.deb </dev/null")
		}
	}
	d.want("systemctl is-active bouncefeed", "active")
	if running := d.run("bouncefeed version"); !strings.Contains(running, "0.0.2") {
		d.t.Errorf("after the upgrade: %s", running)
	}
	if status := d.run("bouncefeed status || [ $? = 1 ]"); !strings.Contains(status, "0.0.2") {
		d.t.Errorf("the running daemon is not the upgraded one:\n%s", status)
	}
	d.want("cat /etc/bouncefeed/config.yaml", strings.TrimRight(realConfig, "\n"))
	d.want("stat -c '%U:%G %a' /etc/bouncefeed/config.yaml", "bouncefeed:bouncefeed 600")
	d.run("grep -q '^# One more line' /usr/share/doc/bouncefeed/examples/config.yaml")
	for i := range mails {
		r.wait(fmt.Sprintf("during-upgrade-%d", i))
	}
	r.bounce("after-upgrade")
	r.onceEach()
}

// downgrade works while the queue's format stays, and is refused where it does not; what runs goes on. So it does where a
// version does not accept the configuration.
func downgrade(d *debian, r *receiver) {
	d.run("systemctl disable --now bouncefeed && dpkg -i /root/first.deb")
	d.want("systemctl is-enabled bouncefeed; systemctl is-active bouncefeed", "disabled\ninactive")
	d.run("systemctl enable --now bouncefeed")
	r.bounce("after-downgrade")

	d.put("/etc/bouncefeed/config.yaml", realConfig+"sooner: true\n")
	before := d.run("systemctl show -P MainPID bouncefeed")
	out := d.run("dpkg -i /root/second.deb 2>&1")
	if !strings.Contains(out, `config.yaml:13:1: unknown key "sooner"`) || !strings.Contains(out, "a daemon that ran before goes on") {
		d.t.Errorf("an upgrade over a mistake says\n%s", out)
	}
	if !strings.Contains(d.run("journalctl -t bouncefeed --no-pager"), "this version does not accept what it finds") {
		d.t.Error("an upgrade over a mistake says nothing in the journal")
	}
	d.want("dpkg-query -W -f '${db:Status-Abbrev}' bouncefeed", "ii ")
	d.want("systemctl show -P MainPID bouncefeed", before)
	r.bounce("with-the-old-daemon")
	d.put("/etc/bouncefeed/config.yaml", realConfig)
	d.run("systemctl restart bouncefeed")

	d.run("systemctl stop bouncefeed")
	d.setQueueFormat(+1)
	if out := d.run("dpkg -i /root/first.deb 2>&1"); !strings.Contains(out, "it was written by a newer bouncefeed: install that version again") {
		d.t.Errorf("a downgrade with a newer queue says\n%s", out)
	}
	d.try("systemctl start bouncefeed")
	d.want("for p in SubState ExecMainStatus NRestarts; do systemctl show -P $p bouncefeed; done", "failed\n78\n0")
	d.setQueueFormat(-1)
	d.run("dpkg -i /root/second.deb")
	d.want("systemctl is-active bouncefeed", "active")
	r.bounce("after-refused-downgrade")
}

// setQueueFormat makes the queue of the stopped service one of another version.
func (d *debian) setQueueFormat(more int) {
	d.t.Helper()
	db, err := bbolt.Open(fmt.Sprintf("/proc/%d/root/var/lib/bouncefeed/queue.db", d.leader), 0o600, &bbolt.Options{Timeout: e2etest.Patience})
	if err != nil {
		d.t.Fatal(err)
	}
	defer db.Close()
	err = db.Update(func(tx *bbolt.Tx) error {
		meta := tx.Bucket([]byte("meta"))
		format := binary.BigEndian.Uint64(meta.Get([]byte("format")))
		return errors.Join(meta.Put([]byte("format"), binary.BigEndian.AppendUint64(nil, format+uint64(more))),
			meta.Delete([]byte("format seal"))) // with the seal of another number it would be damage, not a version
	})
	if err != nil {
		d.t.Fatal(err)
	}
}

// mistake: a broken configuration is shown with its line and is not tried again and again.
func mistake(d *debian, r *receiver) {
	d.put("/etc/bouncefeed/config.yaml", realConfig+"quue:\n  path: /x\n")
	if _, code := d.try("systemctl restart bouncefeed"); code == 0 {
		d.t.Error("it starts with a mistake in its configuration")
	}
	d.want("for p in SubState ExecMainStatus NRestarts; do systemctl show -P $p bouncefeed; done", "failed\n78\n0")
	if status, _ := d.try("systemctl status --no-pager -l bouncefeed"); !strings.Contains(status, `/etc/bouncefeed/config.yaml:13:1: unknown key "quue"; did you mean "queue"?`) {
		d.t.Errorf("systemctl status does not show the mistake:\n%s", status)
	}
	d.put("/etc/bouncefeed/config.yaml", realConfig)
	d.run("systemctl start bouncefeed")
	r.bounce("after-mistake")
}

// powerCut: the machine stops dead and comes back; the service with it.
func powerCut(d *debian, r *receiver) {
	d.powerCut()
	d.boot()
	r.listen()
	d.until("the service after the boot", func() bool {
		state, _ := d.try("systemctl is-active bouncefeed")
		return state == "active"
	})
	d.until("Postfix after the boot", func() bool { _, code := d.try("postqueue -p"); return code == 0 })
	r.bounce("after-power-cut")
}

// removeAndPurge: removal keeps configuration and state, purging leaves the locked account and nothing else.
func removeAndPurge(d *debian, r *receiver) {
	r.onceEach()
	d.run("dpkg -r bouncefeed")
	d.want("systemctl is-active bouncefeed; pidof bouncefeed", "inactive")
	d.run("test -s /var/lib/bouncefeed/queue.db && test -s /etc/bouncefeed/config.yaml")

	d.run("dpkg -i /root/second.deb")
	d.want("systemctl is-active bouncefeed", "active")
	r.bounce("after-reinstall")
	r.onceEach()

	d.run("dpkg -P bouncefeed")
	d.want("systemctl is-active bouncefeed; pidof bouncefeed", "inactive")
	d.want("find / -xdev -name '*bouncefeed*' ! -path '/var/log/*' ! -path '/root/*' ! -path '/proc/*'", "")
	d.want("find / -xdev -user bouncefeed -o -xdev -group bouncefeed", "")
	d.want("passwd -S bouncefeed | cut -d' ' -f2", "L")
	d.want("id -nG bouncefeed", "bouncefeed")
}
