package agent

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
)

// Inputs that only wait for their files are no healthy ones.
func TestStatusOfUnreadableInputs(t *testing.T) {
	t.Parallel()
	a, end := runningAgent(t)
	defer end()
	dir := filepath.Dir(a.config.Queue.Path)
	var err error
	state := func(want string, problems int) (st Status) {
		for deadline := time.Now().Add(2 * time.Minute); ; {
			if st, err = a.Status(); err == nil && st.State == want && len(st.Problems) == problems {
				return st
			}
			if time.Now().After(deadline) {
				t.Fatalf("want %s: %+v, %v", want, st.Problems, err)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	st := state(StateCritical, 3)
	if p := st.Problems[0]; p.What != "input one" || p.Since == nil || !strings.Contains(p.Text, "use type: journald") {
		t.Errorf("got %+v", p)
	}
	if err := os.WriteFile(filepath.Join(dir, "2.log"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	state(StateWarning, 2)
}

func TestWorstState(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, c := range map[string]struct {
		spoil func(*Status, *aside)
		want  string
		text  string
	}{
		"nothing":       {func(*Status, *aside) {}, StateOK, ""},
		"an input":      {func(st *Status, _ *aside) { st.Inputs[0].Problem = "x" }, StateWarning, "x"},
		"every input":   {func(st *Status, _ *aside) { st.Inputs[0].Problem, st.Inputs[1].Problem = "x", "y" }, StateCritical, "x"},
		"the output":    {func(st *Status, _ *aside) { st.Outputs[0].Problem = "x" }, StateCritical, "x"},
		"a full queue":  {func(st *Status, _ *aside) { st.Queue.Full = true }, StateCritical, "it is full"},
		"a dead letter": {func(st *Status, set *aside) { st.Outputs[0].Dead, set.dead = 1, map[string]*time.Time{"o": &now} }, StateWarning, "output o: 1 dead letter, which"},
		"a pause":       {func(st *Status, _ *aside) { st.Outputs[0].Paused = &now }, StateWarning, "output o: paused by command"},
		"an excess":     {func(_ *Status, set *aside) { set.excess.n, set.excess.since = 3, now }, StateWarning, "3 hard bounces held"},
		"our own fault": {func(_ *Status, set *aside) { set.sender = &now }, StateWarning, "about this server"},
		"held events":   {func(_ *Status, set *aside) { set.held = 2 }, StateWarning, "2 events held"},
		"damage": {func(st *Status, _ *aside) {
			st.Queue.Damage = []queue.Damage{{Time: now, Aside: "/q.db.damaged-1", Lost: map[queue.Word]uint64{queue.CountLost: 7}}}
		}, StateWarning, "counts as lost 7; the damaged file is kept as /q.db.damaged-1: look"},
	} {
		st, set := Status{Inputs: make([]InputStatus, 2), Outputs: []OutputStatus{{Name: "o"}}}, aside{}
		c.spoil(&st, &set)
		st.Problems = st.problems(set)
		if got := st.worst(); got != c.want || c.text != "" && !strings.HasPrefix(st.Problems[0].Text, c.text) && !strings.Contains(st.Problems[0].Text, c.text) {
			t.Errorf("%s: %s, %+v", name, got, st.Problems)
		}
	}
}

// What waits for a log is nobody's task.
func TestAsideLooksAtWhatIsHeld(t *testing.T) {
	t.Parallel()
	q, err := queue.Open(filepath.Join(t.TempDir(), "q.db"), queue.Options{Retain: 24 * time.Hour, Outputs: []string{"o"}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	hold := func(id, why string, until time.Time) {
		e := event.Event{ID: id, Time: time.Now(), Recipient: id + "@example.org", MessageID: id, Type: event.Hard}
		if _, err := q.Commit(t.Context(), queue.Batch{Input: "box", Counts: map[queue.Figure]uint64{}, Held: []queue.Held{{Event: e, Why: why, Until: until}}}); err != nil {
			t.Fatal(err)
		}
	}
	hold("a", whyWaits, time.Now().Add(time.Minute))
	hold("b", whyUnproven, time.Time{})
	var l asideLook
	set := l.look(q, &Status{Queue: QueueStatus{Held: 2, Path: "/nowhere/q.db"}})
	if set.held != 1 || set.heldSince == nil || time.Since(*set.heldSince) > time.Minute {
		t.Errorf("got %+v", set)
	}
}

// runningAgent runs with three inputs whose files are not there.
func runningAgent(t *testing.T) (a *Agent, end func()) {
	t.Helper()
	dir := t.TempDir()
	cfg, err := config.Parse("c.yaml", fmt.Appendf(nil, "inputs:\n  one: {type: logfile, path: %[1]s/1.log, parser: postfix}\n  two: {type: logfile, path: %[1]s/2.log, parser: exim}\n  three: {type: logfile, path: %[1]s/3.log, parser: postfix}\noutputs: {f: {type: file, path: %[1]s/out}}\nqueue: {path: %[1]s/q.db}\ncontrol: {socket: %[1]s/s}\n", dir))
	if err != nil {
		t.Fatal(err)
	}
	a, err = New(cfg, "", "1", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	started, done := make(chan struct{}), make(chan error)
	go func() { done <- a.Run(ctx, func() { close(started) }) }()
	<-started
	return a, func() { cancel(); <-done }
}
