package mail

import (
	"strings"

	"bouncefeed/internal/address"
	"bouncefeed/internal/event"
	"bouncefeed/internal/text"
)

// arfEvents reads an abuse report (RFC 5965): one complaint for each Original-Rcpt-To, or for the returned message's
// recipient where the report hides it.
func (m *message) arfEvents() []event.Event {
	fields, _ := cutHeader(unixLines([]byte(toUTF8(m.feedback.decoded(maxText), ""))))
	switch kind := strings.ToLower(strings.TrimSpace(fields.get("Feedback-Type"))); kind {
	case "auth-failure", "dmarc", "dkim", "spf":
		return m.only(event.AuthFailureReport)
	case "not-spam":
		return m.only(event.NotSpamReport)
	}
	e := m.event()
	e.Type = event.Complaint
	e.Diagnostic = fields.get("Feedback-Type")
	e.QueueIDIssuer = mtaName(fields.get("Reporting-MTA"))
	if sender := address.Of(fields.get("Original-Mail-From")); sender != "" {
		e.Sender = sender
		m = m.withSender(sender)
		e.SubscriberUUID, e.CampaignUUID, e.Evidence = m.returned.proof.Subscriber, m.returned.proof.Campaign, m.returned.proof.Evidence
	}
	if date := fields.get("Arrival-Date"); date != "" && !m.header.has("Date") {
		e.Time = m.time(date)
	}
	var recipients []string
	fields.each("Original-Rcpt-To", func(v string) { recipients = addAddress(recipients, address.Of(v)) })
	if len(recipients) == 0 {
		recipients = m.originalRecipients()
	}
	return m.complaints(e, recipients)
}

// withSender is the same message, with what the envelope sender of the returned one proves.
func (m *message) withSender(sender string) *message {
	s := *m
	s.returned.proof.AddVERP(sender)
	return &s
}

func (m *message) complaints(e event.Event, recipients []string) []event.Event {
	if len(recipients) == 0 {
		return []event.Event{e}
	}
	events := make([]event.Event, 0, len(recipients))
	for _, r := range recipients {
		one := e
		one.Recipient = r
		events = append(events, one)
	}
	return m.prove(events)
}

// originalRecipients is to whom the returned message went: what a server noted in it, else its To.
func (m *message) originalRecipients() []string {
	for _, name := range []string{"X-HmXmrOriginalRecipient", "X-Original-To", "Delivered-To", "X-Rcpt-To", "Envelope-To", "To"} {
		var found []string
		for _, a := range m.returned.header.addresses(name) {
			found = addAddress(found, a)
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

func addAddress(list []string, addr string) []string {
	if !address.Valid(addr) || len(list) >= maxRecipients {
		return list
	}
	for _, known := range list {
		if address.Same(known, addr) {
			return list
		}
	}
	return append(list, addr)
}

// isComplaint knows complaints that are no ARF: those of Microsoft's Junk Mail Reporting Program, a mixed message with the
// reported one enclosed, whose header names the recipient; and those of SpamCop, a text that quotes it.
func (m *message) isComplaint() bool {
	return len(m.enclosed) > 0 && text.IndexFold(m.header.get("Subject"), "complaint about message from") >= 0 || m.header.has("X-SpamCop-sourceip")
}

// complaint reads one that is no ARF.
func (m *message) complaint() []event.Event {
	e := m.event()
	e.Type = event.Complaint
	return m.complaints(e, m.originalRecipients())
}

// isOptOut knows that request by its header, and by its words where the header was lost.
func (m *message) isOptOut() bool {
	if m.header.has("X-Apple-Unsubscribe") {
		return true
	}
	if !text.HasPrefixFold(m.header.get("Subject"), "unsubscribe") {
		return false
	}
	return strings.Contains(m.folded.words(), "apple mail sent this email to unsubscribe")
}

// optOut reads the request that Apple Mail sends for its user's press on "Unsubscribe": the same as an opt-out report.
func (m *message) optOut() []event.Event {
	e := m.event()
	e.Type = event.Complaint
	e.Diagnostic = "opt-out"
	e.Sender = ""
	var from []string
	for _, a := range m.header.addresses("From") {
		from = addAddress(from, a)
	}
	return m.complaints(e, from)
}
