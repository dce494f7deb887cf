package disk

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestStat(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, link, other := dir+"/log", dir+"/link", dir+"/other"
	write(t, path, "12345")
	write(t, other, "12345")
	must(t, os.Chmod(path, 0o640))
	must(t, os.Symlink(path, link))
	info, err := Stat(path)
	must(t, err)
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	if age := time.Since(time.Unix(0, info.Mtime)); info.Size != 5 || !info.Regular() || info.Links != 1 || info.Mode&0o7777 != 0o640 || age < -time.Minute || age > time.Minute {
		t.Errorf("%+v", info)
	}
	for what, c := range map[string]struct {
		stat func() (Info, error)
		same bool
	}{
		"through a symlink": {func() (Info, error) { return Stat(link) }, true},
		"the open file":     {func() (Info, error) { return Fstat(f) }, true},
		"the symlink":       {func() (Info, error) { return Lstat(link) }, false},
		"another file":      {func() (Info, error) { return Stat(other) }, false},
	} {
		if got, err := c.stat(); err != nil || got.Same(info) != c.same {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	if _, err := Stat(dir + "/none"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), dir+"/none") {
		t.Error(err)
	}
}

// An inode number comes back after a delete: only together with the time of its birth it names a file.
func TestSameInodeInAnotherLife(t *testing.T) {
	t.Parallel()
	a := Info{Dev: 1, Ino: 2, Born: 3}
	for _, c := range []struct {
		b    Info
		same bool
	}{
		{Info{Dev: 1, Ino: 2, Born: 3, Size: 7}, true}, {Info{Dev: 1, Ino: 2}, true},
		{Info{Dev: 1, Ino: 2, Born: 4}, false}, {Info{Dev: 2, Ino: 2, Born: 3}, false}, {Info{Dev: 1, Ino: 3, Born: 3}, false},
	} {
		if a.Same(c.b) != c.same || c.b.Same(a) != c.same {
			t.Errorf("%+v: %v", c.b, !c.same)
		}
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir+"/log", "x")
	must(t, os.Symlink(dir+"/log", dir+"/link"))
	must(t, syscall.Mkfifo(dir+"/pipe", 0o600))
	for _, c := range []struct {
		name string
		how  int
		want error
	}{
		{"log", Read, nil}, {"log", ReadWrite, nil}, {"log", Read | NoFollow, nil}, {"link", Read, nil},
		{"link", Read | NoFollow, ErrNotRegular}, {"pipe", Read, ErrNotRegular}, {"pipe", ReadWrite, ErrNotRegular}, {".", Read, ErrNotRegular},
		{"none", ReadWrite, fs.ErrNotExist},
	} {
		f, err := Open(filepath.Join(dir, c.name), c.how)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s %d: %v, want %v", c.name, c.how, err, c.want)
		}
		if f == nil {
			continue
		}
		if _, err := f.WriteString("y"); (err == nil) != (c.how == ReadWrite) {
			t.Errorf("%s %d: write: %v", c.name, c.how, err)
		}
		f.Close()
	}
}

func TestListen(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/s"
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"}) // what a killed process leaves
	must(t, err)
	dead.SetUnlinkOnClose(false)
	dead.Close()
	l, err := Listen(path, 0o640)
	must(t, err)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := Listen(path, 0o640); !errors.Is(err, ErrAnswers) || !strings.Contains(err.Error(), path) {
		t.Errorf("a second listener: %v", err)
	}
	if c, err := net.Dial("unix", path); err != nil {
		t.Errorf("the first one was disturbed: %v", err)
	} else {
		c.Close()
	}
	l.Close()
	write(t, path, "a file")
	if _, err := Listen(path, 0o640); err == nil {
		t.Error("a file was taken for a socket")
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

// One that is too busy to let anybody in lives all the same.
func TestListenWhereABusyOneListens(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/s"
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	must(t, err)
	defer syscall.Close(fd)
	must(t, syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}))
	must(t, syscall.Listen(fd, 0))
	waiting, err := net.Dial("unix", path) // fills its queue
	must(t, err)
	defer waiting.Close()
	if l, err := Listen(path, 0o600); err == nil {
		l.Close()
		t.Error("its socket was taken away")
	}
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
}

func TestRemedies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := dir + "/log"
	write(t, path, "")
	denied := func(path string) error { return &fs.PathError{Op: "open", Path: path, Err: fs.ErrPermission} }
	for mode, want := range map[os.FileMode]string{0o640: "add the user to group", 0o600: "its group may not read it: chmod g+r it"} {
		must(t, os.Chmod(path, mode))
		if got := Remedy(denied(path)); !strings.Contains(got, want) || !strings.Contains(got, path) {
			t.Errorf("%04o: %q", mode, got)
		}
	}
	for err, want := range map[error]string{
		&fs.PathError{Op: "open", Path: dir + "/none/log", Err: fs.ErrNotExist}: "there is no directory " + dir + "/none",
		&fs.PathError{Op: "open", Path: dir + "/none", Err: fs.ErrNotExist}:     "",
		&fs.PathError{Op: "open", Path: path, Err: syscall.EROFS}:               "ReadWritePaths",
		denied(dir + "/none"): "",
		fs.ErrPermission:      "",
	} {
		if got := Remedy(err); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
		if got := WithRemedy(err); !errors.Is(got, err) || want != "" && !strings.HasPrefix(got.Error(), err.Error()+": ") {
			t.Errorf("%v", got)
		}
	}
	for _, b := range []struct {
		Barrier
		want string
	}{
		{Barrier{Path: "/d", Owner: "root", Group: "adm", Mode: 0o750, Directory: true}, "/d belongs to root:adm, mode 0750: add the user to group adm"},
		{Barrier{Path: "/t", Owner: "root", Group: "bouncefeed", Mode: 0o640}, "/t belongs to root:bouncefeed, mode 0640: run this as root"},
		{Barrier{Path: "/d", Owner: "root", Group: "adm", Mode: 0o700, Directory: true}, "/d belongs to root:adm, mode 0700: its group may not pass it"},
	} {
		if got := b.String(); !strings.HasPrefix(got, b.want) {
			t.Error(got)
		}
	}
}
