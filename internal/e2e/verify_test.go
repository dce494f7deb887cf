package e2e

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"bouncefeed/internal/e2e/e2etest"
)

// verifiedConfig posts to the double of listmonk. Its blanks: the daemon's directory, the URL, the rate, whether it reads back.
const verifiedConfig = `
inputs:
  maillog: {type: logfile, path: %[1]s/mail.log, start: beginning, parser: postfix}
outputs:
  listmonk: {type: listmonk, url: %[2]s, username: bouncefeed, password_file: %[1]s/token, max_rate: %[3]d, verify: %[4]s}
queue: {path: %[1]s/queue.db}
control: {socket: %[1]s/control.sock}
`

// bouncing is a mail log in which mail to subscribers of a listmonk bounces, and the daemon that reads it.
type bouncing struct {
	*daemon
	m   *e2etest.Listmonk
	log *os.File
	n   int // bounces so far
}

func startBouncing(t *testing.T, name string, rate int, verify string) *bouncing {
	t.Helper()
	return newBouncing(t, name, verifiedConfig, rate, verify)
}

// newBouncing has a configuration with the blanks of verifiedConfig; further ones come behind.
func newBouncing(t *testing.T, name, configuration string, blanks ...any) *bouncing {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &bouncing{m: e2etest.NewListmonk(e2etest.MayRead...)}
	b.m.Start(t, l)
	b.daemon = newDaemonNamed(t, nil, name, configuration, append([]any{b.m.URL}, blanks...)...)
	if b.log, err = os.OpenFile(filepath.Join(b.dir, "mail.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.log.Close() })
	return b
}

// bounce has n more mails bounce, for full mailboxes: a bounce that is told twice is stored twice.
func (b *bouncing) bounce(t *testing.T, n int) {
	t.Helper()
	for range n {
		email, id := fmt.Sprintf("u%d@example.org", b.n), fmt.Sprintf("%010X", 0xA000000000+b.n)
		b.m.Subscribe(uuid(1, b.n), email)
		overQuota(b.log, email, id)
		b.n++
	}
}

// overQuota logs a mail to a mailbox that is full.
func overQuota(log io.Writer, email, id string) {
	at := time.Now().Format("2006-01-02T15:04:05.000000-07:00") + " mx1 postfix/"
	fmt.Fprintf(log, "%[1]spickup[10]: %[2]s: uid=0 from=<news@example.com>\n"+
		"%[1]scleanup[11]: %[2]s: message-id=<%[2]s@example.com>\n"+
		"%[1]sqmgr[12]: %[2]s: from=<news@example.com>, size=1234, nrcpt=1 (queue active)\n"+
		"%[1]ssmtp[13]: %[2]s: to=<%[3]s>, relay=mx.example.org[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=5.2.2, status=bounced (host mx.example.org[192.0.2.1] said: 552 5.2.2 <%[3]s>: user is over quota (in reply to RCPT TO command))\n"+
		"%[1]sqmgr[12]: %[2]s: removed\n", at, id, email)
}

// stored says how many of the first n subscribers' bounces are not stored, and how many twice.
func (b *bouncing) stored(n int) (lost, doubled int) {
	rows := map[string]int{}
	for _, r := range b.m.Rows() {
		rows[r.Email]++
	}
	for i := range n {
		switch rows[fmt.Sprintf("u%d@example.org", i)] {
		case 0:
			lost++
		case 1:
		default:
			doubled++
		}
	}
	return lost, doubled
}

// finish brings bounces, as life does, until the daemon has made up for what was lost of the first n.
func (b *bouncing) finish(t *testing.T, n int) {
	t.Helper()
	next := time.Now()
	waitFor(t, "all is stored", func() bool {
		if time.Now().After(next) {
			b.bounce(t, 110)
			next = time.Now().Add(2 * time.Second)
		}
		lost, _ := b.stored(n)
		return lost == 0
	})
}

func (b *bouncing) posts() int { return b.m.Requests()["POST /webhooks/bounce"] }

// wait waits until n posts were made.
func (b *bouncing) wait(t *testing.T, n int) {
	t.Helper()
	waitFor(t, fmt.Sprint(n, " posts"), func() bool { return b.posts() >= n })
}

// A disruption is what happens to listmonk, or to us, while n bounces are posted.
type disruption struct {
	name string
	do   func(t *testing.T, b *bouncing, n int)
}

var disruptions = []disruption{
	{"killed", func(t *testing.T, b *bouncing, n int) {
		b.wait(t, n/2)
		b.m.Kill()
		b.m.Start(t, nil)
	}},
	{"settings saved", func(t *testing.T, b *bouncing, n int) {
		b.wait(t, n/2)
		b.m.SaveSettings(t, true, true)
	}},
	{"inserts of 20 ms, stopped", func(t *testing.T, b *bouncing, n int) {
		b.m.Insert(20 * time.Millisecond)
		b.wait(t, n*2/3)
		b.m.Kill()
		b.m.Insert(0)
		b.m.Start(t, nil)
	}},
	{"database away for 4 s", func(t *testing.T, b *bouncing, n int) {
		b.wait(t, n/3)
		b.m.Database(false)
		<-time.After(4 * time.Second)
		b.m.Database(true)
	}},
	{"locked for 12 s", func(t *testing.T, b *bouncing, n int) {
		b.wait(t, n/3)
		unlock := b.m.Lock()
		<-time.After(12 * time.Second)
		unlock()
	}},
	{"the daemon killed three times", func(t *testing.T, b *bouncing, n int) {
		for i := range 3 {
			b.wait(t, n*(i+1)/5)
			b.process.kill(t)
			b.start(t)
		}
	}},
}

// requireStoredOnce runs one disruption and holds what is stored to what bounced.
func requireStoredOnce(t *testing.T, d disruption, n, rate int, verify string) {
	t.Helper()
	b := startBouncing(t, fmt.Sprint("-", rate, verify), rate, verify)
	b.start(t)
	b.bounce(t, n)
	d.do(t, b, n)
	if verify == "off" {
		waitFor(t, "all is posted and done with", func() bool {
			s := b.status(t)
			return s.Inputs[0].Queued == uint64(n) && s.Outputs[0].Pending == 0 && b.m.Queued() == 0
		})
		lost, doubled := b.stored(n)
		t.Logf("%s, %d/s, trusted: %d lost, %d doubled of %d", d.name, rate, lost, doubled, n)
		b.stop(t)
		return
	}
	reads, posts := b.m.Requests()["GET /api/bounces"], b.posts()
	b.finish(t, n)
	b.stop(t)
	lost, doubled := b.stored(n)
	t.Logf("%s, %d/s: %d lost, %d doubled of %d; listmonk had lost %d; up to then %d readings for %d posts", d.name, rate, lost, doubled, n, b.m.Lost(), reads, posts)
	if lost > 0 || doubled > 0 {
		t.Errorf("%s, %d/s: %d lost, %d doubled", d.name, rate, lost, doubled)
	}
}

// TestStoredOnce disrupts listmonk and the daemon as fast as posts go, at once in one run: each bounce is stored once.
func TestStoredOnce(t *testing.T) {
	if !jailed(t) {
		return
	}
	requireStoredOnce(t, disruption{"all of it", func(t *testing.T, b *bouncing, n int) {
		b.m.Insert(time.Millisecond)
		b.wait(t, n/5)
		b.m.Kill()
		b.m.Start(t, nil)
		b.wait(t, n*2/5)
		b.process.kill(t)
		b.start(t)
		b.wait(t, n*3/5)
		b.m.Database(false)
		<-time.After(time.Second / 2)
		b.m.Database(true)
	}}, 1500, 0, "auto")
}

// TestFigureStored prints what is lost and doubled of each disruption at each rate, read back and trusted.
func TestFigureStored(t *testing.T) {
	if !jailedForFigures(t) {
		return
	}
	for _, rate := range []int{20, 100, 0} {
		for _, d := range disruptions {
			n := map[int]int{20: 300, 100: 1500, 0: 3000}[rate]
			requireStoredOnce(t, d, n, rate, "auto")
			requireStoredOnce(t, d, n, rate, "off")
		}
	}
}
