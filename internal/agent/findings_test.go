package agent

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"bouncefeed/internal/report"
	"bouncefeed/internal/stdwebhook"
)

// receiver stands in for whoever takes alerts.
type receiver struct {
	*httptest.Server
	t      *testing.T
	mu     sync.Mutex
	key    []byte
	broken bool
	got    []Alert
	ids    map[string]bool
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{t: t, key: []byte("0123456789abcdef01234567"), ids: map[string]bool{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	id := q.Header.Get("webhook-id")
	if want := stdwebhook.Signature(stdwebhook.MAC(r.key, id, q.Header.Get("webhook-timestamp"), body)); q.Header.Get("webhook-signature") != want {
		r.t.Errorf("signed %q, want %q", q.Header.Get("webhook-signature"), want)
	}
	if r.broken {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	var a Alert
	if err := json.Unmarshal(body, &a); err != nil || q.Header.Get("Content-Type") != "application/json" || r.ids[id] {
		r.t.Errorf("%v: %s %s", err, q.Header.Get("Content-Type"), body)
	}
	r.ids[id] = true
	r.got = append(r.got, a)
}

// take gives what was told since the last call.
func (r *receiver) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, a := range r.got {
		all = append(all, a.Status+" "+a.Finding.ID+" "+a.Finding.Severity.String())
	}
	r.got = nil
	return strings.Join(all, ", ")
}

func (r *receiver) breaks(broken bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = broken
}

// TestFindingsAreToldOnce: raised, worse, over, each once, over restarts and while the receiver is away.
func TestFindingsAreToldOnce(t *testing.T) {
	t.Parallel()
	to, dir := newReceiver(t), t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := assembled(t, fmt.Sprintf(`
inputs:
  log: {type: logfile, path: %s/mail.log, parser: postfix}
outputs:
  a: {type: file, path: %s/a.jsonl}
queue: {path: %s/queue.db}
alerts: {url: "%s", secret_file: %s}
`, dir, dir, dir, to.URL, secret))
	var now report.Report
	start := func() *findings {
		w := a.newFindings()
		w.report = func(ReportArgs) (*report.Report, error) { return &now, nil }
		w.log = slog.New(slog.DiscardHandler)
		if err := w.load(); err != nil {
			t.Fatal(err)
		}
		return w
	}
	w := start()
	look := func(want string, all ...report.Finding) {
		t.Helper()
		now.Findings = all
		if err := w.look(time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := w.tell(t.Context()); (err != nil) != to.broken {
			t.Fatal(err)
		}
		if got := to.take(); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
	since := time.Now().Truncate(time.Hour).UTC()
	blocks := report.Finding{ID: "provider_blocks", Provider: "microsoft", Severity: report.Warning, Since: since, Reason: "blocklisted", Count: 9, Of: 90}
	worse, typos := blocks, report.Finding{ID: "typo_domains", Subject: "gamil.com", Severity: report.Info, Since: since}
	worse.Severity = report.Critical
	worse.Since = since.Add(time.Hour) // a shorter look back finds its beginning later
	look("raised provider_blocks warning", blocks, typos)
	look("", blocks, typos)
	to.breaks(true)
	look("", worse, typos)
	w = start()
	if all := w.status(); len(all) != 2 || all[0].Severity != report.Critical || !all[0].Since.Equal(since) || !strings.Contains(all[0].Title, "microsoft refuses us") {
		t.Errorf("after a restart: %+v", all)
	}
	to.breaks(false)
	look("changed provider_blocks critical", worse, typos)
	to.breaks(true)
	look("")
	if all := w.status(); len(all) != 0 {
		t.Errorf("open though over: %+v", all)
	}
	w = start()
	to.breaks(false)
	look("over provider_blocks critical")
	w = start()
	look("")
	blocks.Since = since.Add(2 * time.Hour)
	look("raised provider_blocks warning", blocks)
	until := since
	blocks.Until = &until
	look("over provider_blocks warning", blocks)
	if left, err := a.queue.Findings(); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestFindingsOfAMailLog: a block that a log tells of is found, and named by the status.
func TestFindingsOfAMailLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := assembled(t, fmt.Sprintf(`
inputs:
  log: {type: logfile, path: %s/mail.log, parser: postfix}
outputs:
  a: {type: file, path: %s/a.jsonl}
queue: {path: %s/queue.db}
`, dir, dir, dir))
	var messages [][]string
	for i := range 40 {
		messages = append(messages, []string{fmt.Sprintf("to=<u%d@hotmail.com>, relay=hotmail-com.olc.protection.outlook.com[192.0.2.2]:25, delay=1, delays=0/0/0/1, dsn=5.7.1, status=bounced (host x[192.0.2.2] said: 550 5.7.1 Unfortunately, messages from [192.0.2.25] weren't sent. part of their network is on our block list (S3140). (in reply to MAIL FROM command))", i)})
	}
	readLog(t, a.inputs[0].sink, strings.ReplaceAll(postfixMessages(time.Now().UTC().Add(-7*time.Hour), messages...), "127.0.0.1", "10.0.0.1"))
	if err := a.findings.look(time.Now()); err != nil {
		t.Fatal(err)
	}
	st, err := a.Status()
	if err != nil || len(st.Findings) != 1 || st.Findings[0].ID != "provider_blocks" || st.Findings[0].Severity != report.Critical {
		t.Errorf("%v: %+v", err, st.Findings)
	}
}

// TestWaiting: who waits is known exactly, whatever the period, and so is who does not any more.
func TestWaiting(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := assembled(t, fmt.Sprintf(`
inputs:
  log: {type: logfile, path: %s/mail.log, parser: postfix}
outputs:
  a: {type: file, path: %s/a.jsonl}
queue: {path: %s/queue.db}
`, dir, dir, dir))
	made := func() *report.Report {
		t.Helper()
		r, err := a.report(ReportArgs{Since: time.Now().Add(-time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := made(); r.WaitingNow != nil {
		t.Errorf("before anything is read %v wait", r.WaitingNow)
	}
	var messages [][]string
	for i := range 60 {
		relay := "mta5.am0.yahoodns.net[192.0.2.4]:25"
		if i%2 == 0 {
			relay = "none"
		}
		later := fmt.Sprintf("to=<u%d@yahoo.com>, relay=%s, delay=1, delays=0/0/0/1, dsn=4.4.1, status=deferred (connect to mta5.am0.yahoodns.net[192.0.2.4]:25: Connection timed out)", i, relay)
		messages = append(messages, []string{later, later})
		if i%3 == 0 {
			messages[i] = append(messages[i], fmt.Sprintf("to=<u%d@yahoo.com>, relay=mta5.am0.yahoodns.net[192.0.2.4]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 OK)", i))
		}
	}
	begun := time.Now().UTC().Add(-50 * time.Hour)
	text := strings.ReplaceAll(postfixMessages(begun, messages...), "127.0.0.1", "10.0.0.1")
	for i := range 60 { // those who wait are in the queue
		if i%3 != 0 {
			text = removeLine(text, fmt.Sprintf(": 4F1A%02X00D0: removed", i+1))
		}
	}
	readLog(t, a.inputs[0].sink, text)
	r := made()
	if len(r.WaitingNow) != 1 || r.WaitingNow[0].Provider != "yahoo" || r.WaitingNow[0].Recipients != 40 || r.WaitingNow[0].OverADay != 40 {
		t.Errorf("%+v wait", r.WaitingNow)
	}
	if len(r.Findings) != 1 || r.Findings[0].ID != "waiting" || r.Findings[0].Count != 40 || r.Findings[0].Since.Before(begun.Add(24*time.Hour)) {
		t.Errorf("found %+v", r.Findings)
	}
	if all := a.waiting(report.OtherMail, time.Now()); len(all) != 0 {
		t.Errorf("of other mail %+v wait", all)
	}
}

func removeLine(text, with string) string {
	at := strings.Index(text, with)
	begin := strings.LastIndexByte(text[:at], '\n') + 1
	return text[:begin] + text[at+strings.IndexByte(text[at:], '\n')+1:]
}
