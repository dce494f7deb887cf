package maillog

import (
	"cmp"
	"slices"
	"time"

	"bouncefeed/internal/address"
	"bouncefeed/internal/event"
	"bouncefeed/internal/text"
)

// One recipient may be turned into several targets: by an alias, a forward, Exim's `unseen` copies and pipes. Who has the
// message by one of them did not fail, whatever becomes of the others; and he is hard only if all of them are. So a
// failure whose recipient may have other targets is told when nothing else is to come of him.

// undecidedFor is how long, by the log's clock, a failure is kept whose attempt's other lines are still to come, where
// nothing tells its end: a mail server writes them at once.
const undecidedFor = time.Minute

// fail emits that a recipient of m failed, if m is ours or may be. where there may be more to come of the recipient, later.
func (t *tracker) fail(l *logLine, m *message, o *outcome, neverHard bool, emit func(event.Event)) error {
	switch t.originOf(m) {
	case foreign:
		e := t.report(l, m, o, "")
		e.Type, e.NeverHard = event.Foreign, neverHard
		emit(e)
		return nil
	case nobodys:
		return event.Refuse(whyUnopened, "no line told who handed this message in")
	}
	o.neverHard, o.at = neverHard, l.at
	switch {
	case m.hasReached(m.knownAs(o)), t.isArchive(o), m.isForwarded(m.knownAs(o)): // of the last, the copy's lines tell
		emit(t.report(l, m, o, event.CopyFailed))
	case t.mayHaveTargets(m, o):
		d := m.editDetails()
		d.failed = append(d.failed, *o)
		t.memory.undecided[m] = l.at
	default:
		e := t.report(l, m, o, "")
		e.NeverHard = neverHard
		emit(e)
	}
	return nil
}

// isArchive says whether o's recipient only gets copies of what others are sent.
func (t *tracker) isArchive(o *outcome) bool {
	return slices.ContainsFunc(t.archives, func(pattern string) bool {
		return text.Match(pattern, o.to) || text.Match(pattern, o.origTo) || address.Same(pattern, o.to)
	})
}

// mayHaveTargets says whether o's recipient may have been turned into other targets than this one.
func (t *tracker) mayHaveTargets(m *message, o *outcome) bool {
	return t.anyTargets || m.has(msgForwarded) || m.has(msgSeveral) && m.knownAs(o) != o.to
}

// knownAs is the address under which the sender knows a recipient.
func (m *message) knownAs(o *outcome) string {
	return cmp.Or(o.origTo, m.alias(o.to), o.to)
}

// reached notes that a recipient has m. What failed for him before was a copy's.
func (t *tracker) reached(l *logLine, m *message, o *outcome, emit func(event.Event)) {
	known := m.knownAs(o)
	if d := m.details(); len(d.failed) > 0 {
		d.failed = slices.DeleteFunc(d.failed, func(f outcome) bool {
			same := address.Same(m.knownAs(&f), known)
			if same {
				emit(t.report(l, m, &f, event.CopyFailed))
			}
			return same
		})
		if m.more.failed = d.failed; len(d.failed) == 0 {
			delete(t.memory.undecided, m)
		}
	}
	switch {
	case m.got == "":
		m.got = known
	case !m.hasReached(known) && len(m.details().delivered) < maxReached:
		d := m.editDetails()
		d.delivered = append(d.delivered, known)
	}
}

const maxReached = 1000 // recipients of a message that are remembered

// hasReached says whether a recipient has m.
func (m *message) hasReached(known string) bool {
	same := func(a string) bool { return a == known || address.Same(a, known) }
	return m.got != "" && same(m.got) || m.more != nil && slices.ContainsFunc(m.more.delivered, same)
}

// decide emits the failures of those recipients of m of whom nothing is to come any more: of none, finally.
func (t *tracker) decide(l *logLine, m *message, finally bool, emit func(event.Event)) {
	if m.more == nil || len(m.more.failed) == 0 {
		return
	}
	var left []outcome
	for list := m.more.failed; len(list) > 0; {
		known := m.knownAs(&list[0])
		isHis := func(o outcome) bool { return address.Same(m.knownAs(&o), known) }
		var his, others []outcome
		for _, o := range list {
			if isHis(o) {
				his = append(his, o)
			} else {
				others = append(others, o)
			}
		}
		if list = others; !finally && slices.ContainsFunc(m.pending, isHis) {
			left = append(left, his...)
			continue
		}
		emit(t.reportAll(l, m, his))
	}
	if m.more.failed = left; len(left) == 0 {
		delete(t.memory.undecided, m)
	}
	if t.memory.holds(m) {
		t.memory.touch(m, m.seen)
	}
}

// reportAll makes the event of a recipient all of whose targets failed.
func (t *tracker) reportAll(l *logLine, m *message, all []outcome) event.Event {
	e := t.report(l, m, &all[0], "")
	e.NeverHard = all[0].neverHard
	if at := all[0].at; at != l.at {
		e.Time = time.UnixMicro(at).UTC()
	}
	for _, o := range all[1:] {
		e.Others = append(e.Others, event.Reply{Code: o.code, Status: o.status, Text: o.diagnostic, Remote: o.remote, NeverHard: o.neverHard})
		if o.to != all[0].to {
			e.OriginalRecipient = ""
		}
	}
	return e
}

// decideDue emits failures whose attempt is over, and of messages that were forgotten.
func (t *tracker) decideDue(l *logLine, emit func(event.Event)) {
	if len(t.memory.undecided) == 0 && len(t.memory.orphans) == 0 {
		return
	}
	due := l.at - undecidedFor.Microseconds()
	if t.anyTargets {
		t.decideAll(l, func(m *message, at int64) bool { return at < due && m.key.host == t.hostHash }, false, emit)
	}
	for _, m := range t.memory.orphans {
		t.decide(l, m, true, emit)
	}
	t.memory.orphans = nil
}

func (t *tracker) decideAll(l *logLine, isDue func(*message, int64) bool, finally bool, emit func(event.Event)) {
	var due []*message
	for m, at := range t.memory.undecided {
		if isDue(m, at) {
			due = append(due, m)
		}
	}
	slices.SortFunc(due, func(a, b *message) int {
		return cmp.Or(cmp.Compare(t.memory.undecided[a], t.memory.undecided[b]), slices.Compare(a.key.id[:], b.key.id[:]))
	})
	for _, m := range due {
		t.decide(l, m, finally, emit)
		if t.memory.undecided[m] != 0 {
			t.memory.undecided[m] = l.at // asked again later
		}
	}
}

// Flush implements parsers.Flusher.
func (t *tracker) Flush(emit func(event.Event)) {
	l := &t.line
	t.decideDue(l, emit)
	t.decideAll(l, func(*message, int64) bool { return true }, true, emit)
}
