package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"bouncefeed/internal/control"
	"bouncefeed/internal/event"
	"bouncefeed/outputs"
)

// Outcome is what becomes of an explained event, in the words of `tail`.
type Outcome struct {
	Outcome string   `json:"outcome"` // queued, repeat, held, not_sent, foreign or refused
	Why     string   `json:"why,omitempty"`
	Outputs []string `json:"outputs,omitempty"` // that send it, where some are configured
}

// The outcomes that `tail` has no word for, or shares.
const (
	outcomeQueued  = "queued"
	outcomeRepeat  = "repeat"
	outcomeHeld    = "held"
	outcomeNotSent = "not_sent"
)

// outcomes says what becomes of the events that d has.
func (x *explaining) outcomes(e *Explanation, d *draft) {
	e.Outcomes = nil
	simple := len(x.senders()) == 0
	add := func(o Outcome) {
		e.Outcomes = append(e.Outcomes, o)
		simple = simple && o.Outcome == outcomeQueued && o.Why == ""
	}
	known := x.stored.known(d.batch.Events)
	for i := range d.batch.Events {
		ev := &d.batch.Events[i]
		switch {
		case known[i]:
			add(Outcome{Outcome: outcomeRepeat, Why: "it was reported before"})
		default:
			add(x.sent(ev, d))
		}
	}
	for range d.nameless {
		add(Outcome{Outcome: "refused", Why: wordOf(refusedNoRecipient).Means})
	}
	for _, h := range d.batch.Held {
		add(Outcome{Outcome: outcomeHeld, Why: h.Why})
	}
	for range d.notOurs {
		add(Outcome{Outcome: string(event.Foreign), Why: wordOf(string(event.Foreign)).Means})
	}
	if simple {
		e.Outcomes = nil
	}
}

// sent says to whom an event goes, by the outputs' send:.
func (x *explaining) sent(e *event.Event, d *draft) Outcome {
	names := x.senders()
	if len(names) == 0 {
		if !(&outputs.Settings{Send: outputs.DefaultSend}).Wants(e) {
			return Outcome{Outcome: outcomeNotSent, Why: whyNotSent(e)}
		}
		o := Outcome{Outcome: outcomeQueued}
		if d.trust == "" && d.formats == nil && d.format.Type == asMail && !(e.SubscriberUUID != "" && e.Evidence != "") {
			o.Why = "with trust: any; with trust: proof only if a log shows that we sent this message to this recipient"
		}
		return o
	}
	o := Outcome{Outcome: outcomeQueued}
	one, sends := *e, false
	one.Input = "" // it is read from no input
	for _, out := range names {
		sends = sends || out.built.Settings.Sends(e)
		if out.built.Settings.Wants(&one) {
			o.Outputs = append(o.Outputs, out.name)
		}
	}
	switch {
	case o.Outputs != nil:
		return o
	case sends:
		return Outcome{Outcome: outcomeNotSent, Why: "it is none of the reasons: or recipients: of the outputs"}
	}
	return Outcome{Outcome: outcomeNotSent, Why: whyNotSent(e)}
}

func whyNotSent(e *event.Event) string {
	if e.Type == event.Soft && e.Fault == event.FaultSender {
		return "the sender's fault says nothing about the subscriber (send: [sender_fault] reports it)"
	}
	return fmt.Sprintf("no output has %s in its send:", e.Type)
}

// senders are the configured outputs.
func (x *explaining) senders() []plannedOutput {
	if x.plan == nil {
		return nil
	}
	return x.plan.outputs
}

// storedAsked is what a queue is asked about events: nil knows nothing.
type storedAsked struct {
	ctx    context.Context
	socket string
	failed func(error)
}

// known says which events were reported before, each false where it can't be asked.
func (s *storedAsked) known(events []event.Event) []bool {
	none := make([]bool, len(events))
	if s == nil || len(events) == 0 {
		return none
	}
	found, err := askKnown(s.ctx, s.socket, events)
	if err != nil || len(found) != len(events) {
		s.failed(err)
		return none
	}
	return found
}

// askStored finds out whether the daemon can be asked what it knows.
func (x *explaining) askStored(ctx context.Context, c *sinkConfig) {
	if x.Config == nil || x.stored != nil || x.Alone {
		return
	}
	socket := x.Config.Control.Socket
	note := func(what string, err error) {
		switch {
		case err == nil:
		case errors.Is(err, control.ErrNotRunning):
			x.note("the daemon does not run: " + what + " is not looked at")
		default:
			x.note(what + " could not be asked: " + err.Error())
		}
	}
	x.stored = &storedAsked{ctx, socket, func(err error) {
		x.stored = nil
		note("what was reported before", err)
	}}
	if x.stored.known([]event.Event{{ID: "x"}}); x.stored == nil {
		return
	}
	if c.trust != trustProof {
		return
	}
	key, err := Calls.LedgerKey.Ask(ctx, socket, control.None{}, nil)
	if err != nil {
		note("what the logs prove", err)
		return
	}
	c.ledger = ledger{key, func(h [8]byte) (bool, error) { return Calls.WasSent.Ask(ctx, socket, h, nil) }}
}

func (x *explaining) note(text string) {
	for _, n := range x.sum.Notes {
		if n == text {
			return
		}
	}
	x.sum.Notes = append(x.sum.Notes, text)
}

// Reported says in words whether the i-th event reaches an output, or why not.
func (x *Explanation) Reported(i int) string {
	e := &x.Events[i]
	o := Outcome{Outcome: outcomeQueued}
	if i < len(x.Outcomes) {
		o = x.Outcomes[i]
	} else if e.Type == event.Soft && e.Fault == event.FaultSender {
		return "no: the sender's fault says nothing about the subscriber (send: [sender_fault] reports it)"
	}
	said := ""
	switch o.Outcome {
	case outcomeQueued:
		said = "yes, as " + string(e.Type)
		if len(o.Outputs) > 0 {
			said += ", to " + strings.Join(o.Outputs, ", ")
		}
		if o.Why != "" {
			said += ", " + o.Why
		}
	case outcomeRepeat:
		return "no: it was reported before"
	case outcomeHeld:
		return "no, held: " + o.Why
	case string(event.Foreign):
		return "no: a client that is not of mynetworks, and did not log in, handed the message in (counted as foreign)"
	default:
		return "no: " + o.Why
	}
	if x.If != "" {
		said += ", if the lines before it are in order (see the note)"
	}
	return said
}
