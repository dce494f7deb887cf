package mailbox

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// hostile is what a server does at a command beside what it should; w ends with the connection. false: it answers as
// it should.
type hostile func(w *slowWriter, command string) bool

// slowWriter writes to the client and lets time pass.
type slowWriter struct {
	net.Conn
	tag   string // of the command that is answered, where commands have one
	heap  uint64 // the largest seen
	calls int
	gone  bool
}

// put writes and then waits; false: the client has gone.
func (w *slowWriter) put(text string, wait time.Duration) bool {
	_, err := w.Write([]byte(strings.ReplaceAll(text, "<tag>", w.tag)))
	if w.calls++; w.calls%50 == 0 {
		w.heap = max(w.heap, heapInUse())
	}
	time.Sleep(wait)
	w.gone = err != nil
	return !w.gone
}

func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

const (
	maxHostileTime   = 60 * time.Second
	maxHostileMemory = 16 << 20
)

// at has a server do something at commands that begin with one of prefixes.
func at(do func(w *slowWriter), prefixes ...string) hostile {
	return func(w *slowWriter, command string) bool {
		if !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(command, p) }) {
			return false
		}
		do(w)
		return true
	}
}

func endless(first, more string) func(*slowWriter) {
	return func(w *slowWriter) {
		for ok := w.put(first, 0); ok; {
			ok = w.put(more, 50*time.Millisecond)
		}
	}
}

func silent(w *slowWriter) {
	for w.put("", time.Second) {
	}
}

func dripping(text string) func(*slowWriter) {
	return func(w *slowWriter) {
		for ok := true; ok; {
			for i := 0; i < len(text) && ok; i++ {
				ok = w.put(text[i:i+1], 20*time.Second)
			}
		}
	}
}

func says(text string) func(*slowWriter) { return func(w *slowWriter) { w.put(text, 0) } }

var hostileServers = map[string]hostile{
	"endless greeting":              at(endless("+OK ", strings.Repeat("x", 64<<10)), "greeting"),
	"endless line of a message":     at(endless("+OK\r\nSubject: x\r\n\r\n", strings.Repeat("x", 64<<10)), "RETR"),
	"endless message":               at(endless("+OK\r\nSubject: x\r\n\r\n", strings.Repeat(strings.Repeat("x", 70)+"\r\n", 1000)), "RETR"),
	"endless header":                at(endless("+OK\r\n", strings.Repeat("X-Y: "+strings.Repeat("x", 70)+"\r\n", 1000)), "RETR", "TOP"),
	"endless UIDL":                  at(endless("+OK\r\n", strings.Repeat("7 uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu\r\n", 1500)), "UIDL"),
	"endless other UIDL":            at(endlessNumbers, "UIDL"),
	"endless lines of one dot more": at(endless("+OK\r\n", strings.Repeat("..\r\n", 10_000)), "RETR"),
	"silent from the first":         at(silent, "greeting"),
	"silent at the login":           at(silent, "PASS"),
	"silent at the list":            at(silent, "UIDL"),
	"silent at a message":           at(silent, "RETR"),
	"silent at the end":             at(silent, "QUIT"),
	"a byte at a time":              at(dripping("+OK ready\r\n"), "greeting", "USER", "PASS", "NOOP", "UIDL"),
	"a message a byte at a time":    at(dripping("+OK\r\nSubject: x\r\n"), "RETR"),
	"NUL":                           at(says("\x00\x00\x00\r\n"), "RETR", "UIDL", "LIST"),
	"NUL in a message":              at(says("+OK\r\nSubject: \x00\r\n\r\n\x00\r\n.\r\n"), "RETR"),
	"NUL in the list":               at(says("+OK\r\n1\x002 x\r\n\x00\r\n3 \x00\r\n.\r\n"), "UIDL"),
	"-ERR to everything":            at(says("-ERR no\r\n"), "RETR", "UIDL", "LIST", "TOP", "DELE", "QUIT"),
	"numbers that are not there":    at(says("+OK\r\n0 a\r\n-1 b\r\n2147483648 c\r\n9223372036854775807 d\r\nx e\r\n1\r\n5000 f\r\n.\r\n"), "UIDL"),
	"something else":                at(says("HTTP/1.1 400 Bad Request\r\n"), "greeting"),
	"an empty line":                 at(says("\r\n"), "RETR"),
}

func endlessNumbers(w *slowWriter) {
	for n, ok := 0, w.put("+OK\r\n", 0); ok; {
		var b strings.Builder
		for range 2000 {
			n++
			fmt.Fprintf(&b, "%d u%d\r\n", n, n)
		}
		ok = w.put(b.String(), 50*time.Millisecond)
	}
}

// Whatever a server does, the session ends in time, memory stays bounded, and nothing is deleted that is not committed.
func TestPOP3Hostile(t *testing.T) {
	for name, h := range hostileServers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { attack(t, h) })
		})
	}
}

func attack(t *testing.T, h hostile) {
	in, _ := buildInput(t, "type: pop3\nhost: h\nusername: u\ntls: none\nafter: delete-all\ntrust: any\npassword_file: "+tempFile(t, "sesame"))
	p := in.(*pop3Input)
	before := heapInUse()
	drop := &hostileDrop{slowWriter: &slowWriter{}, h: h, sink: &fates{}}
	p.connect = drop.connect
	start := time.Now()
	_, err := p.poll(t.Context(), drop.sink, true)
	if took := time.Since(start); took > maxHostileTime {
		t.Errorf("the session took %v: %v", took, err)
	}
	drop.end()
	if drop.heap > before+maxHostileMemory {
		t.Errorf("%d KiB of memory above %d", (drop.heap-before)>>10, before>>10)
	}
	if drop.early > 0 {
		t.Errorf("%d messages deleted before they were committed", drop.early)
	}
}

// hostileDrop serves one connection over a pipe: three messages, with h in between.
type hostileDrop struct {
	*slowWriter
	h              hostile
	sink           *fates
	sessions       sync.WaitGroup
	deleted, early int
}

func (d *hostileDrop) connect(context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	d.Conn = server
	d.sessions.Go(func() { d.serve(server) })
	return client, client.SetDeadline(time.Now().Add(maxOperation))
}

func (d *hostileDrop) end() {
	d.Conn.Close()
	d.sessions.Wait()
}

func (d *hostileDrop) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for command := "greeting"; ; {
		if !d.h(d.slowWriter, command) {
			d.put(d.answer(command), 0)
		}
		line, err := r.ReadString('\n')
		if err != nil || d.gone {
			return
		}
		command = strings.TrimSpace(line)
	}
}

func (d *hostileDrop) answer(command string) string {
	verb, _, _ := strings.Cut(command, " ")
	switch verb {
	case "UIDL":
		return "+OK\r\n1 a\r\n2 b\r\n3 c\r\n.\r\n"
	case "RETR":
		return "+OK\r\nSubject: x\r\n\r\ntext\r\n.\r\n"
	case "DELE":
		if d.deleted++; !d.sink.Has(make([]string, d.deleted)) {
			d.early++
		}
	}
	return "+OK\r\n"
}

// A session that a message breaks does not keep others from being read, and a message whose end never comes is
// committed by its beginning.
func TestPOP3BrokenByOneMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in, _ := buildInput(t, "type: pop3\nhost: h\nusername: u\ntls: none\ntrust: any\npassword_file: "+tempFile(t, "sesame"))
		p := in.(*pop3Input)
		drop := &hostileDrop{slowWriter: &slowWriter{}, h: at(silent, "RETR 1"), sink: &fates{}}
		p.connect = drop.connect
		for range 2 {
			if _, err := p.poll(t.Context(), drop.sink, true); err == nil {
				t.Error("no error")
			}
			drop.end()
		}
		if len(drop.sink.Bodies) != 2 {
			t.Errorf("%d committed, 2 could be", len(drop.sink.Bodies))
		}
		drop.h = at(endless("+OK\r\nSubject: x\r\n\r\n", strings.Repeat(strings.Repeat("x", 70)+"\r\n", 1000)), "RETR 1")
		_, err := p.poll(t.Context(), drop.sink, true)
		if err == nil || len(drop.sink.Bodies) != 3 || len(drop.sink.Bodies[2]) != maxMessage {
			t.Errorf("%v, %d committed", err, len(drop.sink.Bodies))
		}
		drop.end()
	})
}
