package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"bouncefeed/internal/agent"
)

// progress tells how a long reading goes: one line that changes on a terminal, JSON lines if asked
// for, nothing otherwise.
type progress struct {
	w              io.Writer // standard error
	json, terminal bool
	started, said  time.Time
	total          int64            // bytes of all files as they lie on disk
	sizes          map[string]int64 // of each
	done           int64            // bytes of the files before the one being read
	file           string
}

func newProgress(w io.Writer, files []string, asJSON bool) *progress {
	p := &progress{w: w, json: asJSON, terminal: isTerminal(w), started: time.Now(), sizes: map[string]int64{}}
	for _, f := range files {
		if st, err := os.Stat(f); err == nil {
			p.sizes[f] = st.Size()
			p.total += st.Size()
		}
	}
	return p
}

func (p *progress) show(file string, at agent.Spot, sum *agent.BackfillSummary) {
	if file != p.file {
		p.done += p.sizes[p.file]
		p.file = file
	}
	now := time.Now()
	if !p.json && !p.terminal || now.Sub(p.said) < time.Second/5 {
		return
	}
	p.said = now
	read, took := p.done+at.Read, now.Sub(p.started)
	rate := float64(read) / took.Seconds()
	remaining := time.Duration(float64(p.total-read) / rate * float64(time.Second)).Round(time.Second)
	if p.json {
		json.NewEncoder(p.w).Encode(map[string]any{"progress": "reading", "file": file, "bytes_read": read, "bytes": p.total, "bytes_per_second": int64(rate),
			"seconds_remaining": int64(remaining.Seconds()), "queued": sum.Queued})
		return
	}
	percent := 0.0
	if p.total > 0 {
		percent = 100 * float64(read) / float64(p.total)
	}
	fmt.Fprintf(p.w, "\r\x1b[K[%s] %.1f %%  %.1f MiB/s, %s left, %d found  %s", took.Round(time.Second), percent, rate/(1<<20), remaining, sum.Queued, short(clean(file), 40))
}

func (p *progress) end() {
	if p.terminal && !p.json && !p.said.IsZero() {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
