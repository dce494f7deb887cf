package agent

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"bouncefeed/inputs"
)

const (
	openWithin  = 2 * time.Second  // what is to open is waited for at a start
	beatWithin  = 10 * time.Minute // maintenance writes to the queue every minute, a compaction may take some
	stuckAfter  = 15 * time.Minute // an attempt to send, whose own bounds are far shorter, or the parsing of what was read at once
	statusEvery = 10 * time.Second
)

// pulse is when a loop was last seen turning, in Unix nanoseconds; 0: it has not begun.
type pulse struct{ atomic.Int64 }

func (p *pulse) beat() { p.Store(time.Now().UnixNano()) }

// silentFor says for how long it has not turned.
func (p *pulse) silentFor() time.Duration {
	at := p.Load()
	if at == 0 {
		return 0
	}
	return time.Since(time.Unix(0, at))
}

// Alive says why the daemon is no longer at work, for a watchdog that would start it anew: the queue takes no writes, or a
// loop hangs. A source or a receiver that is away is no reason.
func (a *Agent) Alive() error {
	if _, err := a.queue.Stats(); err != nil {
		return fmt.Errorf("ask the queue: %w", err)
	}
	if d := a.beat.silentFor(); d > beatWithin {
		return fmt.Errorf("the queue has not been written to for %s", d.Round(time.Second))
	}
	for _, in := range a.inputs {
		if d := in.sink.parsing.silentFor(); d > stuckAfter {
			return fmt.Errorf("input %s has been parsing for %s", in.name, d.Round(time.Second))
		}
	}
	for _, out := range a.outputs {
		if d := out.delivery.sending.silentFor(); d > stuckAfter {
			return fmt.Errorf("output %s has been sending for %s", out.name, d.Round(time.Second))
		}
	}
	return nil
}

// awaitOpen waits until each input has stored something, is open, or has said what keeps it from that, and the listener
// for those who look on is or has, too; not for long.
func (a *Agent) awaitOpen(ctx context.Context) {
	for deadline := time.Now().Add(openWithin); time.Now().Before(deadline); {
		open := a.web == nil || a.webState.hasBegun()
		for i := range a.inputs {
			open = open && a.inputs[i].isUp()
		}
		if open || !wait(ctx, 10*time.Millisecond) {
			return
		}
	}
}

func (in *runningInput) isUp() bool {
	problem, _, last := in.state.report()
	if o, ok := in.built.Input.(inputs.Opener); ok {
		return problem != "" || o.IsOpen()
	}
	if r, ok := in.built.Input.(inputs.Reporter); ok {
		return problem != "" || last != nil || r.Report().Problem != ""
	}
	return true
}

// tellSystemd keeps the line that `systemctl status` shows up to date, and gives the sign of life that it asks for.
func (a *Agent) tellSystemd(ctx context.Context) {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return
	}
	go Watchdog(ctx, func() bool {
		err := a.Alive()
		if err != nil {
			a.log.Error("not at work any more: systemd starts it anew", "error", err)
		}
		return err == nil
	})
	for last := ""; ; {
		if st, err := a.Status(); err == nil {
			if now := st.Line(); now != last {
				Notify("STATUS=" + now)
				last = now
			}
		}
		if !wait(ctx, statusEvery) {
			return
		}
	}
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// Line is the status in one line: what waits, what is unread, and the first problem.
func (st *Status) Line() string {
	var pending uint64
	for _, out := range st.Outputs {
		pending = max(pending, out.Pending)
	}
	line := fmt.Sprintf("%s, %s; %d waiting", several(uint64(len(st.Inputs)), "input"), several(uint64(len(st.Outputs)), "output"), pending)
	for _, in := range st.Inputs {
		if in.Lag > 0 {
			line += fmt.Sprintf("; %s %d %s behind", in.Name, in.Lag, in.LagUnit)
		}
	}
	switch n := len(st.Problems); {
	case n == 0:
		return line
	default:
		p := st.Problems[0]
		return line + fmt.Sprintf("; %s ('bouncefeed status'): %s: %s", several(uint64(n), "PROBLEM"), p.What, oneLine(p.Text))
	}
}
