package browser

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bouncefeed/internal/e2e/e2etest"
)

// What packaging/page-prepare.sh has fetched, beside the tree.
const (
	axeFile     = "axe-core-4.14.1"
	checkerFile = "vnu-jar-26.9.27"
)

// prepared is the tree with the browser. Only make page looks.
func prepared(t *testing.T) string {
	t.Helper()
	if os.Getenv("BOUNCEFEED_PAGE") == "" {
		t.Skip("only make page has a browser")
	}
	tree, err := e2etest.Tree("browser")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{axeFile, checkerFile} {
		if _, err := os.Stat(beside(tree, file)); err != nil {
			t.Fatalf("%v: packaging/page-prepare.sh fetches it", err)
		}
	}
	return tree
}

func beside(tree, file string) string { return filepath.Join(filepath.Dir(tree), file) }

// inTree runs a program of the tree with mounts of its own, which are gone with it: nothing in the tree is changed.
const inTree = `mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && mount -t tmpfs tmpfs "$0/tmp" && mount -t tmpfs tmpfs "$0/run" &&
exec chroot "$0" env -i PATH=/usr/bin:/bin HOME=/tmp LANG=C.UTF-8 "$@"`

func startChromium(t *testing.T, tree string) *chromium {
	t.Helper()
	theirs, ours, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	reading, answers, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	// The pipe is its fourth and fifth file. Without a GPU and without a sandbox: it is root's, and sees only our pages.
	cmd := exec.Command("sh", "-c", inTree, tree, "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
		"--no-first-run", "--log-level=3", "--disable-extensions", "--disable-background-networking", "--disable-component-update", "--user-data-dir=/tmp/profile",
		"--remote-debugging-pipe", "about:blank")
	cmd.ExtraFiles = []*os.File{theirs, answers}
	var said bytes.Buffer // it ends with the process
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC, Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	answers.Close()
	c := &chromium{write: ours, read: bufio.NewReaderSize(reading, 1<<20), waiting: map[int]chan message{}, events: map[string]chan bool{}}
	go c.listen()
	t.Cleanup(func() {
		cmd.Process.Kill() // it is process 1 of its namespace: all of it ends
		cmd.Wait()
		if t.Failed() {
			t.Logf("chromium said: %.2000s", said.String())
		}
	})
	return c
}

// check has the W3C's checker read files: a style sheet and pages by name. It says what is wrong.
func check(t *testing.T, tree string, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	var names []string
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		names = append(names, "/tmp/pages/"+name)
	}
	script := `jar=$1 pages=$2; shift 2; mount -t tmpfs tmpfs "$0/tmp" && mkdir "$0/tmp/pages" && cp "$jar" "$0/tmp/vnu.jar" && cp "$pages"/* "$0/tmp/pages" && mount -t proc proc "$0/proc" &&
exec chroot "$0" env -i PATH=/usr/bin:/bin HOME=/tmp LANG=C.UTF-8 java -Xss4m -XX:TieredStopAtLevel=1 -jar /tmp/vnu.jar --also-check-css --exit-zero-always "$@"`
	cmd := exec.Command("sh", append([]string{"-c", script, tree, beside(tree, checkerFile), dir}, names...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	return strings.TrimSpace(string(said))
}
