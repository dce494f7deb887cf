package mail

import (
	"strings"

	"bouncefeed/internal/address"
	"bouncefeed/internal/event"
	"bouncefeed/internal/listmonk"
	"bouncefeed/internal/smtp"
	"bouncefeed/internal/text"
)

// dispositionEvents reads a disposition notification (RFC 8098): a receipt, or what Sieve's reject makes of it (RFC 5429
// §2.1.2), which Dovecot also sends for a full mailbox: "Auto-Submitted: auto-replied (rejected)" and the text
//
//	Your message to <jo@example.org> was automatically rejected:
//	Quota exceeded (mailbox for user is full)
func (m *message) dispositionEvents() []event.Event {
	fields, _ := cutHeader(m.disposition.decoded(maxText))
	recipient := typedAddress(fields.get("Final-Recipient"))
	if text.IndexFold(m.header.get("Auto-Submitted"), "reject") < 0 || !address.Valid(recipient) {
		return m.only(event.MDN)
	}
	e := m.event()
	e.Recipient = recipient
	if original := typedAddress(fields.get("Original-Recipient")); address.Valid(original) && !address.Same(original, recipient) {
		e.Recipient, e.OriginalRecipient = original, recipient
	}
	if id := listmonk.CleanMessageID(fields.get("Original-Message-ID")); id != "" {
		e.MessageID = id
	}
	e.Diagnostic = m.said().of(true, recipient, "").excerpt()
	if _, reason, found := strings.Cut(e.Diagnostic, "rejected:"); found {
		e.Diagnostic = strings.TrimSpace(reason)
	}
	e.Code, _ = smtp.FindReply(e.Diagnostic)
	e.Status = smtp.FindStatus(e.Diagnostic, "245")
	return m.prove([]event.Event{e})
}
