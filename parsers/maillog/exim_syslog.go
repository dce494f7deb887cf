package maillog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"bouncefeed/internal/event"
)

// Through syslog, Exim parts a line that is long, and one that holds a newline:
//
//	exim[15546]: [1/2] 2026-11-22 07:00:18 1xV1Yi-00042t-2X ** jo@example.net …
//	exim[15546]: [2/2] … the rest
//
// Between the parts stand lines of other processes.

// An eximPart is what came of such a line so far.
type eximPart struct {
	process     string // host and pid
	have, total int
	seen        int64 // Unix microseconds of the first part
	text        []byte
}

// eximJoins are the lines of which parts are still to come, the oldest first.
type eximJoins struct {
	open    []*eximPart
	changed map[string]bool // processes, since the last Changes
}

const (
	eximMaxJoins     = 64
	eximMaxJoined    = 16 << 10 // bytes; Exim itself writes no more than 8 KiB
	eximJoinPatience = time.Minute
	eximJoinKey      = "j" // before the process, as stored
)

// readSyslog reads one record of syslog: a line or a part of one. What a process has begun and not ended is read as it
// is once the process says something else, or after a while.
func (x *exim) readSyslog(l *syslogLine, read time.Time, emit func(event.Event)) error {
	number, total, newline, words := eximPartNumber(l.message)
	if total == 0 && len(x.joins.open) == 0 {
		return x.read(l, read, emit)
	}
	now, ok := x.clock.time(l, read)
	if !ok {
		return nil
	}
	j, process := &x.joins, string(l.host)+" "+string(l.pid)
	var errs []error
	for len(j.open) > 0 && j.open[0].seen < now.Add(-eximJoinPatience).UnixMicro() {
		errs = append(errs, x.flush(0, l, read, emit))
	}
	at := j.find(process)
	if at >= 0 && (number != j.open[at].have+1 || total != j.open[at].total) {
		errs = append(errs, x.flush(at, l, read, emit))
		at = -1
	}
	if total == 0 {
		return errors.Join(append(errs, x.read(l, read, emit))...)
	}
	if at < 0 {
		if len(j.open) == eximMaxJoins {
			errs = append(errs, x.flush(0, l, read, emit))
		}
		at = len(j.open)
		j.open = append(j.open, &eximPart{process: process, total: total, seen: now.UnixMicro()})
	}
	p := j.open[at]
	p.have = number
	p.text = append(p.text, words[:min(len(words), eximMaxJoined-len(p.text))]...)
	if newline && len(p.text) < eximMaxJoined {
		p.text = append(p.text, ' ')
	}
	j.markChanged(process)
	if number == total {
		errs = append(errs, x.flush(at, l, read, emit))
	}
	return errors.Join(errs...)
}

// flush reads what there is of a line, at the time of l.
func (x *exim) flush(at int, l *syslogLine, read time.Time, emit func(event.Event)) error {
	p := x.joins.open[at]
	x.joins.open = append(x.joins.open[:at], x.joins.open[at+1:]...)
	x.joins.markChanged(p.process)
	whole := *l
	host, _, _ := strings.Cut(p.process, " ")
	whole.host, whole.message = []byte(host), p.text
	return x.read(&whole, read, emit)
}

func (j *eximJoins) find(process string) int {
	for i, p := range j.open {
		if p.process == process {
			return i
		}
	}
	return -1
}

func (j *eximJoins) markChanged(process string) {
	if j.changed == nil {
		j.changed = map[string]bool{}
	}
	j.changed[process] = true
}

// eximPartNumber reads "[1/2] …", or "[1\2] …" where a newline comes next; total 0: the line is whole.
func eximPartNumber(b []byte) (number, total int, newline bool, words []byte) {
	if len(b) == 0 || b[0] != '[' {
		return 0, 0, false, nil
	}
	end := bytes.Index(b[:min(len(b), 12)], []byte("] "))
	mid := bytes.IndexAny(b[:max(end, 0)], `/\`)
	if mid < 0 {
		return 0, 0, false, nil
	}
	number, total = decimal(b[1:mid]), decimal(b[mid+1:end])
	if number < 1 || total < number {
		return 0, 0, false, nil
	}
	return number, total, b[mid] == '\\', b[end+2:]
}

// Changes implements Stateful.
func (x *exim) Changes() map[string][]byte {
	changes := x.tracker.Changes()
	for process := range x.joins.changed {
		changes[eximJoinKey+process] = nil
		if at := x.joins.find(process); at >= 0 {
			p := x.joins.open[at]
			b := binary.AppendVarint(nil, p.seen)
			b = binary.AppendUvarint(b, uint64(p.have))
			b = binary.AppendUvarint(b, uint64(p.total))
			changes[eximJoinKey+process] = appendStrings(b, string(p.text))
		}
	}
	clear(x.joins.changed)
	return changes
}

// Load implements Stateful.
func (x *exim) Load(state iter.Seq2[string, []byte]) error {
	x.joins = eximJoins{}
	var failed error
	err := x.tracker.Load(func(yield func(string, []byte) bool) {
		for key, value := range state {
			process, ok := strings.CutPrefix(key, eximJoinKey)
			switch {
			case ok:
				r := stateReader{b: value}
				p := &eximPart{process: process, seen: r.int(), have: int(r.uint()), total: int(r.uint()), text: []byte(r.string())}
				if r.bad || len(r.b) > 0 {
					failed = fmt.Errorf("read the parts of a line of %s: the stored value is damaged", process)
					return
				}
				x.joins.insert(p)
			case !yield(key, value):
				return
			}
		}
	})
	return errors.Join(failed, err)
}

// insert keeps the oldest first.
func (j *eximJoins) insert(p *eximPart) {
	at := len(j.open)
	for at > 0 && (j.open[at-1].seen > p.seen || j.open[at-1].seen == p.seen && j.open[at-1].process > p.process) {
		at--
	}
	j.open = append(j.open[:at], append([]*eximPart{p}, j.open[at:]...)...)
}
