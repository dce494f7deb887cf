package metrics

import (
	"testing"
	"time"
)

func TestPage(t *testing.T) {
	t.Parallel()
	h := NewHistogram("x_took_seconds", "How long.", []float64{0.1, 1}, "output")
	of := h.Of(`a "b"`)
	of(50 * time.Millisecond)
	of(time.Second / 2)
	of(time.Minute)
	at := time.Unix(1795337462, 5)
	var p Page
	p.Counter("x_total", "Lines\nand \\.", "why", "of")
	p.Add(1, "\"\\\n", "\xffö\x00")
	p.Add(1<<63, "", "")
	p.Gauge("x", "None.")
	p.AddTime(&at)
	p.AddTime(nil)
	p.AddTruth(true)
	p.AddTruth(false)
	p.Histogram(h)
	const want = `# HELP x_total Lines\nand \\.
# TYPE x_total counter
x_total{why="\"\\\n",of="` + "\uFFFD" + `ö` + "\x00" + `"} 1
x_total{why="",of=""} 9223372036854775808
# HELP x None.
# TYPE x gauge
x 1795337462
x 0
x 1
x 0
# HELP x_took_seconds How long.
# TYPE x_took_seconds histogram
x_took_seconds_bucket{output="a \"b\"",le="0.1"} 1
x_took_seconds_bucket{output="a \"b\"",le="1"} 2
x_took_seconds_bucket{output="a \"b\"",le="+Inf"} 3
x_took_seconds_sum{output="a \"b\""} 60.55
x_took_seconds_count{output="a \"b\""} 3
`
	if got := string(p.Bytes()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
