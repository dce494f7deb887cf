package page

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"bouncefeed/internal/event"
	"bouncefeed/internal/report"
)

var now = time.Date(2026, 11, 29, 17, 30, 0, 0, time.UTC)

// fake is a Source with a tally of its own.
type fake struct {
	tally   *report.Tally
	daemon  *Daemon
	asked   int
	err     error
	explain func(ctx context.Context, as string, pasted []byte) (*Explained, error)
}

func (f *fake) Report(_ context.Context, days int, provider string) (*report.Report, error) {
	f.asked++
	since := now.Truncate(24*time.Hour).AddDate(0, 0, 1-days)
	return f.tally.Make(report.Options{Host: "mx1.example.net", Since: since, Until: now.Truncate(time.Hour).Add(time.Hour), Compare: since.AddDate(0, 0, -days), Provider: provider, Daily: true}), f.err
}

func (f *fake) Daemon() (*Daemon, error) { return f.daemon, nil }
func (f *fake) Formats() []string        { return []string{"mail", "postfix", "reply"} }

func (f *fake) Explain(ctx context.Context, as string, pasted []byte) (*Explained, error) {
	return f.explain(ctx, as, pasted)
}

const (
	markup   = `550 5.7.1 </p></svg><script>alert(1)</script><img src=x onerror=alert(2)> "' refused for jo@example.org`
	backward = "550 5.7.1 \u202Eevil\u202C \u2067\u200F blocked \x1b[31m by zen.spamhaus.org"
)

// story is four weeks of which the last has a block at Microsoft, a slow Yahoo and what strangers say.
func story() *report.Tally {
	t := report.NewTally()
	add := func(f report.Fact, n int) {
		for range n {
			f.Stream = report.Lists
			t.Add(&f)
		}
	}
	for ago := range 56 {
		at := now.AddDate(0, 0, -ago).Truncate(24 * time.Hour).Add(8 * time.Hour)
		add(report.Fact{Time: at, Provider: "google", Domain: "gmail.com"}, 60)
		add(report.Fact{Time: at, Provider: "yahoo", Domain: "yahoo.com"}, 30)
		add(report.Fact{Time: at, Provider: "google", Domain: "gmail.com", Class: report.Hard, Reason: event.UserUnknown, Recipient: "jo@gmail.com", Code: 550, Status: "5.1.1", Text: "550 5.1.1 jo@gmail.com: no such user"}, 2)
		if ago < 7 {
			add(report.Fact{Time: at, Provider: "microsoft", Domain: "hotmail.com", Class: report.Ours, Reason: event.Blocklisted, Recipient: "jo@hotmail.com", Code: 550, Status: "5.7.1", Text: "550 5.7.1 Unfortunately, messages from [192.0.2.25] weren't sent (S3140)."}, 20)
			add(report.Fact{Time: at, Provider: "yahoo", Domain: "yahoo.com", Class: report.PutOff, Reason: event.RateLimited, Text: "421 4.7.0 [TSS04] " + strings.Repeat("X", 4096)}, 20)
			add(report.Fact{Time: at, Provider: "yahoo", Domain: "yahoo.com", PutOff: true, Delay: time.Hour}, 15)
			add(report.Fact{Time: at, Provider: "other", Domain: "\"><script>alert(3)</script>.example", Class: report.Ours, Reason: event.Policy, Recipient: "jo@example.org", Text: markup}, 1)
			add(report.Fact{Time: at, Provider: "other", Domain: "two.example", Class: report.Ours, Reason: event.Blocklisted, Text: backward}, 2)
			add(report.Fact{Time: at, Provider: "other", Domain: "three.example", Class: report.Ours, Reason: event.Blocklisted, Text: backward}, 2)
			add(report.Fact{Time: at, Provider: "other", Domain: "gamil.com", Class: report.Hard, Reason: event.DomainUnknown}, 1)
		}
		add(report.Fact{Time: at, Provider: "microsoft", Domain: "hotmail.com"}, 30)
		add(report.Fact{Time: at, Provider: "microsoft", Domain: "outlook.com"}, ago/50)
	}
	return t
}

func busy() *fake {
	last := now.Add(-time.Minute)
	return &fake{tally: story(), daemon: &Daemon{
		Version: "1.2", State: "warning", Since: now.Add(-48 * time.Hour), Problems: []string{"output listmonk: \x1b]0;x\x07 <b>503</b>"},
		Inputs:  []Module{{Name: "postfix", Type: "logfile", State: "up to date", Figures: "12 read, 2 queued", Last: &last}},
		Outputs: []Module{{Name: "listmonk", Type: "listmonk", Problem: "503 <script>", Figures: "2 sent"}}, Used: 3 << 20, MaxSize: 1 << 30,
	}, explain: func(_ context.Context, as string, pasted []byte) (*Explained, error) {
		return &Explained{As: "postfix", Summary: "2 lines", Notes: []string{"<i>note"}, Verdicts: []Verdict{
			{Place: "line 1", Kind: "delivered", Means: "a message that arrived"},
			{Place: "line 2", Kind: "bounce", Events: []Judged{{event.Event{Type: event.Hard, Reason: event.UserUnknown, Fault: event.FaultRecipient, Recipient: "jo@example.org", Code: 550, Diagnostic: markup}, "yes, as hard"}}},
		}}, nil
	}}
}

func ask(t *testing.T, h http.Handler, r *http.Request) (int, string, *html.Node) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	body := w.Body.String()
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, body, doc
}

func get(t *testing.T, h http.Handler, path string) (int, string, *html.Node) {
	t.Helper()
	return ask(t, h, httptest.NewRequest("GET", path, nil))
}

func post(as, text string) *http.Request {
	r := httptest.NewRequest("POST", "/explain", strings.NewReader("as="+as+"&text="+text))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
