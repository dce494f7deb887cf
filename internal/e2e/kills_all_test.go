package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"bouncefeed/internal/e2e/e2etest"
)

// everythingConfig reads a log, a mailbox and a webhook and feeds two outputs. Its blanks: the daemon's directory, the URL.
const everythingConfig = `
inputs:
  maillog: {type: logfile, path: %[1]s/mail.log, start: beginning, parser: postfix}
  box: {type: maildir, path: %[1]s/Maildir, poll: 1s, trust: any, after: delete-all}
  hooks:
    type: webhook
    listen: ["` + hooksAddr + `"]
    routes: [{parser: native, username: ` + hooksUser + `, password_file: %[1]s/password}]
outputs:
  listmonk: {type: listmonk, url: %[2]s, username: bouncefeed, password_file: %[1]s/token, max_rate: 0}
  told: {type: file, path: %[1]s/told.jsonl}
queue: {path: %[1]s/queue.db}
control: {socket: %[1]s/control.sock}
`

// everything brings bounces by three ways, and remembers whose.
type everything struct {
	*bouncing
	mails int
	hooks struct {
		sync.Mutex
		acknowledged int // posts answered by 200, in order
	}
}

// mail puts one more report into the mailbox, as a mail server does.
func (e *everything) mail(t *testing.T) {
	t.Helper()
	email := fmt.Sprintf("m%d@example.org", e.mails)
	e.m.Subscribe(uuid(3, e.mails), email)
	text := fmt.Sprintf("From: MAILER-DAEMON@mx.example.org\nTo: news@example.com\nSubject: Undelivered\nDate: %[3]s\nMessage-ID: <r%[1]d@mx.example.org>\n"+
		"MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary=x\n\n"+
		"--x\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.org\n\nFinal-Recipient: rfc822; %[2]s\nAction: failed\nStatus: 5.2.2\n"+
		"Diagnostic-Code: smtp; 552 5.2.2 user is over quota\n\n--x\nContent-Type: text/rfc822-headers\n\nMessage-ID: <o%[1]d@example.com>\nFrom: news@example.com\nTo: %[2]s\n\n--x--\n",
		e.mails, email, time.Now().Format(time.RFC1123Z))
	temp := filepath.Join(e.dir, "Maildir/tmp", fmt.Sprint(e.mails))
	writeFile(t, temp, text)
	if err := os.Chown(temp, daemonUID, daemonUID); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temp, filepath.Join(e.dir, "Maildir/new", fmt.Sprint(e.mails))); err != nil {
		t.Fatal(err)
	}
	e.mails++
}

// post posts bounces one after the other, each until it is taken, as providers do, until stop is closed.
func (e *everything) post(t *testing.T, stop <-chan struct{}) {
	client := &http.Client{Timeout: e2etest.Patience}
	for n := 0; ; n++ {
		email := fmt.Sprintf("h%d@example.org", n)
		e.m.Subscribe(uuid(4, n), email)
		body := fmt.Sprintf(`{"email":%q,"type":"soft","source":"a script","created_at":%q}`, email, time.Now().UTC().Format(time.RFC3339))
		for taken := false; !taken; {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			req, err := http.NewRequest(http.MethodPost, "http://"+hooksAddr+"/webhooks/bounce", strings.NewReader(body))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("Content-Type", "application/json")
			req.SetBasicAuth(hooksUser, hooksPass)
			if resp, err := client.Do(req); err == nil {
				resp.Body.Close()
				taken = resp.StatusCode == http.StatusOK
			}
		}
		e.hooks.Lock()
		e.hooks.acknowledged++
		e.hooks.Unlock()
	}
}

// missing compares what came with what bounced: of each subscriber one.
func (e *everything) missing(came map[string]int) (lost, doubled int) {
	e.hooks.Lock()
	defer e.hooks.Unlock()
	for way, n := range map[string]int{"u": e.n, "m": e.mails, "h": e.hooks.acknowledged} {
		for i := range n {
			switch times := came[fmt.Sprintf("%s%d@example.org", way, i)]; {
			case times == 0:
				lost++
			case times > 1:
				doubled++
			}
		}
	}
	return lost, doubled
}

// rows is what listmonk has stored, by address; lines what the file has.
func (e *everything) rows() map[string]int {
	came := map[string]int{}
	for _, r := range e.m.Rows() {
		came[r.Email]++
	}
	return came
}

func (e *everything) lines(t *testing.T) map[string]int {
	t.Helper()
	came := map[string]int{}
	f, err := os.Open(filepath.Join(e.dir, "told.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var line struct{ Recipient string }
		if len(s.Bytes()) > 0 && json.Unmarshal(s.Bytes(), &line) == nil { // a kill leaves half a line
			came[line.Recipient]++
		}
	}
	return came
}

func startEverything(t *testing.T) *everything {
	t.Helper()
	e := &everything{bouncing: newBouncing(t, "", everythingConfig)}
	e.addSecret(t, "password", hooksPass)
	for _, dir := range []string{"Maildir", "Maildir/tmp", "Maildir/new", "Maildir/cur"} {
		if err := os.Mkdir(filepath.Join(e.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(filepath.Join(e.dir, dir), daemonUID, daemonUID); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// TestKillsOfEverything kills the daemon at random moments while bounces come by a log, a mailbox and a webhook and go to two
// outputs. Nothing is lost; listmonk, which is read back, has each bounce once; a file may have some lines again, with their
// ids: those that a kill left unnoted.
func TestKillsOfEverything(t *testing.T) {
	if !jailed(t) {
		return
	}
	e := startEverything(t)
	kills, seed := setting(t, "BOUNCEFEED_E2E_KILLS", 12), setting(t, "BOUNCEFEED_E2E_SEED", int(time.Now().UnixNano()))
	random := rand.New(rand.NewPCG(uint64(seed), 1))
	t.Logf("BOUNCEFEED_E2E_SEED=%d", seed)
	writes, stop := watchWrites(t, e.dir), make(chan struct{})
	var posting sync.WaitGroup
	posting.Go(func() { e.post(t, stop) })
	began := time.Now()
	for killed := 1; killed <= kills; killed++ {
		e.launch(t)
		for end := time.Now().Add(time.Duration(random.IntN(800)) * time.Millisecond); time.Now().Before(end); {
			e.bounce(t, random.IntN(10))
			if random.IntN(3) == 0 {
				e.mail(t)
			}
			<-time.After(time.Duration(random.IntN(60)) * time.Millisecond)
		}
		e.strike(t, random, writes)
		if t.Failed() {
			t.Fatalf("at kill %d of %d", killed, kills)
		}
		if killed%100 == 0 {
			t.Logf("%d kills in %v", killed, time.Since(began).Round(time.Second))
		}
	}
	e.start(t)
	e.requireAccounts(t)
	waitFor(t, "the webhook's posts go through", func() bool {
		e.hooks.Lock()
		defer e.hooks.Unlock()
		return e.hooks.acknowledged > 0
	})
	close(stop)
	posting.Wait()
	e.settle(t)
	lost, doubled := e.missing(e.rows())
	t.Logf("%d kills in %v; %d bounces by the log, %d by mail, %d by webhook; listmonk: %d lost, %d doubled", kills,
		time.Since(began).Round(time.Second), e.n, e.mails, e.hooks.acknowledged, lost, doubled)
	if lost > 0 || doubled > 0 {
		t.Errorf("listmonk: %d lost, %d doubled", lost, doubled)
	}
	lost, doubled = e.missing(e.lines(t))
	t.Logf("the file: %d lost, %d twice", lost, doubled)
	if lost > 0 {
		t.Errorf("the file: %d lost", lost)
	}
	if left, err := filepath.Glob(filepath.Join(e.dir, "Maildir/new/*")); err != nil || len(left) > 0 {
		t.Errorf("mails are left: %v, %v", left, err)
	}
	e.requireQuiet(t)
	e.stop(t)
}

// settle brings bounces, as life does, until all that bounced up to now is stored, and sent to the file. It takes as long as it
// takes, while there is progress.
func (e *everything) settle(t *testing.T) {
	t.Helper()
	n := e.n
	var least int
	for next, progress := time.Now(), time.Now(); ; <-time.After(200 * time.Millisecond) {
		if time.Now().After(next) {
			e.bounce(t, 110)
			next = time.Now().Add(2 * time.Second)
		}
		all := e.n
		e.n = n
		lost, _ := e.missing(e.rows())
		if e.n = all; lost == 0 {
			break
		}
		if least == 0 || lost < least {
			least, progress = lost, time.Now()
		}
		if time.Since(progress) > e2etest.Patience {
			s := e.status(t)
			t.Fatalf("%d bounces are not stored: %v; %+v", lost, e.absent(e.rows()), s.Outputs)
		}
	}
	waitFor(t, "all is read and sent", func() bool {
		s := e.status(t)
		for _, out := range s.Outputs {
			if out.Pending > 0 {
				return false
			}
		}
		return s.Inputs[0].Queued >= uint64(e.n)
	})
	e.n = n
}

// absent names some of those who did not come.
func (e *everything) absent(came map[string]int) (some []string) {
	for way, n := range map[string]int{"u": e.n, "m": e.mails, "h": e.hooks.acknowledged} {
		for i := range n {
			if who := fmt.Sprintf("%s%d@example.org", way, i); came[who] == 0 && len(some) < 20 {
				some = append(some, who)
			}
		}
	}
	return some
}
