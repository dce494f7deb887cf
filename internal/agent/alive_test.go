package agent

import (
	"strings"
	"testing"
	"time"
)

func TestStatusLine(t *testing.T) {
	t.Parallel()
	st := Status{
		Inputs:   []InputStatus{{Name: "postfix", Lag: 12, LagUnit: "bytes"}, {Name: "box"}},
		Outputs:  []OutputStatus{{Name: "a", Pending: 3}, {Name: "b", Pending: 4}},
		Problems: []Problem{{What: "output a", Text: "503\nlater"}},
	}
	if got := st.Line(); got != "2 inputs, 2 outputs; 4 waiting; postfix 12 bytes behind; 1 PROBLEM ('bouncefeed status'): output a: 503 later" {
		t.Errorf("got %q", got)
	}
}

// The watchdog is fed by the loops that do the work.
func TestAlive(t *testing.T) {
	t.Parallel()
	a, end := runningAgent(t)
	defer end()
	if err := a.Alive(); err != nil {
		t.Errorf("at work: %v", err)
	}
	a.beat.Store(time.Now().Add(-time.Hour).UnixNano())
	if err := a.Alive(); err == nil || !strings.Contains(err.Error(), "not been written to for 1h") {
		t.Errorf("maintenance hangs: %v", err)
	}
	a.beat.beat()
	a.inputs[1].sink.parsing.Store(time.Now().Add(-time.Hour).UnixNano())
	if err := a.Alive(); err == nil || !strings.Contains(err.Error(), "input two has been parsing for 1h") {
		t.Errorf("a parser hangs: %v", err)
	}
	a.inputs[1].sink.parsing.Store(0)
	a.outputs[0].delivery.sending.Store(time.Now().Add(-time.Hour).UnixNano())
	if err := a.Alive(); err == nil || !strings.Contains(err.Error(), "output f has been sending for 1h") {
		t.Errorf("an output hangs: %v", err)
	}
}

// A parser is at work from when it has the sink to itself until it lets go.
func TestParserAtWork(t *testing.T) {
	t.Parallel()
	s := &sink{}
	end := s.atWork()
	if s.mu.TryLock() || s.parsing.Load() == 0 {
		t.Error("not at work")
	}
	if end(); !s.mu.TryLock() || s.parsing.silentFor() != 0 {
		t.Error("still at work")
	}
}
