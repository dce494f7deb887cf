package debian

import (
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"bouncefeed/internal/e2e/e2etest"
)

// makeRepository makes a repository as packaging/repo.sh does it, signed by a key made here. /share/repo is it.
const makeRepository = `set -e
cd /share
if [ ! -e key.asc ]; then
	export GNUPGHOME=/root/gnupg
	mkdir -m 700 $GNUPGHOME
	gpg -q --batch --passphrase '' --quick-gen-key 'bouncefeed test <test@example.org>' ed25519 sign never
	gpg -q --batch --armor --export-secret-keys >key.asc
	gpgconf --kill gpg-agent
	unset GNUPGHOME
fi
KEY=key.asc URL=http://127.0.0.1:8000 sh repo.sh repo `

// repository does what the README tells: the first version comes from the repository by apt, the second by
// unattended-upgrades. Nothing is told about the package otherwise.
func repository(d *debian, r *receiver) {
	first, second := builtDeb(d.t, "0.0.1"), builtDeb(d.t, "0.0.2")
	dir := d.share(first, second, "../../../packaging/repo.sh")
	d.beside(makeRepository + filepath.Base(first))
	server := &http.Server{Handler: http.FileServer(http.Dir(filepath.Join(dir, "repo")))}
	go server.Serve(d.listen("127.0.0.1:8000"))
	d.t.Cleanup(func() { server.Close() })

	d.copyIn(filepath.Join(dir, "repo/bouncefeed.asc"), "/etc/apt/keyrings/bouncefeed.asc")
	d.copyIn(filepath.Join(dir, "repo/bouncefeed.sources"), "/etc/apt/sources.list.d/bouncefeed.sources")
	d.copyIn(filepath.Join(dir, "repo/51unattended-upgrades-bouncefeed"), "/etc/apt/apt.conf.d/51unattended-upgrades-bouncefeed")
	if out := d.run("apt-get -q update && apt-get -q -y install bouncefeed </dev/null 2>&1"); strings.Contains(out, "W:") {
		d.t.Errorf("apt warns:\n%s", out)
	}
	d.want("dpkg-query -W -f '${Version}' bouncefeed", "0.0.1-1")
	d.put("/etc/bouncefeed/config.yaml", journalConfig)
	d.put("/etc/bouncefeed/listmonk.token", e2etest.Token+"\n")
	d.run("systemctl enable --now bouncefeed")
	awaitBegin(d, "the journal")
	r.bounce("from-repository")

	d.beside(makeRepository + filepath.Base(second))
	r.sendMail("before-unattended")
	d.run("apt-get -q update && unattended-upgrade -v </dev/null")
	d.want("dpkg-query -W -f '${Version} ${db:Status-Abbrev}' bouncefeed", "0.0.2-1 ii ")
	d.want("systemctl is-active bouncefeed", "active")
	if status := d.run("bouncefeed status || [ $? = 1 ]"); !strings.Contains(status, "0.0.2") {
		d.t.Errorf("the running daemon is not the upgraded one:\n%s", status)
	}
	r.wait("before-unattended")
	r.bounce("after-unattended")
	r.onceEach()
}

// eximHost: on a machine with Exim, the first configuration is for Exim; with listmonk's place filled in it works.
func eximHost(d *debian, r *receiver) {
	d.run(`apt-get -q -y purge bouncefeed </dev/null
rm -f /etc/apt/sources.list.d/bouncefeed.sources /var/cache/apt/archives/bouncefeed*
DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install /var/cache/apt/archives/*.deb </dev/null
rm -r /etc/postfix
dpkg -i /root/second.deb`)
	d.run(`sed -i 's#url: .*#url: http://127.0.0.1:9000/webhooks/bounce#' /etc/bouncefeed/config.yaml`)
	d.put("/etc/bouncefeed/listmonk.token", e2etest.Token+"\n")
	d.run("grep -q 'parser: exim' /etc/bouncefeed/config.yaml && systemctl is-active exim4")
	d.run("systemctl enable --now bouncefeed")
	d.until("where to begin in Exim's log", func() bool { return statusOfInput(d).At != "" })
	r.bounce("by-exim")
	d.run("logrotate -f /etc/logrotate.d/exim4-base && test -e /var/log/exim4/mainlog.1")
	r.bounce("by-exim-after-rotation")
	r.onceEach()
}

// confined: what the service may not, tried by a program in the service's own sandbox.
func confined(d *debian, _ *receiver) {
	d.run(`useradd -m neighbour && echo private >/home/neighbour/note && chmod 644 /home/neighbour/note && chmod 755 /home/neighbour
mkdir -p /srv/open && chmod 777 /srv/open
mkdir -p /run/systemd/system/confined.service.d
sed -e 's#^ExecStart=.*#ExecStart=/bin/sh /root/try#' -e '/^Type=/d;/^Restart/d;/^Watchdog/d;/^RuntimeDirectory/d' /usr/lib/systemd/system/bouncefeed.service >/run/systemd/system/confined.service
printf '[Service]\nType=oneshot\nStandardOutput=file:/run/confined.out\nStandardError=null\nExecStart=\nExecStart=/bin/sh /usr/local/bin/try\n' >/run/systemd/system/confined.service.d/test.conf`)
	d.put("/usr/local/bin/try", `
try() { if eval "$2"; then echo "$1: can"; else echo "$1: can't"; fi; }
try "write its state" "echo x >/var/lib/bouncefeed/x && rm /var/lib/bouncefeed/x"
try "read its configuration" "cat /etc/bouncefeed/config.yaml >/dev/null"
try "read the journal" "journalctl -q -n 1 >/dev/null"
try "read the mail log" "head -c 1 /var/log/exim4/mainlog >/dev/null"
try "write its configuration" "echo x >>/etc/bouncefeed/config.yaml"
try "write where everybody may" "echo x >/srv/open/x"
try "write to /usr" "echo x >/usr/local/x"
try "read a home" "cat /home/neighbour/note"
try "see root's files" "ls /root"
try "write to shared memory of others" "test -e /tmp/marker"
try "become root" "su -c true </dev/null"
try "see others' processes" "ls -d /proc/1"
try "make a device" "mknod /var/lib/bouncefeed/dev c 1 3"
try "mount" "mount -t tmpfs tmpfs /var/lib/bouncefeed"
`)
	d.run("touch /tmp/marker; systemctl daemon-reload; systemctl start confined")
	d.want("cat /run/confined.out", strings.TrimSpace(`
write its state: can
read its configuration: can
read the journal: can
read the mail log: can
write its configuration: can't
write where everybody may: can't
write to /usr: can't
read a home: can't
see root's files: can't
write to shared memory of others: can't
become root: can't
see others' processes: can't
make a device: can't
mount: can't
`))
	d.run("rm -r /run/systemd/system/confined.service* /srv/open /usr/local/bin/try; userdel -r neighbour 2>/dev/null; systemctl daemon-reload")
}

// lint: Debian's own judge of packages finds nothing but what packaging/lintian-overrides explains; rpm reads the other one,
// and its scripts run.
func lint(d *debian, _ *receiver) {
	deb := builtDeb(d.t, "0.0.2")
	rpms, err := filepath.Glob(filepath.Join(os.Getenv("BOUNCEFEED_E2E_DEBS"), "bouncefeed-0.0.2-1.*.rpm"))
	if err != nil || len(rpms) != 1 {
		d.t.Fatalf("RPM packages: %v, %v", rpms, err)
	}
	d.share(deb, rpms[0])
	out := d.beside("cd /share && lintian --allow-root -I --pedantic --fail-on error,warning,info,pedantic --tag-display-limit 0 " + filepath.Base(deb) + "; true")
	if strings.TrimSpace(out) != "" {
		d.t.Errorf("lintian:\n%s", out)
	}
	out = d.beside(`set -e
cd /share
rpm --dbpath /tmp/rpm -i --nodeps ` + filepath.Base(rpms[0]) + `
stat -c '%n %U:%G %a' /etc/bouncefeed /etc/bouncefeed/config.yaml
bouncefeed check
rpm --dbpath /tmp/rpm -e --nodeps bouncefeed
test ! -e /usr/bin/bouncefeed && test -e /etc/bouncefeed/config.yaml`)
	if !strings.Contains(out, "/etc/bouncefeed/config.yaml is a first draft") || !strings.Contains(out, "/etc/bouncefeed root:bouncefeed 750\n/etc/bouncefeed/config.yaml root:bouncefeed 640") {
		d.t.Errorf("the RPM package on %s:\n%s", runtime.GOARCH, out)
	}
}
