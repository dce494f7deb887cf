package page

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"bouncefeed/internal/event"
	"bouncefeed/internal/report"
)

// pages are all that there are, with what of each is said somewhere.
func pages(t *testing.T) map[string]*html.Node {
	t.Helper()
	h, empty := New(busy(), quiet()), New(&fake{tally: report.NewTally()}, quiet())
	all := map[string]*html.Node{}
	for _, path := range []string{"/", "/?days=7", "/?days=90", "/provider/microsoft", "/provider/yahoo?days=7", "/provider/other?days=90", "/provider/mimecast", "/explain", "/provider/nobody", "/?days=3"} {
		_, _, all[path] = get(t, h, path)
	}
	for _, path := range []string{"/", "/provider/google"} {
		_, _, all["empty "+path] = get(t, empty, path)
	}
	_, _, all["answer"] = ask(t, h, post("", "x"))
	_, _, all["nothing pasted"] = ask(t, h, post("", ""))
	return all
}

func attr(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

func said(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
			b.WriteByte(' ')
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// TestEveryPage holds what a reader without a mouse or eyes needs, and that nothing runs and nothing leads anywhere but to the
// advice's links, whatever strangers say.
func TestEveryPage(t *testing.T) {
	t.Parallel()
	for name, doc := range pages(t) {
		i := inspection{t: t, name: name, ids: map[string]bool{}, labelled: map[string]bool{}}
		for n := range doc.Descendants() {
			if n.Type == html.ElementNode {
				i.attributes(n)
				i.element(n)
			}
		}
		for _, id := range i.fields {
			if !i.labelled[id] {
				t.Errorf("%s: nothing labels the field %q", name, id)
			}
		}
		for _, id := range i.refers {
			if !i.ids[id] {
				t.Errorf("%s: nothing is called %q", name, id)
			}
		}
		if i.h1 != 1 {
			t.Errorf("%s: %d headings of the first level", name, i.h1)
		}
	}
}

// inspection is of one page.
type inspection struct {
	t              *testing.T
	name           string
	ids, labelled  map[string]bool
	fields, refers []string
	h1, level      int
}

var elements = strings.Fields("html head meta title link body a header div svg path span nav main h1 h2 h3 p ul ol li section b blockquote details summary dl dt dd " +
	"defs pattern circle rect desc table thead tbody tr th td form label textarea input select option button footer bdi code")

func (i *inspection) attributes(n *html.Node) {
	for _, a := range n.Attr {
		if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "srcdoc" {
			i.t.Errorf("%s: <%s %s=%q>", i.name, n.Data, a.Key, a.Val)
		}
		switch a.Key {
		case "id":
			if i.ids[a.Val] {
				i.t.Errorf("%s: two of id %q", i.name, a.Val)
			}
			i.ids[a.Val] = true
		case "aria-labelledby":
			i.refers = append(i.refers, strings.Fields(a.Val)...)
		case "for":
			i.labelled[a.Val] = true
		}
	}
}

func (i *inspection) element(n *html.Node) {
	if !slices.Contains(elements, n.Data) {
		i.t.Errorf("%s: an element <%s>", i.name, n.Data)
	}
	switch n.Data {
	case "h1", "h2", "h3":
		now := int(n.Data[1] - '0')
		if now == 1 {
			i.h1++
		}
		if now > i.level+1 {
			i.t.Errorf("%s: <%s> after a heading of level %d: %s", i.name, n.Data, i.level, said(n))
		}
		i.level = now
	case "a":
		to, _ := attr(n, "href")
		rel, _ := attr(n, "rel")
		if !strings.HasPrefix(to, "/") && to != "#main" && (!strings.HasPrefix(to, "https://") || rel != "noreferrer noopener") {
			i.t.Errorf("%s: a link to %q, rel %q", i.name, to, rel)
		}
	case "svg":
		hidden, _ := attr(n, "aria-hidden")
		role, _ := attr(n, "role")
		if list, _ := attr(n.Parent.Parent, "aria-hidden"); hidden != "true" && role != "img" && list != "true" {
			i.t.Errorf("%s: a picture that is neither named nor hidden", i.name)
		}
	case "textarea", "select", "input":
		id, _ := attr(n, "id")
		i.fields = append(i.fields, id)
	case "th":
		if scope, _ := attr(n, "scope"); scope != "col" && scope != "row" {
			i.t.Errorf("%s: a heading of a table without a scope: %s", i.name, said(n))
		}
	}
}

// TestNoAddress: none is on a page but those that its reader has pasted, nor what steers a terminal or turns words around.
func TestNoAddress(t *testing.T) {
	t.Parallel()
	for name, doc := range pages(t) {
		text := said(doc)
		if strings.ContainsFunc(text, func(r rune) bool {
			return r < ' ' || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200f
		}) {
			t.Errorf("%s: what can't be seen", name)
		}
		if name != "answer" && (strings.Contains(text, "jo@") || strings.Contains(text, "jo ")) {
			t.Errorf("%s: names somebody: %s", name, text)
		}
	}
}

// TestOverview: what is found comes first, in words, and the figures are the report's.
func TestOverview(t *testing.T) {
	t.Parallel()
	_, body, doc := get(t, New(busy(), quiet()), "/")
	text := said(doc)
	for _, want := range []string{
		"critical Microsoft refuses us: blocklisted", "What to do: This is Microsoft's own list", "messages from [192.0.2.25] weren't sent",
		"Yahoo puts us off: rate_limited", "7 recipients at gamil.com: is gmail.com meant?", "microsoft 140", "our address or domain is on a blocklist",
		"output listmonk: ?]0;x? <b>503</b>", "postfix logfile up to date 12 read, 2 queued", "problem 503 <script>", "queue 3.0 MiB of 1.0 GiB",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if strings.Index(text, "Findings") > strings.Index(text, "Days") {
		t.Error("the findings do not come first")
	}
	if len(body) > 150<<10 {
		t.Errorf("the page has %d bytes", len(body))
	}
}

func TestEmpty(t *testing.T) {
	t.Parallel()
	h := New(&fake{tally: report.NewTally()}, quiet())
	if status, _, doc := get(t, h, "/"); status != http.StatusOK || !strings.Contains(said(doc), "Nothing yet") || strings.Contains(said(doc), "NaN") {
		t.Errorf("%d %s", status, said(doc))
	}
	if status, _, doc := get(t, h, "/provider/google"); status != http.StatusOK || !strings.Contains(said(doc), "No mail to this provider") {
		t.Errorf("%d %s", status, said(doc))
	}
}

// TestProvider: domains with few recipients stand together, for they could be somebody.
func TestProvider(t *testing.T) {
	t.Parallel()
	_, _, doc := get(t, New(busy(), quiet()), "/provider/microsoft?days=90")
	text := said(doc)
	for _, want := range []string{"hotmail.com 1,820", "outlook.com 6", "blocklisted", "What it said"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q: %s", want, text)
		}
	}
	f := busy()
	f.tally = report.NewTally()
	for i := range 4 {
		f.tally.Add(&report.Fact{Stream: report.Lists, Time: now.Add(-time.Hour), Provider: "microsoft", Domain: []string{"outlook.com", "live.com"}[i%2]})
	}
	_, _, doc = get(t, New(f, quiet()), "/provider/microsoft")
	if text := said(doc); strings.Contains(text, "outlook.com") || !strings.Contains(text, "2 others 4") {
		t.Errorf("domains of few recipients are named: %s", text)
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	h := New(busy(), quiet())
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/", 200}, {"HEAD", "/", 200}, {"POST", "/", 405}, {"GET", "/index.html", 404}, {"GET", "/?days=28", 200}, {"GET", "/?days=29", 404}, {"GET", "/?days=07", 404},
		{"GET", "/provider/google", 200}, {"GET", "/provider/", 404}, {"GET", "/provider/..%2f", 404}, {"GET", "/provider/x", 404}, {"GET", "/provider/google?days=1000", 404},
		{"GET", "/explain", 200}, {"PUT", "/explain", 405}, {"GET", "/style.css", 200}, {"DELETE", "/style.css", 405},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		if w.Code != c.want {
			t.Errorf("%s %s: %d, not %d", c.method, c.path, w.Code, c.want)
		}
	}
}

// TestKept: reloading the page does not read the statistics again, and a failure is not kept.
func TestKept(t *testing.T) {
	t.Parallel()
	f := busy()
	f.err = errors.New("disk full")
	at := now
	h := newPage(f, quiet())
	h.now = func() time.Time { return at }
	if status, _, doc := get(t, h.routes(), "/"); status != http.StatusServiceUnavailable || strings.Contains(said(doc), "disk full") {
		t.Errorf("%d %s", status, said(doc))
	}
	f.err = nil
	for _, c := range []struct {
		after time.Duration
		path  string
		asked int
	}{{0, "/", 2}, {keepFor - 1, "/", 2}, {0, "/?days=7", 3}, {0, "/provider/google", 4}, {1, "/", 5}, {0, "/", 5}} {
		at = at.Add(c.after)
		if get(t, h.routes(), c.path); f.asked != c.asked {
			t.Fatalf("%s: asked %d times, not %d", c.path, f.asked, c.asked)
		}
	}
	if len(h.kept) > 3 {
		t.Errorf("%d reports are kept", len(h.kept))
	}
}

func TestEveryReasonHasItsMeaning(t *testing.T) {
	t.Parallel()
	for _, r := range event.Reasons() {
		if means[r] == "" {
			t.Errorf("%s means nothing", r)
		}
	}
	if len(means) != len(event.Reasons()) {
		t.Error("something that is no reason means something")
	}
}

// BenchmarkOverview draws the first page, with the statistics read anew and without.
func BenchmarkOverview(b *testing.B) {
	for name, keep := range map[string]bool{"anew": false, "kept": true} {
		b.Run(name, func(b *testing.B) {
			p := newPage(busy(), quiet())
			var body int
			for b.Loop() {
				if !keep {
					clear(p.kept)
				}
				w := httptest.NewRecorder()
				p.overview(w, httptest.NewRequest("GET", "/", nil))
				body = w.Body.Len()
			}
			b.ReportMetric(float64(body), "bytes/page")
		})
	}
}
