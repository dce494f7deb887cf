package mailbox

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"
)

// hostileFolder serves one connection after the other over a pipe: three messages, with h in between. What h says has
// <tag> for the command's tag.
type hostileFolder struct {
	*slowWriter
	h        hostile
	sink     *fates
	sessions sync.WaitGroup
	caps     string // further capabilities
	stall    int    // bytes after which the server is silent; 0: never
	cleared  int
	early    []string // commands that cleared away what was not committed
}

func (f *hostileFolder) connect(context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	f.Conn, f.gone = server, false
	if f.stall > 0 {
		f.Conn = &stallingConn{server, f.stall}
	}
	f.sessions.Go(func() { f.serve(server) })
	return client, client.SetDeadline(time.Now().Add(maxOperation))
}

// stallingConn swallows what is written after some bytes.
type stallingConn struct {
	net.Conn
	left int
}

func (c *stallingConn) Write(b []byte) (int, error) {
	n := min(len(b), c.left)
	c.left -= n
	if _, err := c.Conn.Write(b[:n]); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (f *hostileFolder) end() {
	f.Conn.Close()
	f.sessions.Wait()
}

func (f *hostileFolder) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for command := "greeting"; ; {
		if !f.h(f.slowWriter, command) {
			f.put(f.answer(command), 0)
		}
		line, err := r.ReadString('\n')
		if err != nil || f.gone {
			return
		}
		f.tag, command, _ = strings.Cut(strings.TrimSpace(line), " ")
	}
}

func (f *hostileFolder) answer(command string) string {
	verb, rest, _ := strings.Cut(strings.TrimPrefix(command, "UID "), " ")
	text := ""
	switch verb {
	case "greeting":
		return "* OK ready\r\n"
	case "CAPABILITY":
		text = "* CAPABILITY IMAP4rev1 UIDPLUS" + f.caps + "\r\n"
	case "SELECT":
		text = "* 3 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n"
	case "SEARCH":
		text = "* SEARCH 1 2 3\r\n"
	case "FETCH":
		uid, _, _ := strings.Cut(rest, " ")
		text = fetched(uid, hostileText(uid))
	case "STORE", "EXPUNGE":
		f.clear(command)
	}
	return text + "<tag> OK done\r\n"
}

func hostileText(uid string) string { return "Subject: failure " + uid + "\r\n\r\ntext\r\n" }

// fetched is a server's answer about one message.
func fetched(uid, text string) string {
	return fmt.Sprintf("* 1 FETCH (UID %s BODY[]<0> {%d}\r\n%s)\r\n", uid, len(text), text)
}

// clear notes which messages are cleared away too early.
func (f *hostileFolder) clear(command string) {
	f.cleared++
	for uid := range strings.SplitSeq(strings.Fields(command)[2], ",") {
		first, last, _ := strings.Cut(uid, ":")
		for _, uid := range []string{first, last} {
			if uid != "" && !f.sink.Has([]string{strings.ReplaceAll(hostileText(uid), "\r\n", "\n")}) {
				f.early = append(f.early, command)
			}
		}
	}
}

func newHostileFolder(t *testing.T, h hostile) (*imapInput, *hostileFolder) {
	in, _ := buildInput(t, "type: imap\nhost: h\nusername: u\ntls: none\nafter: delete-all\ntrust: any\npassword_file: "+tempFile(t, "sesame"))
	f := &hostileFolder{slowWriter: &slowWriter{}, h: h, sink: &fates{}}
	p := in.(*imapInput)
	p.connect = f.connect
	return p, f
}

// use is what the process had used at a time.
type use struct{ resident, allocated uint64 }

func startUse() use {
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // proc(5): begin a new peak
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return use{peakResident(), m.TotalAlloc}
}

// end gives by how much the resident memory was higher in the meantime, and what was allocated.
func (u use) end() (memory, work uint64) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return max(u.resident, peakResident()) - u.resident, m.TotalAlloc - u.allocated
}

func peakResident() (bytes uint64) {
	status, _ := os.ReadFile("/proc/self/status")
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	_, _ = fmt.Sscan(peak, &bytes)
	return bytes << 10
}
