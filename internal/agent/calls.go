package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/control"
	"bouncefeed/internal/queue"
	"bouncefeed/internal/report"
)

// Aliases, so that the subcommands can read what the socket answers.
type (
	// DeadLetter is an event that its receiver will never take, with the answer.
	DeadLetter = queue.DeadLetter
	// HeldEvent is an event that is not sent until an admin releases it, with why.
	HeldEvent = queue.HeldEvent
	// Damage is what was found when the queue's file was damaged, and what came of it.
	Damage = queue.Damage
	// Report is what `bouncefeed report` prints.
	Report = report.Report
)

// Count is how many events a retry, release or drop concerned.
type Count struct {
	Events int `json:"events"`
}

// Selection names events that are set aside.
type Selection struct {
	Output  string   `json:"output,omitempty"` // of dead letters: only those of this output
	Input   string   `json:"input,omitempty"`  // of refused records: only those of this input
	Numbers []uint64 `json:"numbers,omitempty"`
	All     bool     `json:"all,omitempty"` // all there are, if there are no Numbers
	// Of what is held: only what the guard holds, and what these name.
	Excess   bool   `json:"excess,omitempty"`
	Domain   string `json:"domain,omitempty"`
	Provider string `json:"provider,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// RefusedRecord is a record that was not believed, with why, what that means and what can be done.
type RefusedRecord struct {
	Number string    `json:"number"` // INPUT/NUMBER
	Input  string    `json:"input"`
	Time   time.Time `json:"time"` // when it was read
	Why    string    `json:"why"`
	Detail string    `json:"detail,omitempty"`
	Means  string    `json:"means,omitempty"`
	Remedy string    `json:"remedy,omitempty"`
	Body   string    `json:"body"` // its first 4 KiB; what is no UTF-8 in it is replaced
}

func refusedRecords(q *queue.Queue, input string) ([]RefusedRecord, error) {
	all, err := q.Refused(input)
	records := make([]RefusedRecord, len(all))
	for i, r := range all {
		w := wordOf(r.Why)
		records[i] = RefusedRecord{fmt.Sprintf("%s/%d", r.Input, r.Seq), r.Input, r.Time, r.Why, r.Detail, w.Means, w.Remedy, strings.ToValidUTF8(string(r.Body), "\uFFFD")}
	}
	return records, err
}

// DeliverArgs name the pipe that a message is for; the only one if they don't. The message is the body.
type DeliverArgs struct {
	Input string `json:"input,omitempty"`
}

// The most that the bodies of calls may hold, in bytes.
const (
	// MaxDelivered is how much of a message Deliver takes: what a pipe reads of it, and a From_ line.
	MaxDelivered = 2 << 20
	maxBatch     = 64 << 20
)

// controlMode lets the control socket's group open it.
const controlMode = 0o660

// Calls are all that the daemon can be asked over the control socket, and Deliver over its own. What changes something,
// or reveals a secret, is the owner's.
var Calls = struct {
	Status  control.Call[control.None, Status]
	Metrics control.Call[control.None, string] // as Prometheus reads them
	Tail    control.Call[LineFilter, Line]     // if it follows, until the caller goes away
	Deliver control.Call[DeliverArgs, control.None]
	Report  control.Call[ReportArgs, *report.Report]
	Reload  control.Call[control.None, control.None] // an error: the configuration has mistakes, nothing changes

	Dead        control.Call[Selection, DeadLetter]
	DeadRetry   control.Call[Selection, Count]
	DeadDrop    control.Call[Selection, Count]
	DeadEdit    control.Call[Edit, Count]
	Resend      control.Call[ResendArgs, Count]
	Acknowledge control.Call[control.None, queue.Damage] // takes note of damage to the queue's file, and tells of it
	Held        control.Call[Selection, HeldEvent]
	HeldRelease control.Call[Selection, Count]
	HeldDrop    control.Call[Selection, Count]
	Refused     control.Call[Selection, RefusedRecord]

	Events       control.Call[EventFilter, Past]
	EventsDrop   control.Call[EventSelection, Count]
	EventsReplay control.Call[EventSelection, Count]
	Flush        control.Call[FlushArgs, Count]
	Forget       control.Call[string, Forgotten] // an address

	OutputPause    control.Call[string, control.None] // the output's name
	OutputContinue control.Call[string, control.None]

	LogLevel control.Call[string, string] // sets it, "" only asks; answers with what it is then

	Backfill           control.Call[control.None, queue.Result] // the body is a queue.Batch
	BackfillCheckpoint control.Call[control.None, map[string]string]
	BackfillMemory     control.Call[control.None, memory]
	BackfillForget     control.Call[control.None, control.None]
	LedgerKey          control.Call[control.None, []byte]
	WasSent            control.Call[[8]byte, bool]        // a hash of the ledger
	Known              control.Call[control.None, []bool] // the body is [][]event.Key
}{
	Status:  control.Call[control.None, Status]{Name: "status", Right: control.Anyone},
	Report:  control.Call[ReportArgs, *report.Report]{Name: "report", Right: control.Anyone},
	Metrics: control.Call[control.None, string]{Name: "metrics", Right: control.Anyone},
	Reload:  control.Call[control.None, control.None]{Name: "reload"},
	Tail:    control.Call[LineFilter, Line]{Name: "tail", Right: control.Anyone},
	Deliver: control.Call[DeliverArgs, control.None]{Name: "deliver", Right: control.Anyone, Body: MaxDelivered},

	Dead:        control.Call[Selection, DeadLetter]{Name: "dead", Right: control.Anyone},
	DeadRetry:   control.Call[Selection, Count]{Name: "dead-retry"},
	DeadDrop:    control.Call[Selection, Count]{Name: "dead-drop"},
	DeadEdit:    control.Call[Edit, Count]{Name: "dead-edit"},
	Resend:      control.Call[ResendArgs, Count]{Name: "resend"},
	Acknowledge: control.Call[control.None, queue.Damage]{Name: "queue-acknowledge"},
	Held:        control.Call[Selection, HeldEvent]{Name: "held", Right: control.Anyone},
	HeldRelease: control.Call[Selection, Count]{Name: "held-release"},
	HeldDrop:    control.Call[Selection, Count]{Name: "held-drop"},
	Refused:     control.Call[Selection, RefusedRecord]{Name: "refused", Right: control.Anyone},

	Events:       control.Call[EventFilter, Past]{Name: "events", Right: control.Anyone},
	EventsDrop:   control.Call[EventSelection, Count]{Name: "events-drop"},
	EventsReplay: control.Call[EventSelection, Count]{Name: "events-replay"},
	Flush:        control.Call[FlushArgs, Count]{Name: "flush"},
	Forget:       control.Call[string, Forgotten]{Name: "forget"},

	OutputPause:    control.Call[string, control.None]{Name: "output-pause"},
	OutputContinue: control.Call[string, control.None]{Name: "output-continue"},

	LogLevel: control.Call[string, string]{Name: "log-level"},

	Backfill:           control.Call[control.None, queue.Result]{Name: "backfill", Body: maxBatch},
	BackfillCheckpoint: control.Call[control.None, map[string]string]{Name: "backfill-checkpoint"},
	BackfillMemory:     control.Call[control.None, memory]{Name: "backfill-memory"},
	BackfillForget:     control.Call[control.None, control.None]{Name: "backfill-forget"},
	LedgerKey:          control.Call[control.None, []byte]{Name: "ledger-key"},
	WasSent:            control.Call[[8]byte, bool]{Name: "was-sent"},
	Known:              control.Call[control.None, []bool]{Name: "known", Right: control.Anyone, Body: maxBatch},
}

// memory is one entry of a parser's stored state on the wire.
type memory struct {
	Key   string `json:"key"`
	Value []byte `json:"value"`
}

// answers are the daemon's to all Calls on the control socket.
func (a *Agent) answers() []control.Answer {
	return append(storedAnswers(a.reporter(), a.config.Queue.Path, a),
		Calls.Status.Answer(one(func(control.None) (Status, error) { return a.Status() })),
		Calls.Metrics.Answer(one(func(control.None) (string, error) { text, err := a.Metrics(); return string(text), err })),
		Calls.Reload.Answer(func(context.Context, control.None, io.Reader, func(control.None) error) error {
			if a.reload == nil {
				return errors.New("this daemon can't reload: restart it")
			}
			return a.reload()
		}),
		Calls.Resend.Answer(one(func(args ResendArgs) (Count, error) { n, err := a.resend(args); return Count{n}, err })),
		Calls.Flush.Answer(one(func(args FlushArgs) (Count, error) { n, err := a.flush(args); return Count{n}, err })),
		Calls.OutputPause.Answer(a.answerPause("paused by command, until 'bouncefeed output continue'", a.queue.Pause)),
		Calls.OutputContinue.Answer(a.answerPause("told to go on", a.queue.Continue)),
		Calls.LogLevel.Answer(one(a.setLevel)),
		Calls.Tail.Answer(a.answerTail))
}

// storedAnswers are those to all Calls about what is stored, by whoever has the queue's file at path open; live is what it
// remembers besides, nil: nothing.
func storedAnswers(r *reporter, path string, live rememberer) []control.Answer {
	q := r.queue
	return []control.Answer{
		Calls.Dead.Answer(list(func(s Selection) ([]DeadLetter, error) { return q.Dead(s.Output) })),
		Calls.DeadRetry.Answer(counted(func(s Selection) (int, error) { return deadBy(q, s, q.RetryDead) })),
		Calls.DeadDrop.Answer(counted(func(s Selection) (int, error) { return deadBy(q, s, q.DropDead) })),
		Calls.DeadEdit.Answer(one(func(e Edit) (Count, error) { n, err := editDead(q, e); return Count{n}, err })),
		Calls.Acknowledge.Answer(list(func(control.None) ([]queue.Damage, error) { return q.AcknowledgeDamage() })),
		Calls.Held.Answer(answerHeld(q)),
		Calls.HeldRelease.Answer(counted(func(s Selection) (int, error) { return heldBy(q, s, q.ReleaseHeld) })),
		Calls.HeldDrop.Answer(counted(func(s Selection) (int, error) { return heldBy(q, s, q.DropHeld) })),

		Calls.Refused.Answer(list(func(s Selection) ([]RefusedRecord, error) { return refusedRecords(q, s.Input) })),

		Calls.Report.Answer(one(r.report)),
		Calls.Events.Answer(answerEvents(q)),
		Calls.Forget.Answer(answerForget(q, path, live)),
		Calls.EventsDrop.Answer(one(func(s EventSelection) (Count, error) { n, err := dropPending(q, s); return Count{n}, err })),
		Calls.EventsReplay.Answer(one(func(s EventSelection) (Count, error) { n, err := replay(q, s); return Count{n}, err })),

		Calls.Backfill.Answer(answerBackfill(q)),
		Calls.BackfillCheckpoint.Answer(one(func(control.None) (map[string]string, error) { return q.Checkpoint(config.Backfill) })),
		Calls.BackfillMemory.Answer(answerMemory(q)),
		Calls.BackfillForget.Answer(func(context.Context, control.None, io.Reader, func(control.None) error) error {
			return q.Forget(config.Backfill)
		}),
		Calls.LedgerKey.Answer(one(func(control.None) ([]byte, error) { return q.Secret(), nil })),
		Calls.WasSent.Answer(one(func(hash [8]byte) (bool, error) { return q.WasSent(hash) })),
		Calls.Known.Answer(answerKnown(q)),
	}
}

// one answers with a single value.
func one[A, R any](f func(A) (R, error)) func(context.Context, A, io.Reader, func(R) error) error {
	return func(_ context.Context, args A, _ io.Reader, reply func(R) error) error {
		v, err := f(args)
		if err != nil {
			return err
		}
		return reply(v)
	}
}

// list answers with a value after the other.
func list[A, R any](f func(A) ([]R, error)) func(context.Context, A, io.Reader, func(R) error) error {
	return func(_ context.Context, args A, _ io.Reader, reply func(R) error) error {
		all, err := f(args)
		if err != nil {
			return err
		}
		for i := range all {
			if err := reply(all[i]); err != nil {
				return err
			}
		}
		return nil
	}
}

// counted answers with how many events f concerned. No Numbers are all to the queue, which needs to be meant.
func counted(f func(Selection) (int, error)) func(context.Context, Selection, io.Reader, func(Count) error) error {
	return one(func(s Selection) (Count, error) {
		if len(s.Numbers) == 0 && !s.All && !s.narrows() {
			return Count{}, errors.New("name the events by their numbers, or say --all")
		}
		n, err := f(s)
		return Count{n}, err
	})
}

// answerBackfill stores one batch that `bouncefeed backfill` parsed, and answers once it is on disk.
func answerBackfill(q *queue.Queue) func(context.Context, control.None, io.Reader, func(queue.Result) error) error {
	return func(ctx context.Context, _ control.None, body io.Reader, reply func(queue.Result) error) error {
		var b queue.Batch
		text, err := io.ReadAll(body)
		if err == nil {
			err = json.Unmarshal(text, &b)
		}
		if err != nil {
			return fmt.Errorf("read what backfill sends: %w", err)
		}
		b.Input = config.Backfill // no other's checkpoint and memory
		result, err := q.Commit(ctx, b)
		if err != nil {
			return err
		}
		return reply(result)
	}
}

func answerMemory(q *queue.Queue) func(context.Context, control.None, io.Reader, func(memory) error) error {
	return func(_ context.Context, _ control.None, _ io.Reader, reply func(memory) error) error {
		for key, value := range q.State(config.Backfill) {
			if err := reply(memory{key, value}); err != nil {
				return err
			}
		}
		return nil
	}
}
