package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"bouncefeed/internal/agent"
)

// metrics are lines of Prometheus' text format, each family behind its help.
type metrics struct {
	strings.Builder
	family string
}

func (m *metrics) begin(name, kind, help string) {
	m.family = "bouncefeed_" + name
	fmt.Fprintf(m, "# HELP %s %s\n# TYPE %s %s\n", m.family, help, m.family, kind)
}

// add is one value; labels are names and values in turn.
func (m *metrics) add(value any, labels ...string) {
	var all []string
	for i := 0; i < len(labels); i += 2 {
		all = append(all, fmt.Sprintf("%s=\"%s\"", labels[i], labelValue.Replace(labels[i+1])))
	}
	set := ""
	if len(all) > 0 {
		set = "{" + strings.Join(all, ",") + "}"
	}
	fmt.Fprintf(m, "%s%s %v\n", m.family, set, value)
}

var labelValue = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// metricsText is what a textfile collector takes. Of a daemon that does not run it says that alone.
func metricsText(st *agent.Status, running bool) string {
	m := &metrics{}
	m.begin("up", "gauge", "Whether the daemon answers.")
	m.add(truth(running))
	if !running {
		return m.String()
	}
	m.begin("build_info", "gauge", "The version that runs.")
	m.add(1, "version", st.Version)
	m.inputs(st)
	m.outputs(st)
	m.begin("queue_used_bytes", "gauge", "Bytes of the queue in use.")
	m.add(st.Queue.Used)
	m.begin("queue_limit_bytes", "gauge", "Bytes that the queue may use; 0: no limit.")
	m.add(st.Queue.MaxSize)
	m.begin("queue_file_bytes", "gauge", "Size of the queue's file.")
	m.add(st.Queue.FileSize)
	m.begin("held_events", "gauge", "Events held until somebody releases or drops them.")
	m.add(st.Queue.Held)
	m.begin("problems", "gauge", "Problems that 'bouncefeed status' tells.")
	m.add(len(st.Problems))
	return m.String()
}

func truth(is bool) int {
	if is {
		return 1
	}
	return 0
}

func stamp(t *time.Time) int64 {
	if t == nil {
		return 0
	}
	return t.Unix()
}

func (m *metrics) inputs(st *agent.Status) {
	m.begin("input_up", "gauge", "Whether the input reads.")
	for _, in := range st.Inputs {
		m.add(truth(in.Problem == ""), "input", in.Name)
	}
	for _, unit := range []string{"bytes", "records"} {
		begun := false
		for _, in := range st.Inputs {
			if in.Lag < 0 || (in.LagUnit == "bytes") != (unit == "bytes") {
				continue
			}
			if !begun {
				m.begin("input_lag_"+unit, "gauge", "What the source holds unread.")
				begun = true
			}
			m.add(in.Lag, "input", in.Name)
		}
	}
	m.begin("input_last_commit_timestamp_seconds", "gauge", "When the input last put something on disk; 0: not since the start.")
	for _, in := range st.Inputs {
		m.add(stamp(in.LastCommit), "input", in.Name)
	}
	m.begin("input_records_total", "counter", "What was read, by what became of it.")
	for _, in := range st.Inputs {
		for result, n := range inOrder(map[string]uint64{"queued": in.Queued, "held": in.Held, "ignored": total(in.Ignored), "refused": total(in.Refused)}) {
			m.add(n, "input", in.Name, "result", result)
		}
	}
	for _, f := range []struct {
		name string
		of   func(*agent.InputStatus) map[string]uint64
	}{
		{"ignored", func(in *agent.InputStatus) map[string]uint64 { return in.Ignored }},
		{"refused", func(in *agent.InputStatus) map[string]uint64 { return in.Refused }},
	} {
		m.begin("input_"+f.name+"_total", "counter", "What was "+f.name+", by why ('bouncefeed words').")
		for i := range st.Inputs {
			for why, n := range inOrder(f.of(&st.Inputs[i])) {
				m.add(n, "input", st.Inputs[i].Name, "why", why)
			}
		}
	}
	m.begin("input_gaps_total", "counter", "Times that history was missing.")
	for _, in := range st.Inputs {
		m.add(in.Gaps, "input", in.Name)
	}
}

func (m *metrics) outputs(st *agent.Status) {
	for _, f := range []struct {
		name, help string
		value      func(*agent.OutputStatus) any
	}{
		{"output_up", "Whether the output delivers.", func(o *agent.OutputStatus) any { return truth(o.Problem == "") }},
		{"output_pending_events", "Events that wait to be sent.", func(o *agent.OutputStatus) any { return o.Pending }},
		{"output_unverified_events", "Events of which the receiver is not known to have stored them, where it is asked.", func(o *agent.OutputStatus) any { return o.Unverified }},
		{"output_dead_events", "Dead letters.", func(o *agent.OutputStatus) any { return o.Dead }},
		{"output_oldest_pending_timestamp_seconds", "When that happened which waits longest; 0: nothing waits.", func(o *agent.OutputStatus) any { return stamp(o.Oldest) }},
		{"output_last_success_timestamp_seconds", "When something was sent last; 0: not since the start.", func(o *agent.OutputStatus) any { return stamp(o.LastSent) }},
	} {
		m.begin(f.name, "gauge", f.help)
		for i := range st.Outputs {
			m.add(f.value(&st.Outputs[i]), "output", st.Outputs[i].Name)
		}
	}
	m.begin("output_verified_events_total", "counter", "What became of sent events at a receiver that is asked.")
	for _, out := range st.Outputs {
		m.add(out.Stored, "output", out.Name, "result", "stored")
		m.add(out.NotStored, "output", out.Name, "result", "not_stored")
	}
	m.begin("output_events_total", "counter", "What became of events at the output.")
	for _, out := range st.Outputs {
		of := st.Queue.Counters
		m.add(of.Output(out.Name, "sent"), "output", out.Name, "result", "sent")
		m.add(of.Output(out.Name, "not_sent"), "output", out.Name, "result", "not_sent")
		m.add(of.Output(out.Name, "dead"), "output", out.Name, "result", "dead")
		m.add(of.Output(out.Name, "lost"), "output", out.Name, "result", "lost")
		m.add(out.NoAddress, "output", out.Name, "result", "no_address_for_receiver")
		m.add(out.Unknown, "output", out.Name, "result", "unknown")
	}
}

// inOrder walks over a map by its words.
func inOrder(counts map[string]uint64) func(func(string, uint64) bool) {
	return func(yield func(string, uint64) bool) {
		for _, word := range slices.Sorted(maps.Keys(counts)) {
			if !yield(word, counts[word]) {
				return
			}
		}
	}
}
