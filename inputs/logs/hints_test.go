package logs

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestHints(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	write := func(name string) {
		t.Helper()
		f, err := os.OpenFile(in(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString("a line\n"); err != nil {
			t.Fatal(err)
		}
	}
	h := newHints(in("mail.log"))
	if h == nil {
		t.Skip("no inotify")
	}
	defer h.close()
	write("auth.log")
	h.watch()
	hinted := func() bool { // what the kernel has to tell it tells at once
		h.watch()
		_ = h.f.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		n, _ := h.f.Read(h.buf[:])
		return h.read(h.buf[:max(n, 0)])
	}
	for _, step := range []struct {
		what string
		do   func()
		want bool
	}{
		{"another log is written to", func() { write("auth.log") }, false},
		{"another log begins", func() { write("kern.log") }, false},
		{"the log begins", func() { write("mail.log") }, true},
		{"nothing", func() {}, false},
		{"the log is written to", func() { write("mail.log"); write("mail.log") }, true},
		{"the log is renamed", func() { os.Rename(in("mail.log"), in("mail.log.1")) }, true},
		{"it is written to under its old name", func() { write("mail.log.1") }, true},
		{"the next one begins", func() { write("mail.log") }, true},
		{"and is written to", func() { write("mail.log") }, true},
		{"another log is removed", func() { os.Remove(in("auth.log")) }, false},
	} {
		step.do()
		if got := hinted(); got != step.want {
			t.Errorf("%s: hint %v, want %v", step.what, got, step.want)
		}
	}
}
