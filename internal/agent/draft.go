package agent

import (
	"errors"
	"time"

	"bouncefeed/internal/classify"
	"bouncefeed/internal/event"
	"bouncefeed/internal/listmonk"
	"bouncefeed/internal/queue"
	"bouncefeed/internal/report"
	"bouncefeed/internal/text"
	"bouncefeed/parsers"
)

// Why something read is not reported, beside the parsers' refusals and the event types that are only counted.
const (
	ignoredOther       = "other"        // a record of no interest
	ignoredSender      = "other_sender" // not an envelope sender of `senders:`
	ignoredTest        = "test_mail"    // listmonk's dummy UUID
	ignoredOutside     = "outside"      // of backfill's --since and --until
	refusedNoRecipient = "no_recipient" // a failure that names nobody
	refusedMalformed   = "malformed"
	refusedPanic       = "parser_panic"
)

// maxDiagnostic is how much is kept of what a server said, in bytes; what follows is rarely about the failure.
const maxDiagnostic = 4 << 10

// maxDetail is how much is kept of why something was refused, in bytes.
const maxDetail = 512

// draft is a batch in the making: records are parsed into it one after the other, each between begin and end.
type draft struct {
	*sinkConfig
	batch     queue.Batch
	nameless  []event.Event // failures that name nobody, beside their refusals
	notOurs   []event.Event // failures of foreign messages, for explain
	read      uint64        // outcomes of all records
	other     uint64        // records without any
	noted     map[event.Type]uint64
	logHost   string // whose log the events are from, where they are
	unproven  []unprovenReport
	entered   []sentTo // in the ledger
	serial    uint64   // among the sink's
	counted   []countedRows
	mails     mailCount
	forgotten bool // a failure of a message that the parser had no room for
	foreign   bool // a failure of a foreign message, of a sender that is wanted
	record    finding
}

// finding is what came of one record.
type finding struct {
	time       time.Time // when it was read or happened
	outcomes   int
	kept       int // of outcomes: refused or held
	unreported int // of outcomes: of no interest

	message []byte // the record's body, where it is a whole message
	content string // its hash, once asked for
}

// fate is the most cautious one of all that was found in a record.
func (f *finding) fate() event.Fate {
	switch {
	case f.outcomes == 0 || f.kept > 0:
		return event.Kept
	case f.unreported > 0:
		return event.Unreported
	}
	return event.Understood
}

func newDraft(c *sinkConfig) *draft {
	return &draft{
		sinkConfig: c, noted: map[event.Type]uint64{}, serial: c.passes.next(),
		batch: queue.Batch{Input: c.name, Counts: map[queue.Figure]uint64{}, Log: readsLog(c.format.Type)},
	}
}

// begin starts with a record.
func (d *draft) begin(at time.Time) { d.record = finding{time: at} }

// end ends with a record, and tells its fate. One of which nothing was said is counted, too.
func (d *draft) end() event.Fate {
	fate := d.record.fate()
	if d.record.outcomes == 0 {
		d.record.outcomes = 1
		d.other++
	}
	d.read += uint64(d.record.outcomes)
	return fate
}

// finish adds the counts of all records, and makes the ledger's entries: two hashes each, for which no parser has to wait.
func (d *draft) finish() {
	d.hashEntered()
	d.addCounted()
	d.batch.Mails = d.mails.all()
	counts := d.batch.Counts
	for t, n := range d.noted {
		counts[queue.IgnoredAs(string(t))] += n
	}
	counts[queue.Figure{Word: queue.CountRead}] += d.read
	if d.other > 0 {
		counts[queue.IgnoredAs(ignoredOther)] += d.other
	}
}

// refuseAll refuses what a parser did: one record may hold several items, each with a mistake of its own.
func (d *draft) refuseAll(err error, body []byte) {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range several.Unwrap() {
			d.refuse(one, body)
		}
	} else if err != nil {
		d.refuse(err, body)
	}
}

// refuse counts what is not believed and keeps it aside.
func (d *draft) refuse(err error, body []byte) {
	d.record.outcomes++
	d.record.kept++
	why, detail := refusedMalformed, err.Error()
	if r, ok := errors.AsType[*event.RefusedError](err); ok {
		why, detail = r.Why, r.Detail
		if r.Part != nil {
			body = r.Part
		}
	}
	d.batch.Counts[queue.RefusedAs(why)]++
	d.batch.Refused = append(d.batch.Refused, queue.Refused{Time: d.now(), Why: why, Detail: text.Cut(detail, maxDetail), Body: append([]byte(nil), body[:min(len(body), 4096)]...)})
}

func (d *draft) ignore(why string) {
	d.record.outcomes++
	d.batch.Counts[queue.IgnoredAs(why)]++
}

// countOnly counts an event of a type that is not reported.
func (d *draft) countOnly(t event.Type) {
	d.record.outcomes++
	if t == event.Ordinary {
		d.record.unreported++
	}
	d.noted[t]++
}

// pass is accept for what a parser skimmed.
func (d *draft) pass(p *event.Passage) {
	d.logHost = p.QueueIDIssuer
	d.read++
	if !d.wanted(p.Sender) {
		d.batch.Counts[queue.IgnoredAs(ignoredSender)]++
		d.countPassage(p, report.OtherMail)
		return
	}
	if p.Ours {
		d.enter(p.MessageID, p.Recipient, p.OriginalRecipient)
	}
	d.noted[p.Type]++
	d.mails.add(p.Type, p.Time, p.Recipient, &p.Transit)
	d.countPassage(p, report.Lists)
}

// addSkimmed counts the lines that were skimmed and said nothing.
func (d *draft) addSkimmed(s *parsers.Skimmed) {
	d.read += uint64(s.Other)
	d.other += uint64(s.Other)
	s.Bytes, s.Other = 0, 0
}

// accept completes what a parser emitted and decides where it goes.
func (d *draft) accept(e event.Event) {
	d.logHost = e.QueueIDIssuer
	if isUnknown := e.Type == event.Forgotten && e.Sender == ""; !isUnknown && !d.wanted(e.Sender) {
		d.record.unreported++
		d.ignore(ignoredSender)
		d.countOthers(e)
		return
	}
	if e.Ours {
		d.enter(e.MessageID, e.Recipient, e.OriginalRecipient)
	}
	d.forgotten = d.forgotten || e.Type == event.Forgotten
	if e.Type == event.Foreign {
		d.foreign = true
		d.keepNotOurs(e)
	}
	if e.Type != "" && !e.Type.Reported() {
		switch e.Type {
		case event.CopyFailed:
			d.batch.Copies = append(d.batch.Copies, e)
		case event.Delivered, event.Delayed:
			d.countTransit(&e, report.Lists)
		}
		d.mails.add(e.Type, e.Time, e.Recipient, &e.Transit)
		d.countOnly(e.Type)
		return
	}
	if e.Recipient == "" && e.SubscriberUUID == "" {
		d.refuse(event.Refuse(refusedNoRecipient, "a failure that names nobody"), []byte(e.Diagnostic))
		d.complete(&e)
		d.nameless = append(d.nameless, e)
		return
	}
	if e.SubscriberUUID == listmonk.NoUUID {
		d.ignore(ignoredTest)
		return
	}
	d.record.outcomes++
	told := e
	if (d.trust == trustProof || e.NeedsProof) && !d.prove(&e) {
		d.lacksLog(&e)
		d.complete(&e)
		d.record.kept++
		d.hold(e, whyUnproven, 0)
		return
	}
	if d.trust != trustProof && d.formats == nil && parsers.IsMessage(d.format.Type) {
		e.Proof = event.ProofTrusted
	}
	d.complete(&e)
	switch target := d.noteTarget(&told); {
	case target.isShared:
		d.record.kept++
		d.hold(e, whyCopy, 0)
	case target.isOther:
		d.copies.wait(e.ID, target.copyTarget)
		d.hold(e, whyWaitsForCopy, logWait)
	case d.waits(&e):
		d.hold(e, whyWaits, logWait)
	default:
		d.batch.Events = append(d.batch.Events, e)
	}
}

// hold has e held: for a while, or for somebody's decision.
func (d *draft) hold(e event.Event, why string, wait time.Duration) {
	h := queue.Held{Event: e, Why: why}
	if wait > 0 {
		h.Until = d.now().Add(wait)
		d.logHosts.waiting.Store(true)
	}
	d.batch.Held = append(d.batch.Held, h)
}

// keepNotOurs keeps for explain what a failure of a foreign message would be if its client were ours.
func (d *draft) keepNotOurs(e event.Event) {
	if d.explains {
		e.Type = ""
		d.complete(&e)
		d.notOurs = append(d.notOurs, e)
	}
}

// complete adds what only the agent knows: the verdict, the id, the input.
func (d *draft) complete(e *event.Event) {
	e.Input = d.name
	if e.Time.IsZero() {
		e.Time = d.record.time
	}
	if e.Time.IsZero() {
		e.Time = d.now()
	}
	if e.Time = e.Time.UTC(); e.Time.Year() < 1 || e.Time.Year() > 9999 { // which JSON can't carry
		e.Time = d.now().UTC()
	}
	e.Diagnostic = text.Cut(e.Diagnostic, maxDiagnostic)
	if e.Type == "" {
		judge(d.classifier, e)
		judgeOthers(d.classifier, e)
	}
	if e.MessageID == "" && d.record.message != nil {
		e.Content = d.record.hash()
	}
	if !event.IsID(e.ID) { // another bouncefeed's event keeps its own
		e.ID = e.MakeID()
	}
}

// judgeOthers has a recipient with several targets fail for good only where all of them did.
func judgeOthers(c *classify.Classifier, e *event.Event) {
	for _, o := range e.Others {
		other := *e
		other.Code, other.Status, other.Diagnostic, other.RemoteMTA, other.NeverHard = o.Code, o.Status, text.Cut(o.Text, maxDiagnostic), o.Remote, o.NeverHard
		if judge(c, &other); e.Type == event.Hard && other.Type != event.Hard {
			*e = other
		}
	}
	e.Others = nil
}

// judge fills in e's verdict from its code, status, text and remote host.
func judge(c *classify.Classifier, e *event.Event) {
	v := c.Classify(classify.Reply{
		Code: e.Code, Status: e.Status, Text: e.Diagnostic, Remote: e.RemoteMTA, NeverHard: e.NeverHard, Hint: e.Hint, OwnWords: e.OwnWords,
	})
	e.Type, e.Reason, e.Fault, e.Rule = v.Type, v.Reason, v.Fault, v.Rule
}

// wanted says whether mail of this envelope sender is reported.
func (d *draft) wanted(sender string) bool {
	if len(d.senders) == 0 {
		return true
	}
	for _, pattern := range d.senders {
		if text.Match(pattern, sender) {
			return true
		}
	}
	return false
}
