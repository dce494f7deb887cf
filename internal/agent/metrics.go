package agent

import (
	"errors"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"time"

	"bouncefeed/internal/metrics"
	"bouncefeed/internal/queue"
	"bouncefeed/internal/report"
	"bouncefeed/outputs"
)

// measured is what is counted for monitoring alone, since the start.
type measured struct {
	commits  *metrics.Histogram
	requests *metrics.Histogram
	waiting  *waitingLook
}

func newMeasured() measured {
	return measured{
		commits: metrics.NewHistogram("bouncefeed_queue_commit_duration_seconds", "How long a transaction took until it was on disk.",
			[]float64{.001, .005, .01, .05, .1, .5, 1, 5}),
		requests: metrics.NewHistogram("bouncefeed_output_request_duration_seconds", "How long an attempt to send took until it was answered, or given up.",
			[]float64{.05, .1, .25, .5, 1, 2.5, 5, 10}, "output"),
		waiting: &waitingLook{},
	}
}

// requestCodes are what may come of an attempt to send: taken, an HTTP answer of that class, or no answer at all.
var requestCodes = []string{"ok", "3xx", "4xx", "5xx", "error"}

func requestCode(err error) string {
	if err == nil {
		return "ok"
	}
	if answer, ok := errors.AsType[*outputs.AnswerError](err); ok {
		if code := string(rune('0'+answer.Status/100)) + "xx"; slices.Contains(requestCodes, code) {
			return code
		}
	}
	return "error"
}

// processBegan is when this process did: more than one Agent may run in it.
var processBegan = time.Now()

// NoMetrics is what there is to tell of a daemon that does not run.
func NoMetrics() string {
	var p metrics.Page
	tellUp(&p, false)
	return string(p.Bytes())
}

func tellUp(p *metrics.Page, up bool) {
	p.Gauge("bouncefeed_up", "Whether the daemon answers.")
	p.AddTruth(up)
}

// Metrics are the daemon's state for Prometheus. Labels are names from the configuration and words of our own, of which
// there are only so many: nothing that is written in a log, a mail or a request.
func (a *Agent) Metrics() ([]byte, error) {
	st, err := a.Status()
	if err != nil {
		return nil, err
	}
	p := &metrics.Page{}
	tellUp(p, true)
	p.Gauge("bouncefeed_build_info", "The version that runs.", "version", "goversion")
	p.Add(1, st.Version, runtime.Version())
	p.Gauge("process_start_time_seconds", "When the process began.")
	p.AddTime(&processBegan)
	p.Gauge("bouncefeed_ready", "Whether the sources are open and the queue takes what comes.")
	p.AddTruth(a.readyWith(&st) == nil)
	p.Gauge("bouncefeed_problems", "Problems that 'bouncefeed status' tells.")
	p.Add(uint64(len(st.Problems)))
	tellInputs(p, st.Inputs)
	a.tellOutputs(p, &st)
	p.Gauge("bouncefeed_queue_used_bytes", "Bytes of the queue in use.")
	p.Add(uint64(st.Queue.Used))
	p.Gauge("bouncefeed_queue_limit_bytes", "Bytes that the queue may use; 0: no limit.")
	p.Add(uint64(st.Queue.MaxSize))
	p.Gauge("bouncefeed_queue_file_bytes", "Size of the queue's file.")
	p.Add(uint64(st.Queue.FileSize))
	p.Gauge("bouncefeed_held_events", "Events held until somebody releases or drops them, or a log tells of them.")
	p.Add(st.Queue.Held)
	p.Histogram(a.measured.commits)
	a.figures.tell(p)
	a.figures.tellWaiting(p, a.measured.waiting.look(a.waiting))
	a.figures.tellFindings(p, st.Findings)
	return p.Bytes(), nil
}

// waitingFor is how long is told again who waits: to look takes going over all of them.
const waitingFor = time.Minute

// waitingLook remembers who waits, as it was a moment ago.
type waitingLook struct {
	mu   sync.Mutex
	at   time.Time
	last []report.Waiting // nil: not known
}

func (l *waitingLook) look(ask func(report.Stream, time.Time) []report.Waiting) []report.Waiting {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); l.last == nil || now.Sub(l.at) > waitingFor {
		l.at, l.last = now, ask(report.AllStreams, now)
	}
	return l.last
}

func (a *Agent) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	text, err := a.Metrics()
	if err != nil {
		http.Error(w, "'bouncefeed status' says why", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", metrics.ContentType)
	w.Write(text)
}

func tellInputs(p *metrics.Page, all []InputStatus) {
	each := func(tell func(in *InputStatus)) {
		for i := range all {
			tell(&all[i])
		}
	}
	p.Gauge("bouncefeed_input_up", "Whether the input reads.", "input")
	each(func(in *InputStatus) { p.AddTruth(in.Problem == "", in.Name) })
	p.Gauge("bouncefeed_input_lag_bytes", "What the source holds unread.", "input")
	each(func(in *InputStatus) {
		if in.Lag >= 0 && in.LagUnit == "bytes" {
			p.Add(uint64(in.Lag), in.Name)
		}
	})
	p.Gauge("bouncefeed_input_lag_records", "What the source holds unread: messages, entries.", "input")
	each(func(in *InputStatus) {
		if in.Lag >= 0 && in.LagUnit != "bytes" {
			p.Add(uint64(in.Lag), in.Name)
		}
	})
	p.Gauge("bouncefeed_input_last_commit_timestamp_seconds", "When the input last put something on disk; 0: not since the start.", "input")
	each(func(in *InputStatus) { p.AddTime(in.LastCommit, in.Name) })
	p.Counter("bouncefeed_input_records_total", "What was read, by what became of it.", "input", "result")
	each(func(in *InputStatus) {
		p.Add(in.Queued, in.Name, "queued")
		p.Add(in.Held, in.Name, "held")
		p.Add(sum(in.Ignored), in.Name, "ignored")
		p.Add(sum(in.Refused), in.Name, "refused")
	})
	p.Counter("bouncefeed_input_ignored_total", "What was ignored, by why ('bouncefeed words').", "input", "why")
	each(func(in *InputStatus) { tellWords(p, in.Name, in.Ignored, false) })
	p.Counter("bouncefeed_input_refused_total", "What was refused, by why ('bouncefeed words').", "input", "why")
	each(func(in *InputStatus) { tellWords(p, in.Name, in.Refused, true) })
	p.Counter("bouncefeed_input_gaps_total", "Times that history was missing.", "input")
	each(func(in *InputStatus) { p.Add(in.Gaps, in.Name) })
}

// tellWords tells counts by Words; what is none of them, of another version say, by "other".
func tellWords(p *metrics.Page, input string, counts map[string]uint64, refused bool) {
	known := map[string]uint64{}
	for word, n := range counts {
		if !slices.ContainsFunc(Words, func(w Word) bool { return w.Word == word && w.Refused == refused }) {
			word = "other"
		}
		known[word] += n
	}
	for _, word := range slices.Sorted(maps.Keys(known)) {
		p.Add(known[word], input, word)
	}
}

func sum(counts map[string]uint64) (n uint64) {
	for _, one := range counts {
		n += one
	}
	return n
}

func (a *Agent) tellOutputs(p *metrics.Page, st *Status) {
	gauge := func(name, help string, tell func(o *OutputStatus)) {
		p.Gauge("bouncefeed_output_"+name, help, "output")
		for i := range st.Outputs {
			tell(&st.Outputs[i])
		}
	}
	gauge("up", "Whether the output delivers.", func(o *OutputStatus) { p.AddTruth(o.Problem == "", o.Name) })
	gauge("pending_events", "Events that wait to be sent.", func(o *OutputStatus) { p.Add(o.Pending, o.Name) })
	gauge("unverified_events", "Events of which the receiver is not known to have stored them, where it is asked.", func(o *OutputStatus) { p.Add(o.Unverified, o.Name) })
	gauge("dead_events", "Dead letters.", func(o *OutputStatus) { p.Add(o.Dead, o.Name) })
	gauge("oldest_pending_timestamp_seconds", "When that happened which waits longest; 0: nothing waits.", func(o *OutputStatus) { p.AddTime(o.Oldest, o.Name) })
	gauge("last_success_timestamp_seconds", "When something was sent last; 0: not since the start.", func(o *OutputStatus) { p.AddTime(o.LastSent, o.Name) })

	p.Counter("bouncefeed_output_events_total", "What became of events at the output.", "output", "result")
	for _, o := range st.Outputs {
		for _, word := range []queue.Word{queue.CountSent, queue.CountNotSent, queue.CountUnfit, queue.CountUnknown, queue.CountDiscarded, queue.CountDead, queue.CountLost} {
			p.Add(st.Queue.Counters.Output(o.Name, word), o.Name, string(word))
		}
	}
	p.Counter("bouncefeed_output_verified_events_total", "What became of sent events at a receiver that is asked.", "output", "result")
	for _, o := range st.Outputs {
		p.Add(o.Stored, o.Name, string(queue.CountStored))
		p.Add(o.NotStored, o.Name, string(queue.CountNotStored))
	}
	p.Counter("bouncefeed_output_requests_total", "Attempts to send since the start, by the class of the HTTP answer: ok, or error where there was none.", "output", "code")
	for i := range a.outputs {
		answers := a.outputs[i].delivery.answers.copy()
		for _, code := range requestCodes {
			p.Add(answers[code], a.outputs[i].name, code)
		}
	}
	p.Histogram(a.measured.requests)
}
