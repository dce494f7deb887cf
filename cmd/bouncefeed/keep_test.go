package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bouncefeed/internal/agent"
)

// TestMain is also the program that a command of root's starts to open the service's queue.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == agent.KeeperCommand {
		main()
	}
	os.Exit(m.Run())
}

const service = 12345

// servicesSite is a configuration whose queue lies in a directory of the service's.
func servicesSite(t *testing.T) (cfg, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root gives files to others")
	}
	dir, err := os.MkdirTemp("", "bf")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	state := filepath.Join(dir, "state")
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(state, service, service); err != nil {
		t.Fatal(err)
	}
	return write(t, "c.yaml", fmt.Sprintf(`
inputs: {postfix: {type: logfile, path: /var/log/mail.log, parser: postfix}}
outputs: {file: {type: file, path: %s/out.jsonl}}
queue: {path: %s/state/queue.db}
control: {socket: %s/control.sock}
`, dir, dir, dir)), dir
}

// What root backfills into the service's queue is the service's, and root reads logs that only root may read.
func TestRootBackfillsAsTheService(t *testing.T) {
	t.Parallel()
	cfg, dir := servicesSite(t)
	log := write(t, "mail.log", postfixLog)
	command(t, "", "backfill", "-c", cfg, log).expect(t, 0, "", "5 read, 1 queued, 0 reported before")
	command(t, "", "backfill", "-c", cfg, log).expect(t, 0, "", "5 read, 0 queued, 1 reported before")
	command(t, "", "backfill", "-c", cfg, "--as", "mail", "--trust", "proof", write(t, "m.eml", bounceMail)).expect(t, 0, "", "1 held for want of proof")
	command(t, "", "held", "list", "-c", cfg).expect(t, 0, "no proof", "")
	info, err := os.Lstat(filepath.Join(dir, "state/queue.db"))
	if err != nil || info.Sys().(*syscall.Stat_t).Uid != service || info.Mode() != 0o600 {
		t.Errorf("%v, %+v", err, info)
	}
}

// A directory of the service's may hold anything: root follows nothing in it.
func TestRootFollowsNoLinkOfTheServices(t *testing.T) {
	t.Parallel()
	for _, link := range []string{"state/queue.db", "state"} {
		cfg, dir := servicesSite(t)
		trap := filepath.Join(dir, "roots")
		if err := os.Mkdir(trap, 0o700); err != nil {
			t.Fatal(err)
		}
		target := filepath.Join(trap, "queue.db")
		if err := os.WriteFile(target, []byte("root's"), 0o600); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, link)
		if link == "state" { // the directory itself, which lies in one of root's, is made a link by the service: it owns the link
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			target = trap
		}
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
		if err := os.Lchown(path, service, service); err != nil {
			t.Fatal(err)
		}
		if r := command(t, "", "backfill", "-c", cfg, write(t, "mail.log", postfixLog)); r.code != exitFailure || !strings.Contains(r.err, "open queue ") {
			t.Errorf("%s: %+v", link, r)
		}
		text, err := os.ReadFile(filepath.Join(trap, "queue.db"))
		info, serr := os.Stat(filepath.Join(trap, "queue.db"))
		if err != nil || serr != nil || string(text) != "root's" || info.Sys().(*syscall.Stat_t).Uid != 0 {
			t.Errorf("%s: the file of root's: %q, %v, %v", link, text, err, serr)
		}
		if all, _ := os.ReadDir(trap); len(all) != 1 {
			t.Errorf("%s: %d files", link, len(all))
		}
	}
}
