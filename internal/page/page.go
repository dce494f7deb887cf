// Package page is what a browser shows of the daemon: which providers accept, put off or refuse the mail, and why, how the
// daemon fares, and what a pasted line or message is. It changes nothing, runs no script and names no address but those that
// the reader pastes. All that it shows of strangers, replies and domains, is text to it, never markup nor a link.
package page

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"bouncefeed/internal/report"
	"bouncefeed/internal/text"
)

// Source is who knows what the page shows. It is asked by several requests at a time.
type Source interface {
	// Report tells of the last days, today's UTC day among them, beside as many before, each provider by the day; provider: of
	// this one only, "" of all.
	Report(ctx context.Context, days int, provider string) (*report.Report, error)
	// Daemon tells how the daemon fares; nil: none runs.
	Daemon() (*Daemon, error)
	// Explain says what a pasted text is, by its format, "" where it is to be guessed. It returns what it has when ctx ends.
	Explain(ctx context.Context, as string, pasted []byte) (*Explained, error)
	// Formats are those that Explain knows.
	Formats() []string
}

// Daemon is how it fares, in words: what is longer than a few lines is cut.
type Daemon struct {
	Version  string
	State    string // ok, warning or critical
	Since    time.Time
	Problems []string
	Inputs   []Module
	Outputs  []Module
	Used     int64 // of the queue, in bytes
	MaxSize  int64
}

// Module is an input or an output.
type Module struct {
	Name, Type string
	State      string // "up to date", "3 waiting"
	Problem    string
	Figures    string
	Last       *time.Time // when it last did something
}

//go:embed templates/*.html
var templates embed.FS

//go:embed style.css
var style []byte

//go:embed icon.svg
var icon []byte

const (
	keepFor     = 10 * time.Second // so that reloading the page does not load the queue
	explainTime = 2 * time.Second
	explainers  = 2 // at a time
)

type page struct {
	source     Source
	log        *slog.Logger
	now        func() time.Time
	patience   time.Duration // with an explanation
	views      map[string]*template.Template
	explaining chan struct{}

	mu   sync.Mutex
	kept map[question]answer
}

type question struct {
	days     int
	provider string
}

type answer struct {
	at     time.Time
	report *report.Report
}

// New makes the page. Who may see it, from which site a form may come, and what a browser must not do are its listener's to say.
func New(source Source, log *slog.Logger) http.Handler { return newPage(source, log).routes() }

func newPage(source Source, log *slog.Logger) *page {
	p := &page{source: source, log: log, now: time.Now, patience: explainTime, views: map[string]*template.Template{}, explaining: make(chan struct{}, explainers), kept: map[question]answer{}}
	for _, name := range []string{"overview", "provider", "explain", "trouble"} {
		p.views[name] = template.Must(template.New("layout.html").Funcs(words).ParseFS(templates, "templates/layout.html", "templates/parts.html", "templates/"+name+".html"))
	}
	return p
}

// Paths are what it answers for, as http.ServeMux has them.
var Paths = []string{"GET /{$}", "GET /provider/{id}", "GET /explain", "POST /explain", "GET /style.css", "GET /icon.svg"}

func (p *page) routes() http.Handler {
	mux := http.NewServeMux()
	for i, answer := range []http.HandlerFunc{p.overview, p.provider, p.ask, p.explain, file("text/css; charset=utf-8", style), file("image/svg+xml", icon)} {
		mux.Handle(Paths[i], answer)
	}
	return mux
}

// file answers with one of our own.
func file(kind string, content []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Write(content)
	}
}

// show writes a view, whole or not at all.
func (p *page) show(w http.ResponseWriter, status int, view string, data any) {
	var drawn bytes.Buffer
	if err := p.views[view].Execute(&drawn, data); err != nil {
		p.log.Warn("draw the page", "page", view, "error", err)
		http.Error(w, "the page can't be drawn", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	said := text.Harmless(drawn.String())
	w.Header().Set("Content-Length", strconv.Itoa(len(said)))
	w.WriteHeader(status)
	io.WriteString(w, said)
}

// spans are the ranges of days that can be asked for.
var spans = []int{7, 28, 90}

const usualSpan = 28

// span reads ?days=; false: it is none of those there are.
func span(r *http.Request) (days int, ok bool) {
	asked := r.URL.Query().Get("days")
	if asked == "" {
		return usualSpan, true
	}
	for _, n := range spans {
		if asked == strconv.Itoa(n) {
			return n, true
		}
	}
	return 0, false
}

// report asks the source, or gives what it said a moment ago.
func (p *page) report(ctx context.Context, q question) (*report.Report, error) {
	p.mu.Lock()
	defer p.mu.Unlock() // who asks meanwhile waits for the same answer
	if a, found := p.kept[q]; found && p.now().Sub(a.at) < keepFor {
		return a.report, nil
	}
	r, err := p.source.Report(ctx, q.days, q.provider)
	if err != nil {
		return nil, fmt.Errorf("read the statistics: %w", err)
	}
	for old, a := range p.kept {
		if p.now().Sub(a.at) >= keepFor {
			delete(p.kept, old)
		}
	}
	p.kept[q] = answer{p.now(), r}
	return r, nil
}
