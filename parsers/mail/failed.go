package mail

import (
	"slices"
	"strings"

	"bouncefeed/internal/address"
	"bouncefeed/internal/event"
	"bouncefeed/internal/listmonk"
	"bouncefeed/internal/smtp"
	"bouncefeed/internal/text"
)

// outcome gives the event type of a group: "" for a failure. A success that is called a failure is none, nor is what an
// address check says ("deliverable", "undeliverable"): no message failed.
func (r *dsnRecipient) outcome() event.Type {
	succeeded := strings.HasPrefix(r.status, "2")
	switch r.action {
	case "delayed", "delay", "deferred":
		return event.Delayed
	case "delivered", "relayed", "expanded":
		return event.Delivered
	case "": // left out
		if strings.HasPrefix(r.status, "4") {
			return event.Delayed
		}
	case "failed", "fail", "failure", "expired": // SendGrid's
	default:
		if !succeeded {
			return event.Ordinary
		}
	}
	if succeeded {
		return event.Delivered
	}
	return ""
}

// isReport says whether a delivery-status part is this message's own report: a multipart/report has it, or a mail system
// sent it. Anybody can attach such a part to a letter.
func (m *message) isReport() bool {
	return m.typ == "multipart/report" && !m.isHuman() || m.from.daemon || m.from.null
}

// dsnEvents gives one event for each group, nil if the report names no recipient. A group with two readings is refused
// with its report.
func (m *message) dsnEvents(d dsnReport) ([]event.Event, error) {
	if d.twice != "" {
		return nil, event.Refuse(event.WhyTwoReadings, "a group of a delivery status with two of %s", d.twice)
	}
	failed := 0
	for i := range d.recipients {
		if d.recipients[i].outcome() == "" {
			failed++
		}
	}
	said, own := m.said(), m.ownAddresses(d.sender)
	events := make([]event.Event, 0, len(d.recipients))
	for i := range d.recipients {
		r := &d.recipients[i]
		e := m.dsnEvent(&d, r)
		name := m.nameOf(r, len(d.recipients) == 1, own)
		e.Recipient, e.OriginalRecipient = name.failed, name.other
		if e.Type = r.outcome(); e.Type == "" {
			if name.own && failed > 1 || d.hasArrived(r) {
				continue
			}
			m.diagnose(&e, r, said, failed == 1)
			events = addFailure(events, e)
			continue
		}
		events = append(events, unledgered(e))
	}
	return m.prove(events), nil
}

// addFailure adds a failure to events, or puts it together with that of the same recipient: an alias failed as often as it was
// turned into addresses, and sendmail names a recipient once for each alias that led to it. He failed hard only if all of them
// failed alike.
func addFailure(events []event.Event, e event.Event) []event.Event {
	same := func(other event.Event) bool { return other.Type == "" && address.Same(other.Recipient, e.Recipient) }
	if at := slices.IndexFunc(events, same); at >= 0 {
		events[at].NeverHard = events[at].NeverHard || e.NeverHard || !alike(&events[at], &e)
		return events
	}
	return append(events, e)
}

// alike says whether two failures have the same reason, as far as that can be told without knowing any: by the status, else by
// the one that the reply has, else by its words.
func alike(a, b *event.Event) bool {
	if x, y := clearStatus(a), clearStatus(b); x != "" || y != "" {
		return x == y
	}
	return a.Diagnostic == b.Diagnostic && a.Diagnostic+a.Status != ""
}

// clearStatus is the enhanced status code of a failure, "" if that tells nothing.
func clearStatus(e *event.Event) string {
	for _, status := range []string{e.Status, smtp.FindStatus(e.Diagnostic, "245")} {
		if status != "" && !strings.HasSuffix(status, ".0.0") {
			return status
		}
	}
	return ""
}

// hasArrived says whether another group tells that the same message arrived at one of the addresses into which an alias turned
// that of r: a copy failed, the recipient did not.
func (d *dsnReport) hasArrived(r *dsnRecipient) bool {
	return r.original != "" && slices.ContainsFunc(d.recipients, func(other dsnRecipient) bool {
		return other.outcome() == event.Delivered && address.Same(other.original, r.original)
	})
}

func (m *message) dsnEvent(d *dsnReport, r *dsnRecipient) event.Event {
	e := m.event()
	e.Status, e.RemoteMTA = r.status, r.remoteMTA
	if e.MessageID == "" {
		e.MessageID = d.originalID
	}
	if e.QueueIDIssuer != "" && !strings.EqualFold(e.QueueIDIssuer, d.reportingMTA) {
		e.QueueID = "" // given by another host than the one that reports
	}
	if d.reportingMTA != "" {
		e.QueueIDIssuer = d.reportingMTA
	}
	if d.queueID != "" {
		e.QueueID = d.queueID
	}
	if d.sender != "" {
		e.Sender = d.sender
	}
	if r.lastAttempt != "" {
		e.Time = m.time(r.lastAttempt)
	} else if d.arrival != "" && !m.header.has("Date") {
		e.Time = m.time(d.arrival)
	}
	return e
}

// groupName is whom a group is about.
type groupName struct {
	failed string // to whom we wrote, as far as the report tells
	other  string // what became of that address, or what else may be it
	own    bool   // the group names one of our own addresses, which is no recipient
}

// nameOf finds whom a group is about: its Original-Recipient, else what the text says that the Final-Recipient was
// generated from, else that one. The returned message's To completes a local part without a domain, and stands in where
// the only group names nobody.
func (m *message) nameOf(r *dsnRecipient, only bool, own *ownAddresses) groupName {
	var n groupName
	original := r.original
	if address.Same(original, r.final) {
		original = ""
	} else if decoded := address.DecodeXtext(original); address.Valid(decoded) {
		original = decoded // copied from ORCPT= as it stood (RFC 3461 §4.2)
	}
	for _, a := range [...]string{original, m.origin(r.final), r.final} {
		switch {
		case a == "" || address.Same(a, n.failed):
		case own.has(a):
			n.own = true
		case n.failed == "", !address.Valid(n.failed) && address.Valid(a): // a local part is better than nothing
			n.failed = a
		case address.Valid(a):
			n.other = a
		}
	}
	switch {
	case n.failed == "" && !n.own:
		n.failed = m.shownInText(r)
	case n.failed != "" && !address.Valid(n.failed):
		n.failed = m.inOriginalTo(n.failed)
	}
	if only && n.failed == "" && n.own {
		if to := m.onlyReturnedTo(); !own.has(to) {
			n.failed = to
		}
	}
	return n
}

// shownInText is the address in a Final-Recipient that has one bracket too many, if the text shows it between two.
func (m *message) shownInText(r *dsnRecipient) string {
	_, value := splitType(r.given[1])
	if a := strings.Trim(value, "<>"); address.Valid(a) && strings.Contains(m.body, "<"+a+">") {
		return a
	}
	return ""
}

// inOriginalTo completes a local part without a domain to the address in the returned message's To that has it, if there is
// one such address.
func (m *message) inOriginalTo(local string) string {
	found := local
	for _, to := range m.returned.to {
		if len(to) <= len(local) || to[len(local)] != '@' || !text.HasPrefixFold(to, local) {
			continue
		}
		if found != local && !address.Same(found, to) {
			return local
		}
		found = to
	}
	return found
}

// diagnose fills in what the MTA answered. Where the report's own diagnostic says nothing, the text for humans does.
func (m *message) diagnose(e *event.Event, r *dsnRecipient, all *said, alone bool) {
	e.Diagnostic = r.diagnostic
	if isVague(r.diagnostic) || r.diagnosticType == "x-unix" {
		said := all.of(alone, e.Recipient, r.final)
		if found := said.find(); found != "" && (saysMore(found, r.diagnostic) || r.diagnosticType == "x-unix") {
			e.Diagnostic = onlyReply(found)
		} else if isVague(e.Diagnostic) && (e.Status == "" || strings.HasSuffix(e.Status, ".0.0")) {
			e.Diagnostic = said.excerpt()
		}
	}
	e.Diagnostic = withoutWarning(e.Diagnostic)
	e.Code, _ = smtp.FindReply(e.Diagnostic)
	// A refusal that soft_bounce=yes put off stays one.
	e.NeverHard = strings.HasPrefix(e.Status, "4") && e.Code < 500 || saysExpired(e.Diagnostic)
	if !e.NeverHard && (e.Status == "" || e.Status == "5.0.0") { // Exim's status is always 5.0.0
		if alone {
			e.NeverHard = m.folded.in().have(phrases.failure.expired)
		} else {
			e.NeverHard = saysExpired(all.of(false, e.Recipient, r.final).find())
		}
	}
}

// saysMore says whether what the text says is worth more than a vague diagnostic: one of a few letters is not, if that is a
// reply and the text has none.
func saysMore(found, diagnostic string) bool {
	code, _ := smtp.FindReply(diagnostic)
	other, _ := smtp.FindReply(found)
	return code == 0 || other != 0 || letters(diagnostic) == 0
}

func saysExpired(diagnostic string) bool {
	return phrases.places.expired.In(text.Fold(diagnostic))
}

// isVague is true of "", "550", "5.0.0 failed" and of an address alone.
func isVague(diagnostic string) bool { return letters(diagnostic) < 8 }

// letters counts those of a diagnostic outside of addresses, in bytes: two ideographs are a word.
func letters(diagnostic string) int {
	for _, s := range address.Find(diagnostic) {
		diagnostic = strings.Replace(diagnostic, s.Addr, "", 1)
	}
	n := 0
	for i := range len(diagnostic) {
		if c := diagnostic[i]; c > '9' && c != ';' && c != '<' && c != '>' {
			n++
		}
	}
	return n
}

// prove leaves the proof of a subscriber with one of the failures: a message has one subscriber, and whose UUID it has can
// speak for himself only. That is who is in the returned message's To, else the first: what an alias was turned into, which
// is hard only if all of it failed alike.
//
// Where there is one failure, to whom we wrote stands beside the address that the report names: the agent may know that we did.
func (m *message) prove(events []event.Event) []event.Event {
	first, mine, failures := -1, -1, 0
	for i := range events {
		if e := &events[i]; e.Type == "" || e.Type == event.Complaint {
			if failures++; first < 0 {
				first = i
			}
			if mine < 0 && m.sentTo(e) {
				mine = i
			}
		}
	}
	if failures == 1 && mine < 0 {
		if e := &events[first]; e.OriginalRecipient == "" && address.Valid(e.Recipient) {
			e.OriginalRecipient = m.envelopeRecipient()
		}
	}
	if failures < 2 || m.returned.proof.Subscriber == "" {
		return events
	}
	keeper := mine
	if mine < 0 {
		keeper = first
	}
	for i := range events {
		e := &events[i]
		if i == keeper || e.Type != "" && e.Type != event.Complaint {
			continue
		}
		e.SubscriberUUID, e.CampaignUUID, e.Evidence = "", "", ""
		if mine < 0 && (e.NeverHard || !alike(e, &events[keeper])) {
			events[keeper].NeverHard = true
		}
	}
	return events
}

// envelopeRecipient is to whom we sent the message, where that is known besides what the report says: the one address in To
// of a message that carries our subscriber's UUID, or what a classic VERP address says if To agrees. It never overrules a
// report, but it may be what the agent knows to have been sent.
func (m *message) envelopeRecipient() string {
	to := m.onlyReturnedTo()
	if to != "" && (m.returned.proof.Evidence == listmonk.EvidenceUUID || address.Same(to, m.returned.proof.Recipient)) {
		return to
	}
	return ""
}

// onlyReturnedTo is the one address in the returned message's To, "" if there are others.
func (m *message) onlyReturnedTo() string {
	to := m.returned.to
	if len(to) != 1 || !address.Valid(to[0]) {
		return ""
	}
	return to[0]
}

// sentTo says whether the returned message was addressed to e's recipient.
func (m *message) sentTo(e *event.Event) bool {
	return slices.ContainsFunc(m.returned.to, func(to string) bool {
		return address.Same(to, e.Recipient) || e.OriginalRecipient != "" && address.Same(to, e.OriginalRecipient)
	})
}
