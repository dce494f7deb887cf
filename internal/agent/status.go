package agent

import (
	"time"

	"bouncefeed/inputs"
	"bouncefeed/internal/event"
	"bouncefeed/internal/queue"
)

// Status is the answer of `bouncefeed status`. Its counters are stored with the events they count and add up over the
// life of the queue file: for an input read = queued + held + all ignored + all refused; for an output what all inputs
// queued (and what was released or retried) = sent + not_sent + no_address_for_receiver + unknown + discarded + dead + lost +
// pending, and of what was sent since the receiver is asked: stored + not_stored + unverified.
type Status struct {
	Version string         `json:"version"`
	Host    string         `json:"host"`
	Since   time.Time      `json:"since"`
	Inputs  []InputStatus  `json:"inputs"`
	Outputs []OutputStatus `json:"outputs"`
	Queue   QueueStatus    `json:"queue"`
	// State is the worst of Problems: ok, warning or critical.
	State    string    `json:"state"`
	Problems []Problem `json:"problems,omitempty"`
	// Reasons are the bounces found since the daemon started.
	Reasons map[string]uint64 `json:"reasons,omitempty"`
	// Findings are what is open about the mail itself, as `bouncefeed report` tells it.
	Findings []FindingStatus `json:"findings,omitempty"`
}

// InputStatus tells how one input fares.
type InputStatus struct {
	Name    string            `json:"name"`
	Type    string            `json:"type"`
	Problem string            `json:"problem,omitempty"` // why it does not read at the moment
	Since   *time.Time        `json:"problem_since,omitempty"`
	At      string            `json:"at,omitempty"`
	Lag     int64             `json:"lag"` // unread, in LagUnit; -1 unknown
	LagUnit string            `json:"lag_unit,omitempty"`
	Gaps    uint64            `json:"gaps"`
	Read    uint64            `json:"read"`
	Queued  uint64            `json:"queued"`
	Held    uint64            `json:"held"`
	Ignored map[string]uint64 `json:"ignored"`
	Refused map[string]uint64 `json:"refused"`
	Hints   []string          `json:"hints,omitempty"` // what its settings may lack, and the remedy
	// LastCommit is when it last put something on disk.
	LastCommit *time.Time `json:"last_commit,omitempty"`
}

// OutputStatus tells how one output fares.
type OutputStatus struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Pending uint64 `json:"pending"`
	Sent    uint64 `json:"sent"`
	NotSent uint64 `json:"not_sent"` // kept back by its `send:`
	// What the receiver was asked about of what was sent. Where Verified is false, it is not: its answer is trusted.
	Verified   bool   `json:"verified"`
	Stored     uint64 `json:"stored"`
	NotStored  uint64 `json:"not_stored"` // told twice, and it has it not
	Unverified uint64 `json:"unverified"`
	// What could not be sent to anybody: NoAddress names nobody whom the receiver could find, of Unknown it said so itself.
	NoAddress uint64 `json:"no_address_for_receiver"`
	Discarded uint64 `json:"discarded"` // by somebody, before it was sent
	Unknown   uint64 `json:"unknown"`
	// NoCampaign is of what listmonk has answered for since the start what names no campaign.
	NoCampaign uint64     `json:"no_campaign"`
	Dead       uint64     `json:"dead"` // set aside at the moment, see `bouncefeed dead`
	Problem    string     `json:"problem,omitempty"`
	Since      *time.Time `json:"problem_since,omitempty"`
	LastSent   *time.Time `json:"last_sent,omitempty"`
	// Paused is since when it is by command.
	Paused *time.Time `json:"paused,omitempty"`
	// NextTry is when it tries again what did not work; Oldest is when the failure happened that waits longest.
	NextTry *time.Time `json:"next_try,omitempty"`
	Oldest  *time.Time `json:"oldest,omitempty"`
}

// QueueStatus tells about the queue file; sizes in bytes.
type QueueStatus struct {
	Path     string `json:"path"`
	FileSize int64  `json:"file_size"`
	Used     int64  `json:"used"`
	MaxSize  int64  `json:"max_size"`
	Full     bool   `json:"full"`
	Held     uint64 `json:"held"`
	// Damage is each time that the file was damaged and nobody has taken note of.
	Damage []queue.Damage `json:"damage,omitempty"`
	// Counters are all of them by name, for those who add them up.
	Counters queue.Counters `json:"counters"`
}

// Status gathers the daemon's state.
func (a *Agent) Status() (Status, error) {
	stats, err := a.queue.Stats()
	if err != nil {
		return Status{}, err
	}
	st := Status{Version: a.version, Host: a.config.Host, Since: a.started.UTC(), Queue: QueueStatus{
		Path: a.config.Queue.Path, FileSize: stats.FileSize, Used: stats.Used, MaxSize: stats.MaxSize, Full: stats.Full,
		Held: stats.Held, Counters: stats.Counters,
	}}
	if st.Queue.Damage, err = a.queue.Damage(); err != nil {
		return Status{}, err
	}
	for _, in := range a.inputs {
		st.Inputs = append(st.Inputs, in.status(stats.Counters))
	}
	for _, out := range a.outputs {
		one := out.status(stats)
		if since, paused := a.queue.Paused()[out.name]; paused {
			one.Paused = &since
		}
		st.Outputs = append(st.Outputs, one)
	}
	st.Reasons = a.tail.reasons.copy()
	st.Findings = a.findings.status()
	st.Problems = st.problems(a.aside.look(a.queue, &st))
	if problem, since, _ := a.maintenance.report(); problem != "" {
		st.Problems = append(st.Problems, Problem{"queue", since, "maintenance: " + problem})
	}
	if problem, since, _ := a.webState.report(); problem != "" {
		st.Problems = append(st.Problems, Problem{ProblemWeb, since, "nobody can look on by the listener web: " + problem})
	}
	if problem, since, _ := a.findings.state.report(); problem != "" {
		st.Problems = append(st.Problems, Problem{ProblemAlerts, since, "nobody can be told of findings: " + problem})
	}
	if a.problem != "" {
		st.Problems = append(st.Problems, Problem{ProblemConfiguration, &a.started, a.problem})
	}
	st.State = st.worst()
	return st, nil
}

func (in *plannedInput) status(counters queue.Counters) InputStatus {
	st := InputStatus{Name: in.name, Type: in.kind, Lag: -1, Ignored: map[string]uint64{}, Refused: map[string]uint64{}}
	st.Problem, st.Since, st.LastCommit = in.state.report()
	if r, ok := in.built.Input.(inputs.Reporter); ok {
		p := r.Report()
		st.At, st.Lag, st.LagUnit, st.Gaps = p.At, p.Lag, p.Unit, p.Gaps
		if st.Problem == "" && p.Problem != "" {
			since := p.Since.UTC()
			st.Problem, st.Since = p.Problem, &since
		}
	}
	for c, n := range counters {
		if c.Side != queue.InputSide || c.Module != in.name {
			continue
		}
		switch c.Word {
		case queue.CountRead:
			st.Read = n
		case queue.CountQueued:
			st.Queued = n
		case queue.CountHeld:
			st.Held = n
		case queue.CountIgnored:
			st.Ignored[c.Why] = n
		case queue.CountRefused:
			st.Refused[c.Why] = n
		}
	}
	st.Hints = in.hints(st.Ignored)
	return st
}

// hints says what the counts of an input tell of its settings.
func (in *plannedInput) hints(ignored map[string]uint64) (hints []string) {
	if ignored[string(event.Foreign)] > 0 && len(in.built.Settings.Senders) > 0 {
		hints = append(hints, foreignHint)
	}
	if ignored[string(event.Forgotten)] > 0 {
		hints = append(hints, forgottenHint)
	}
	return hints
}

const forgottenHint = "messages failed of which the parser had no room to remember the recipients: raise its memory:"

// foreignHint is said where mail of one of the `senders:` fails that no client of ours handed in. Where no senders are
// named, other people's mail fails every day.
const foreignHint = "mail of an envelope sender named in senders: failed and was not reported, because the client that handed it in is not ours: " +
	"if it is the list manager, name its address in the parser's mynetworks:, or let it log in"

func (out *runningOutput) status(stats queue.Stats) OutputStatus {
	st := OutputStatus{
		Name: out.name, Type: out.kind, Pending: stats.Pending[out.name], Dead: stats.Dead[out.name],
		Sent: stats.Counters.Output(out.name, queue.CountSent), NotSent: stats.Counters.Output(out.name, queue.CountNotSent),
	}
	n := func(w queue.Word) uint64 { return stats.Counters.Output(out.name, w) }
	st.Stored, st.NotStored, st.NoAddress, st.Unknown = n(queue.CountStored), n(queue.CountNotStored), n(queue.CountUnfit), n(queue.CountUnknown)
	st.Discarded = n(queue.CountDiscarded)
	st.Verified, st.Unverified = out.delivery.verifying.verifies(), out.delivery.verifying.unverified()
	if out.kind == "listmonk" {
		st.NoCampaign = out.delivery.noCampaign.Load()
	}
	st.Problem, st.Since, st.LastSent = out.delivery.state.report()
	if st.Problem == "" {
		st.Problem, st.Since = out.delivery.verifying.problem()
	}
	if st.NextTry = out.delivery.nextTry.Load(); st.Problem == "" {
		st.NextTry = nil
	}
	if st.Pending > 0 {
		st.Oldest = out.delivery.oldestPending()
	}
	return st
}
