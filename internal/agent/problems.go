package agent

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"bouncefeed/internal/queue"
)

// The states of a daemon, as monitoring has them.
const (
	StateOK       = "ok"
	StateWarning  = "warning"  // a part does not work, or somebody's word is waited for
	StateCritical = "critical" // nothing is read, nothing is delivered, or the queue is full
)

// Problem is something that does not work now, or that waits for an admin.
type Problem struct {
	What  string     `json:"what"` // "input NAME", "output NAME", "dead", "held", "paused", "guard", "sender", "queue", "web", "configuration"
	Since *time.Time `json:"since,omitempty"`
	Text  string     `json:"text"` // what it is, and the remedy
}

// ProblemConfiguration is What of the problem that another configuration was to be used than is.
const ProblemConfiguration = "configuration"

// ProblemWeb is What of the problem that the listener for those who look on does not serve.
const ProblemWeb = "web"

// ProblemAlerts is What of the problem that the receiver of alerts takes none.
const ProblemAlerts = "alerts"

// problems are all there are, the worst first within each kind.
func (st *Status) problems(set aside) []Problem {
	var all []Problem
	if st.Queue.Full {
		all = append(all, Problem{What: "queue", Text: "it is full: the inputs wait until an output takes events"})
	}
	for _, in := range st.Inputs {
		if in.Problem != "" {
			all = append(all, Problem{"input " + in.Name, in.Since, in.Problem})
		}
	}
	for _, out := range st.Outputs {
		if out.Problem != "" {
			all = append(all, Problem{"output " + out.Name, out.Since, out.Problem})
		}
	}
	for _, out := range st.Outputs {
		if out.Paused != nil {
			all = append(all, Problem{"paused", out.Paused, fmt.Sprintf("output %s: %s'bouncefeed output continue %s'", out.Name, pausedText, out.Name)})
		}
	}
	for _, out := range st.Outputs {
		if out.Dead > 0 {
			all = append(all, Problem{"dead", set.dead[out.Name], fmt.Sprintf("output %s: %s, which its receiver refused for good: 'bouncefeed dead list', then retry or drop", out.Name, several(out.Dead, "dead letter"))})
		}
	}
	if set.held > 0 {
		all = append(all, Problem{"held", set.heldSince, several(uint64(set.held), "event") + " held for want of proof: 'bouncefeed held list', then release or drop"})
	}
	if set.excess.n > 0 {
		all = append(all, set.excess.problem())
	}
	if set.sender != nil {
		all = append(all, Problem{"sender", set.sender, "more bounces than is plausible within an hour are about this server, not about the recipients: see the reasons ('bouncefeed tail', 'bouncefeed report' with the log); nobody is unsubscribed for them"})
	}
	for i := range st.Queue.Damage {
		all = append(all, Problem{"queue", &st.Queue.Damage[i].Time, damageText(&st.Queue.Damage[i])})
	}
	return all
}

const pausedText = "paused by command, it sends nothing: "

func several(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// worst is critical if none of the inputs, or none of the outputs, works, or the queue is full.
func (st *Status) worst() string {
	inputs, outputs := 0, 0
	for _, in := range st.Inputs {
		if in.Problem != "" {
			inputs++
		}
	}
	for _, out := range st.Outputs {
		if out.Problem != "" {
			outputs++
		}
	}
	switch {
	case st.Queue.Full,
		inputs > 0 && inputs == len(st.Inputs),
		outputs > 0 && outputs == len(st.Outputs):
		return StateCritical
	case len(st.Problems) > 0:
		return StateWarning
	}
	return StateOK
}

// aside is what is set aside and waits for an admin.
type aside struct {
	dead      map[string]*time.Time // by output: since when
	held      int                   // but for what waits for a log by itself, and what the guard holds
	heldSince *time.Time
	excess    excess
	sender    *time.Time // since when too many bounces are about us
}

// damageText says what came of damage to the queue's file, and what to do.
func damageText(d *queue.Damage) string {
	var lost []string
	for _, w := range slices.Sorted(maps.Keys(d.Lost)) {
		lost = append(lost, fmt.Sprintf("%s %d", w, d.Lost[w]))
	}
	text := "it was damaged and mended"
	if len(lost) > 0 {
		text += ", what could not be read counts as " + strings.Join(lost, ", ")
	}
	if d.Repeat {
		text += "; the sources are read from their beginning (on_damage: repeat)"
	}
	return text + "; the damaged file is kept as " + d.Aside + ": look at the disk, then 'bouncefeed queue acknowledge'"
}

// asideLook remembers what is set aside for a while: to look takes reading all of it.
type asideLook struct {
	mu   sync.Mutex
	at   time.Time
	held uint64 // what the counters said then
	dead map[string]uint64
	last aside
}

const asideFor = 10 * time.Second

func (l *asideLook) look(q *queue.Queue, st *Status) aside {
	l.mu.Lock()
	defer l.mu.Unlock()
	dead := map[string]uint64{}
	for _, out := range st.Outputs {
		dead[out.Name] = out.Dead
	}
	if time.Since(l.at) < asideFor && l.held == st.Queue.Held && maps.Equal(l.dead, dead) {
		return l.last
	}
	l.at, l.held, l.dead, l.last = time.Now(), st.Queue.Held, dead, aside{dead: map[string]*time.Time{}}
	for name, n := range dead {
		if n == 0 {
			continue
		}
		if letters, err := q.Dead(name); err == nil && len(letters) > 0 {
			l.last.dead[name] = utc(letters[0].Time)
		}
	}
	if st.Queue.Held > 0 {
		_ = q.EachHeld(l.last.add) // a queue that can't be read says so itself
	}
	if since, err := q.Excessive(); err == nil && !since[queue.ScopeSender].IsZero() {
		l.last.sender = utc(since[queue.ScopeSender])
	}
	return l.last
}

func (set *aside) add(h *queue.HeldEvent) {
	switch {
	case h.Why == whyWaits:
	case h.Excess != "":
		set.excess.add(h)
	default:
		if set.held++; set.heldSince == nil {
			set.heldSince = utc(h.Time)
		}
	}
}

func utc(t time.Time) *time.Time {
	t = t.UTC()
	return &t
}

// oldestPending is when that happened which waits longest for this output.
func (d *delivery) oldestPending() *time.Time {
	if d.queue == nil {
		return nil
	}
	ended, end := context.WithCancel(context.Background())
	end() // do not wait for one
	items, err := d.queue.Next(ended, d.name, 1)
	if err != nil || len(items) == 0 {
		return nil
	}
	return utc(items[0].Event.Time)
}

// tallied counts words.
type tallied struct {
	mu     sync.Mutex
	counts map[string]uint64
}

func (t *tallied) count(word string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = map[string]uint64{}
	}
	t.counts[word]++
}

func (t *tallied) copy() map[string]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.counts)
}
