// Package metrics writes what Prometheus reads: its text format, version 0.0.4
// (https://prometheus.io/docs/instrumenting/exposition_formats/).
package metrics

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// ContentType is of what a Page holds. Prometheus 3 takes nothing that does not say it.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Page is what is told at a scrape, one family after the other: each begins with Gauge, Counter or Histogram.
type Page struct {
	text   bytes.Buffer
	family string
	labels []string
	write  func(name string, value uint64)
}

// Gauge begins a family of values that go up and down.
func (p *Page) Gauge(name, help string, labels ...string) {
	p.begin("gauge", name, help, labels)
	p.write = func(name string, value uint64) { metrics.WriteGaugeUint64(&p.text, name, value) }
}

// Counter begins a family of values that only rise. Its name ends in _total.
func (p *Page) Counter(name, help string, labels ...string) {
	p.begin("counter", name, help, labels)
	p.write = func(name string, value uint64) { metrics.WriteCounterUint64(&p.text, name, value) }
}

// begin says what the library does not: what a family is about.
func (p *Page) begin(kind, name, help string, labels []string) {
	p.family, p.labels = name, labels
	fmt.Fprintf(&p.text, "# HELP %s %s\n# TYPE %[1]s %[3]s\n", name, helpText.Replace(help), kind)
}

// Add tells one value of the family; values are those of its labels.
func (p *Page) Add(value uint64, values ...string) {
	p.write(series(p.family, p.labels, values), value)
}

// AddTime tells when that was, in seconds of Unix time; 0: never.
func (p *Page) AddTime(at *time.Time, values ...string) {
	if at == nil {
		p.Add(0, values...)
		return
	}
	p.Add(uint64(max(0, at.Unix())), values...)
}

// AddTruth tells 1 or 0.
func (p *Page) AddTruth(is bool, values ...string) {
	if is {
		p.Add(1, values...)
		return
	}
	p.Add(0, values...)
}

// Histogram tells a whole family.
func (p *Page) Histogram(h *Histogram) {
	p.begin("histogram", h.name, h.help, h.labels)
	h.set.WritePrometheus(&p.text)
}

// Bytes is the page.
func (p *Page) Bytes() []byte { return p.text.Bytes() }

var (
	helpText   = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	labelValue = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
)

// series is the family's name with labels.
func series(family string, labels, values []string) string {
	if len(labels) == 0 {
		return family
	}
	var b strings.Builder
	b.WriteString(family)
	for i, label := range labels {
		b.WriteByte("{,"[min(i, 1)])
		fmt.Fprintf(&b, `%s="%s"`, label, labelValue.Replace(strings.ToValidUTF8(values[i], "\uFFFD")))
	}
	b.WriteByte('}')
	return b.String()
}

// Histogram counts how long something took.
type Histogram struct {
	name, help string
	labels     []string
	bounds     []float64
	set        *metrics.Set
}

// NewHistogram counts by upper bounds, in seconds. Its name ends in _seconds.
func NewHistogram(name, help string, bounds []float64, labels ...string) *Histogram {
	return &Histogram{name, help, labels, bounds, metrics.NewSet()}
}

// Of counts for these values of the labels, from 0.
func (h *Histogram) Of(values ...string) func(took time.Duration) {
	one := h.set.GetOrCreatePrometheusHistogramExt(series(h.name, h.labels, values), h.bounds)
	return func(took time.Duration) { one.Update(took.Seconds()) }
}
