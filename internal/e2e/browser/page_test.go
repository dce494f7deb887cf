// Package browser looks at the page with a real Chromium, axe-core and the W3C's checker: `make page`.
package browser

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/e2e/e2etest"
	"bouncefeed/internal/event"
	"bouncefeed/internal/page"
	"bouncefeed/internal/report"
	"bouncefeed/internal/web"
)

const (
	binaryEnv   = "BOUNCEFEED_E2E_BINARY"
	picturesEnv = "BOUNCEFEED_PAGE_PICTURES" // a directory: screenshots go there
)

// demo starts `bouncefeed demo --page` and gives where it is.
func demo(t *testing.T) string {
	t.Helper()
	binary := os.Getenv(binaryEnv)
	if binary == "" {
		e2etest.Skip(t, binaryEnv+" names no program: make page does")
	}
	cmd := exec.Command(binary, "demo", "--page")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	at := strings.LastIndex(line, "http://")
	if err != nil || at < 0 {
		t.Fatalf("the demo says %q, %v", line, err)
	}
	return strings.TrimSpace(line[at:])
}

// source is a page's with a tally of its own.
type source struct{ tally *report.Tally }

func (s source) Report(_ context.Context, days int, provider string) (*report.Report, error) {
	until := time.Now().UTC().Truncate(time.Hour).Add(time.Hour)
	since := until.Add(-time.Hour).Truncate(24*time.Hour).AddDate(0, 0, 1-days)
	return s.tally.Make(report.Options{Host: "mx1.example.net", Since: since, Until: until, Compare: since.AddDate(0, 0, -days), Provider: provider, Daily: true}), nil
}

func (source) Daemon() (*page.Daemon, error) {
	return &page.Daemon{Version: "1.0", State: "critical", Since: time.Now(), MaxSize: 1 << 30, Problems: []string{"output listmonk: " + hostile},
		Inputs:  []page.Module{{Name: "postfix", Type: "logfile", State: "12,345 bytes behind", Figures: "1 read, 1 queued"}},
		Outputs: []page.Module{{Name: "listmonk", Type: "listmonk", Problem: hostile, Figures: "0 sent"}}}, nil
}
func (source) Formats() []string { return []string{"mail", "postfix"} }
func (source) Explain(context.Context, string, []byte) (*page.Explained, error) {
	return &page.Explained{As: "postfix", Summary: "1 line", Verdicts: []page.Verdict{{Kind: "bounce", Events: []page.Judged{{
		Event: event.Event{Type: event.Soft, Reason: event.Policy, Fault: event.FaultSender, Recipient: strings.Repeat("x", 64) + "@example.org", Diagnostic: hostile}, Reported: "no",
	}}}}}, nil
}

// hostile is what a stranger's server may answer: markup, marks that turn words around, Arabic and Hebrew, one endless word.
var hostile = "554 5.7.1 </p></svg></textarea><script>document.title='taken'</script><img src=/x onerror=alert(1)> \u202Eder\u2066 " +
	"مرفوض بسبب السياسة מדיניות <a href=https://evil.example>here</a> {{.}} " + strings.Repeat("Wrong", 200)

// strangers is a tally in which everybody means ill.
func strangers() *report.Tally {
	t := report.NewTally()
	for i := range 200 {
		at := time.Now().Add(-time.Duration(i) * time.Hour)
		for n, p := range []string{"microsoft", "google", "other", "deutsche-telekom"} {
			f := report.Fact{Time: at, Stream: report.Lists, Provider: p, Domain: "\"><script>x</script>" + strings.Repeat("long-", 40) + ".example", Class: report.Ours, Reason: event.Policy, Text: hostile}
			if n == i%2 {
				f = report.Fact{Time: at, Stream: report.Lists, Provider: p, Domain: "outlook.com"}
			}
			t.Add(&f)
		}
	}
	return t
}

func serve(t *testing.T, tally *report.Tally) string {
	t.Helper()
	s := web.New(config.Web{}, slog.New(slog.DiscardHandler))
	shown := page.New(source{tally}, slog.New(slog.DiscardHandler))
	for _, path := range page.Paths {
		s.Handle(path, shown)
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return server.URL + "/"
}

// sights are what there is to see.
func sights(t *testing.T) map[string]string {
	t.Helper()
	month, ill, nobody := demo(t), serve(t, strangers()), serve(t, report.NewTally())
	return map[string]string{
		"overview": month, "week": month + "?days=7", "quarter": month + "?days=90", "provider-blocked": month + "provider/microsoft", "provider-slow": month + "provider/yahoo", "provider-quarter": month + "provider/google?days=90",
		"explain": month + "explain", "no-such": month + "provider/nobody", "hostile": ill, "hostile-provider": ill + "provider/microsoft", "empty": nobody, "empty-provider": nobody + "provider/google",
	}
}

// TestPages: in every width and in both schemes axe-core finds nothing that keeps anybody out, nothing is wider than the window,
// and nothing that a stranger has written is run or fetched.
func TestPages(t *testing.T) {
	tree := prepared(t)
	axe, err := os.ReadFile(beside(tree, axeFile))
	if err != nil {
		t.Fatal(err)
	}
	b := startChromium(t, tree).open(t)
	seen := 0
	for name, url := range sights(t) {
		for _, look := range []struct {
			name   string
			width  int
			scheme string
		}{{"light", 1280, "light"}, {"dark", 1280, "dark"}, {"phone", 320, "light"}, {"phone-dark", 390, "dark"}, {"tablet", 768, "light"}, {"forced", 1280, "forced"}} {
			b.look(look.width, 900, look.scheme, "")
			b.visit(url)
			b.picture(name + "-" + look.name)
			b.judge(name+" "+look.name, string(axe))
			seen++
		}
	}
	if !t.Failed() {
		t.Logf("axe-core found nothing in %d views", seen)
	}
}

// judge has axe-core and the window's width judge a page, also what it hides at first.
func (b *tab) judge(name, axe string) {
	b.t.Helper()
	b.run("document.querySelectorAll('details').forEach(d => d.open = true)", nil)
	var found []struct {
		ID    string `json:"id"`
		Help  string `json:"help"`
		Nodes []struct {
			HTML    string `json:"html"`
			Summary string `json:"failureSummary"`
		} `json:"nodes"`
	}
	b.run(axe+`;axe.run(document, {resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}).then(r => r.violations)`, &found)
	for _, v := range found {
		for _, n := range v.Nodes {
			b.t.Errorf("%s: %s (%s): %.300s: %s", name, v.ID, v.Help, n.HTML, n.Summary)
		}
	}
	var wide struct {
		Width, Window int
		Title         string
		Outside       []string
	}
	b.run(`({width: document.documentElement.scrollWidth, window: innerWidth, title: document.title,
		outside: [...document.querySelectorAll('main *')].filter(e => !e.closest('.wide') && !e.closest('svg') && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 100))})`, &wide)
	if wide.Width > wide.Window || len(wide.Outside) > 0 {
		b.t.Errorf("%s: it is %d wide in a window of %d: %q", name, wide.Width, wide.Window, wide.Outside)
	}
	if wide.Title == "taken" {
		b.t.Errorf("%s: a stranger's script ran", name)
	}
	for _, e := range b.errors() {
		if !strings.Contains(e, "status of 404") || !strings.Contains(name, "no-such") {
			b.t.Errorf("%s: the console says %s", name, e)
		}
	}
}

// TestKeyboard: with the tabulator and the return key alone a reader gets past the head, to another range, and an answer.
func TestKeyboard(t *testing.T) {
	tree := prepared(t)
	b := startChromium(t, tree).open(t)
	url := demo(t)
	b.look(1280, 900, "light", "")
	b.visit(url)
	on := func() (what string) {
		b.run("document.activeElement.innerText || document.activeElement.name || document.activeElement.tagName", &what)
		return what
	}
	var order []string
	to := func(what string) {
		t.Helper()
		for range 60 {
			b.key("Tab", 9)
			got := on()
			order = append(order, got)
			if got == what {
				return
			}
		}
		t.Fatalf("the tabulator does not lead to %q, but to %q", what, order)
	}
	to("Skip to the content")
	to("7 days")
	b.during(func() { b.key("Enter", 13) })
	var at string
	if b.run("location.search", &at); at != "?days=7" {
		t.Errorf("the range led to %q", at)
	}
	to("text")
	b.do("Input.insertText", args{"text": "550 5.1.1 <jo@example.org>: user unknown"})
	to("Explain")
	b.during(func() { b.key("Enter", 13) })
	var said string
	if b.run("document.querySelector('.answers').innerText", &said); !strings.Contains(said, "user_unknown") || !strings.Contains(said, "jo@example.org") {
		t.Errorf("the answer is %q", said)
	}
	axe, err := os.ReadFile(beside(tree, axeFile))
	if err != nil {
		t.Fatal(err)
	}
	b.picture("answer-light")
	b.judge("answer", string(axe))
	b.look(320, 700, "dark", "")
	b.picture("answer-phone-dark")
	b.judge("answer phone", string(axe))
}

// TestPrint: on paper there are neither forms nor links to other pages.
func TestPrint(t *testing.T) {
	b := startChromium(t, prepared(t)).open(t)
	b.look(794, 1123, "dark", "print")
	b.visit(demo(t))
	var left []string
	b.run("[...document.querySelectorAll('nav, form, .skip')].filter(e => e.getClientRects().length > 0).map(e => e.tagName)", &left)
	if len(left) > 0 {
		t.Errorf("printed: %q", left)
	}
	var background string
	if b.run("getComputedStyle(document.body).backgroundColor", &background); background != "rgb(255, 255, 255)" {
		t.Errorf("the paper is %s", background)
	}
	b.picture("print")
	var pdf struct {
		Data []byte `json:"data"`
	}
	if err := b.ask(b.session, "Page.printToPDF", args{"preferCSSPageSize": true, "printBackground": false}, &pdf); err != nil || len(pdf.Data) < 10_000 {
		t.Errorf("%d bytes of PDF, %v", len(pdf.Data), err)
	}
	if dir := os.Getenv(picturesEnv); dir != "" {
		os.WriteFile(dir+"/print.pdf", pdf.Data, 0o644)
	}
}

// TestValid: the W3C's checker has nothing to say of any page, nor of the style sheet.
func TestValid(t *testing.T) {
	tree := prepared(t)
	files := map[string]string{}
	for name, url := range sights(t) {
		files[name+".html"] = fetch(t, url)
		if name == "overview" {
			files["style.css"] = fetch(t, url+"style.css")
		}
	}
	if said := check(t, tree, files); said != "" {
		t.Error(said)
	} else {
		t.Logf("%d files are valid", len(files))
	}
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if policy := answer.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") {
		t.Errorf("%s has the policy %q", url, policy)
	}
	return string(text)
}
