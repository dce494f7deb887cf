package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bouncefeed/internal/e2e/e2etest"
)

// nonroot is the user of packaging/Containerfile.
const nonroot = 65532

// TestContainer runs the daemon as packaging/Containerfile has it run: nothing but the binary is there, the root is
// read-only but for two volumes, and it is nobody that the machine knows.
func TestContainer(t *testing.T) {
	if !jailed(t) {
		return
	}
	root := t.TempDir()
	for _, dir := range []string{"usr/bin", "etc/bouncefeed", "var/lib/bouncefeed", "run/bouncefeed", "var/log"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, volume := range []string{"var/lib/bouncefeed", "run/bouncefeed"} {
		if err := os.Chown(filepath.Join(root, volume), nonroot, nonroot); err != nil {
			t.Fatal(err)
		}
	}
	if err := command("cp", binary, filepath.Join(root, "usr/bin/bouncefeed")); err != nil {
		t.Fatal(err)
	}
	r := startReceiver(t)
	writeFile(t, filepath.Join(root, "etc/bouncefeed/token"), e2etest.Token+"\n")
	writeFile(t, filepath.Join(root, "etc/bouncefeed/config.yaml"), `inputs:
  maillog: {type: logfile, path: /var/log/mail.log, parser: postfix, start: beginning}
outputs:
  listmonk: {type: listmonk, url: "`+r.URL+`", username: bouncefeed, password_file: /etc/bouncefeed/token}
`)
	writeFile(t, filepath.Join(root, "var/log/mail.log"), `
2026-11-22T07:01:01.000000+00:00 mx1 postfix/pickup[10]: 4XyZ11: uid=0 from=<news@sender.test>
2026-11-22T07:01:01.100000+00:00 mx1 postfix/qmgr[11]: 4XyZ11: from=<news@sender.test>, size=400, nrcpt=1 (queue active)
2026-11-22T07:01:02.000000+00:00 mx1 postfix/smtp[12]: 4XyZ11: to=<jo@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.example.org[192.0.2.1] said: 550 5.1.1 <jo@example.org>: user unknown)
2026-11-22T07:01:02.100000+00:00 mx1 postfix/qmgr[11]: 4XyZ11: removed
`)
	if err := syscall.Mount(root, root, "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(root, syscall.MNT_DETACH) })
	if err := syscall.Mount("", root, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	for _, volume := range []string{"var/lib/bouncefeed", "run/bouncefeed"} {
		if err := syscall.Mount("tmpfs", filepath.Join(root, volume), "tmpfs", 0, "mode=700,uid=65532,gid=65532"); err != nil {
			t.Fatal(err)
		}
	}
	inside := func(args ...string) *exec.Cmd {
		cmd := exec.Command("/usr/bin/bouncefeed", args...)
		cmd.Dir, cmd.Env = "/", []string{"PATH=/usr/bin"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: nonroot, Gid: nonroot}}
		return cmd
	}
	if out, err := inside("check").CombinedOutput(); err != nil {
		t.Fatalf("check: %v\n%s", err, out)
	}
	log := filepath.Join(t.TempDir(), "log")
	showIfFailed(t, log, 4000)
	p := start(t, "bouncefeed", log, inside("run"))
	waitFor(t, "the bounce", func() bool { return len(r.Seen()) > 0 })
	if post := r.Seen()[0]; post.Email != "jo@example.org" || post.Type != "hard" {
		t.Errorf("posted %+v", post)
	}
	if out, err := inside("status").CombinedOutput(); err != nil || !strings.Contains(string(out), "sent 1") {
		t.Errorf("status: %v\n%s", err, out)
	}
	p.end(t)
}
