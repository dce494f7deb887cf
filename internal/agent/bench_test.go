package agent_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkPostfixLog has the built daemon read, parse and commit a Postfix log, and reports its wall time as a
// multiple of `grep -c status=bounced` on the same file in the same run, its peak and idle memory and its idle CPU.
// BOUNCEFEED_BENCH_MB sets the log's size (default 500).
func BenchmarkPostfixLog(b *testing.B) {
	size := 500
	if s := os.Getenv("BOUNCEFEED_BENCH_MB"); s != "" {
		size, _ = strconv.Atoi(s)
	}
	dir := b.TempDir()
	bin := filepath.Join(dir, "bouncefeed")
	if out, err := exec.Command("go", "build", "-o", bin, "bouncefeed/cmd/bouncefeed").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	mailLog := filepath.Join(dir, "mail.log")
	bounced := writePostfixLog(b, mailLog, size<<20)
	for b.Loop() {
		grep := timeGrep(b, mailLog, bounced)
		d := startDaemon(b, bin, dir, mailLog)
		d.until("all is read", func(s daemonStatus) bool { return s.Inputs[0].Lag == 0 && s.Inputs[0].Read > 0 })
		took := time.Since(d.started)
		if got := d.status().Inputs[0].Queued; got != uint64(bounced) {
			b.Fatalf("%d events, want %d", got, bounced)
		}
		b.ReportMetric(took.Seconds()/grep.Seconds(), "x-grep")
		b.ReportMetric(grep.Seconds(), "grep-s")
		b.ReportMetric(float64(size)/took.Seconds(), "MiB/s")
		b.ReportMetric(d.memory("VmHWM"), "peak-MiB")
		before := d.cpu()
		const idle = 70 * time.Second // the daemon tidies up every minute
		time.Sleep(idle)              // measuring idleness takes idle time
		b.ReportMetric((d.cpu()-before).Seconds()/idle.Seconds()*100, "idle-CPU-%")
		b.ReportMetric(d.memory("VmRSS"), "idle-MiB")
		d.stop()
	}
	b.ReportMetric(0, "ns/op")
}

func timeGrep(b *testing.B, file string, want int) time.Duration {
	best := time.Hour
	for range 3 {
		start := time.Now()
		out, err := exec.Command("grep", "-c", "status=bounced", file).Output()
		best = min(best, time.Since(start))
		if got := strings.TrimSpace(string(out)); err != nil || got != strconv.Itoa(want) {
			b.Fatalf("grep counts %s, want %d, %v", got, want, err)
		}
	}
	return best
}

// writePostfixLog writes about size bytes of the log of a busy server: connections, deliveries, deferrals and two
// bounces in a hundred messages. It returns the number of bounces.
func writePostfixLog(b *testing.B, path string, size int) (bounced int) {
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	written := 0
	line := func(program, format string, args ...any) {
		at = at.Add(3 * time.Millisecond)
		n, err := fmt.Fprintf(w, at.Format("2006-01-02T15:04:05.000000-07:00")+" mx1 postfix/"+program+"[4711]: "+format+"\n", args...)
		if err != nil {
			b.Fatal(err)
		}
		written += n
	}
	for i := 0; written < size; i++ {
		id := fmt.Sprintf("%05X%06X", i%0xfffff, 0x10000+i)
		rcpt := fmt.Sprintf("subscriber.%d@dest%d.example.org", i, i%500)
		line("smtpd", "connect from lists.example.com[10.0.0.80]")
		line("smtpd", "%s: client=lists.example.com[10.0.0.80]", id)
		line("cleanup", "%s: message-id=<%024x@news.example.com>", id, i)
		line("qmgr", "%s: from=<bounces+%d@news.example.com>, size=24711, nrcpt=1 (queue active)", id, i)
		line("smtpd", "disconnect from lists.example.com[10.0.0.80] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5")
		if i%10 == 3 {
			line("smtp", "%s: to=<%s>, relay=mx.dest.example.org[192.0.2.7]:25, delay=0.4, delays=0.02/0.01/0.2/0.17, dsn=4.7.1, status=deferred (host mx.dest.example.org[192.0.2.7] said: 451 4.7.1 Greylisted, come back in 300 seconds (in reply to RCPT TO command))", id, rcpt)
			line("qmgr", "%s: from=<bounces+%d@news.example.com>, size=24711, nrcpt=1 (queue active)", id, i)
		}
		if i%50 == 7 {
			bounced++
			line("smtp", "%s: to=<%s>, relay=mx.dest.example.org[192.0.2.7]:25, delay=0.4, delays=0.02/0.01/0.2/0.17, dsn=5.1.1, status=bounced (host mx.dest.example.org[192.0.2.7] said: 550 5.1.1 <%s>: Recipient address rejected: User unknown in virtual mailbox table (in reply to RCPT TO command))", id, rcpt, rcpt)
			line("bounce", "%s: sender non-delivery notification: F%s", id, id[1:])
		} else {
			line("smtp", "%s: to=<%s>, relay=mx.dest.example.org[192.0.2.7]:25, delay=0.4, delays=0.02/0.01/0.2/0.17, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 1A20202B8F4)", id, rcpt)
		}
		line("qmgr", "%s: removed", id)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	return bounced
}

// daemonStatus is the part of `bouncefeed status --json` that the benchmark looks at.
type daemonStatus struct {
	Inputs []struct {
		Lag          int64
		Read, Queued uint64
	}
}

type daemon struct {
	b       *testing.B
	cmd     *exec.Cmd
	bin     string
	socket  string
	started time.Time
}

func startDaemon(b *testing.B, bin, dir, mailLog string) *daemon {
	work, err := os.MkdirTemp(dir, "run")
	if err != nil {
		b.Fatal(err)
	}
	conf := filepath.Join(work, "config.yaml")
	socket := filepath.Join(work, "control.sock")
	// Nobody listens on the receiver's port: the events stay queued.
	text := fmt.Sprintf("inputs:\n  postfix: {type: logfile, path: %s, parser: postfix, start: beginning}\n"+
		"outputs:\n  listmonk: {type: listmonk, url: \"http://127.0.0.1:9/webhooks/bounce\"}\n"+
		"queue: {path: %s/queue.db}\ncontrol: {socket: %s}\nlog: {level: error}\n", mailLog, work, socket)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	d := &daemon{b: b, bin: bin, socket: socket, started: time.Now(), cmd: exec.Command(bin, "run", "--config", conf)}
	d.cmd.Stderr = os.Stderr
	if err := d.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(d.stop)
	return d
}

func (d *daemon) stop() {
	if d.cmd.ProcessState == nil {
		d.cmd.Process.Signal(syscall.SIGTERM)
		d.cmd.Wait()
	}
}

func (d *daemon) status() daemonStatus {
	var s daemonStatus
	out, _ := exec.Command(d.bin, "status", "--json", "--socket", d.socket).Output() // exit 1: the receiver is away
	json.Unmarshal(out, &s)
	return s
}

func (d *daemon) until(what string, ok func(daemonStatus) bool) {
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if s := d.status(); len(s.Inputs) > 0 && ok(s) {
			return
		}
		if time.Now().After(deadline) {
			d.b.Fatalf("never: %s", what)
		}
	}
}

// memory is a figure of /proc/PID/status, in MiB.
func (d *daemon) memory(field string) float64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil {
		d.b.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kib, _ := strconv.Atoi(strings.Fields(rest)[0])
			return float64(kib) / 1024
		}
	}
	d.b.Fatalf("no %s", field)
	return 0
}

// cpu is the processor time used so far (proc(5): utime and stime, in ticks of 10 ms).
func (d *daemon) cpu() time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", d.cmd.Process.Pid))
	if err != nil {
		d.b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}
