package mail

import (
	"strings"

	"bouncefeed/internal/address"
	"bouncefeed/internal/event"
	"bouncefeed/internal/listmonk"
	"bouncefeed/internal/smtp"
	"bouncefeed/internal/text"
)

// dsnReport is a delivery status notification (RFC 3464, and RFC 6533 for its internationalised form).
type dsnReport struct {
	reportingMTA string
	queueID      string // X-Postfix-Queue-ID
	sender       string // X-Postfix-Sender
	arrival      string // Arrival-Date
	originalID   string // X-Original-Message-ID, Gmail's
	recipients   []dsnRecipient
}

// dsnRecipient is one group of per-recipient fields (RFC 3464 §2.3).
type dsnRecipient struct {
	original, final string // addresses, cleaned
	action          string // lower case: failed, delayed, delivered, relayed, expanded
	status          string
	remoteMTA       string
	diagnostic      string // without its type
	diagnosticType  string // lower case: smtp, x-unix, x-postfix …
	lastAttempt     string
}

// parseDSN reads the fields of a delivery-status part. Groups are divided by blank lines; where a generator forgot
// them, by a field that comes again. A line that is no field goes on with the one before.
func parseDSN(text string) dsnReport {
	var d dsnReport
	var r dsnRecipient
	var name, value string
	flush := func() {
		complete := r.action != "" || r.status != "" || r.diagnostic != "" // else the report was cut off here
		if (r.final != "" || r.original != "") && complete && len(d.recipients) < maxRecipients {
			d.recipients = append(d.recipients, r)
			r = dsnRecipient{}
		}
	}
	take := func() {
		if r.repeats(name) {
			flush()
		}
		d.set(&r, name, strings.TrimSpace(value))
		name, value = "", ""
	}
	for text != "" && len(d.recipients) < maxRecipients {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		if strings.TrimSpace(line) == "" {
			take()
			flush()
			continue
		}
		if line[0] != ' ' && line[0] != '\t' {
			if n, v, ok := dsnField(line); ok {
				take()
				name, value = n, v
				continue
			}
		}
		if name != "" && len(value) < maxValue {
			value += " " + strings.TrimSpace(line)
		}
	}
	take()
	flush()
	return d
}

// dsnField splits "Name: value". Replies contain colons too, so the name must look like a field's: "550-5.1.1 see
// https://…" is not one.
func dsnField(line string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(line, ":")
	if !ok || len(name) > 40 || name == "" {
		return "", "", false
	}
	name = strings.TrimRight(name, " \t")
	for i := range len(name) {
		if c := name[i] | 0x20; !('a' <= c && c <= 'z' || name[i] == '-' && i > 0) {
			return "", "", false
		}
	}
	for _, known := range dsnFields {
		if len(name) == len(known) && strings.EqualFold(name, known) {
			return known, value, true
		}
	}
	switch name = strings.ToLower(name); name {
	case "http", "https", "said", "reason", "error":
		return "", "", false
	}
	return name, value, true
}

// dsnFields are the fields that are read; most lines are one of them.
var dsnFields = []string{"reporting-mta", "arrival-date", "original-recipient", "final-recipient", "action", "status", "remote-mta",
	"diagnostic-code", "last-attempt-date", "x-postfix-queue-id", "x-postfix-sender", "x-original-message-id", "x-supplementary-info"}

func (r *dsnRecipient) repeats(name string) bool {
	switch name {
	case "final-recipient":
		return r.final != ""
	case "original-recipient":
		return r.original != ""
	case "action":
		return r.action != ""
	}
	return false
}

func (d *dsnReport) set(r *dsnRecipient, name, value string) {
	switch name {
	case "reporting-mta":
		d.reportingMTA = mtaName(value)
	case "x-postfix-queue-id":
		d.queueID = value
	case "x-postfix-sender":
		d.sender = typedAddress(value)
	case "x-original-message-id":
		d.originalID = listmonk.CleanMessageID(value)
	case "arrival-date":
		d.arrival = value
	case "original-recipient":
		r.original = typedAddress(value)
	case "final-recipient":
		r.final = typedAddress(value)
	case "action":
		r.action, _, _ = strings.Cut(strings.ToLower(value), " ")
	case "status":
		r.status = smtp.FindStatus(value, "245")
		if comment, _, found := strings.Cut(value, "("); found && r.diagnostic == "" && strings.TrimSpace(comment) != "" {
			r.diagnostic = strings.Trim(value[len(comment):], "() ")
		}
	case "remote-mta":
		r.remoteMTA = mtaName(value)
	case "diagnostic-code":
		r.diagnosticType, r.diagnostic = splitType(value)
	case "last-attempt-date":
		r.lastAttempt = value
	case "x-supplementary-info":
		if r.diagnostic == "" {
			r.diagnostic = value
		}
	}
}

// splitType takes the type off "smtp; 550 …"; a value without one, as some write it, is all text.
func splitType(v string) (typ, rest string) {
	typ, rest, found := strings.Cut(v, ";")
	if typ = strings.TrimSpace(typ); !found || len(typ) > 32 || strings.ContainsAny(typ, " \t<>") {
		return "", strings.TrimSpace(v)
	}
	return strings.ToLower(typ), strings.TrimSpace(rest)
}

// mtaName reads "dns; mx.example.org (192.0.2.1, the server for …)".
func mtaName(v string) string {
	_, name := splitType(v)
	name, _, _ = strings.Cut(name, " ")
	return strings.Trim(name, "<>[]();,.")
}

// typedAddress reads "rfc822; jo@example.org" or "utf-8; …" (RFC 6533 §3). What is no address gives "": a program
// ("x-unix; |/usr/bin/vacation"), an X.400 name.
func typedAddress(v string) string {
	typ, rest := splitType(v)
	if typ == "utf-8" {
		rest = address.DecodeUTF8(rest)
	}
	if addr := address.Of(rest); addr != "" {
		return addr
	}
	return bareLocal(typ, strings.Trim(rest, "<>"))
}

// bareLocal keeps a local user's name without a domain, as sendmail and MTAs inside a company write it.
func bareLocal(typ, addr string) string {
	if addr == "" || strings.ContainsAny(addr, " \t|/\\:;,<>()=@") || typ == "" || strings.HasPrefix(typ, "x") {
		return ""
	}
	return addr
}

// outcome gives the event type of a group: "" for a failure.
func (r *dsnRecipient) outcome() event.Type {
	switch {
	case r.action == "delayed" || r.action == "delay" || r.action == "deferred":
		return event.Delayed
	case r.action == "delivered" || r.action == "relayed" || r.action == "expanded":
		return event.Delivered
	case r.action == "" && strings.HasPrefix(r.status, "2"):
		return event.Delivered
	case r.action == "" && strings.HasPrefix(r.status, "4"):
		return event.Delayed
	}
	return ""
}

// dsnEvents gives one event for each group, nil if the report names no recipient.
func (m *message) dsnEvents(d dsnReport) []event.Event {
	failed := 0
	for i := range d.recipients {
		if d.recipients[i].outcome() == "" {
			failed++
		}
	}
	events := make([]event.Event, 0, len(d.recipients))
	for i := range d.recipients {
		r := &d.recipients[i]
		e := m.dsnEvent(&d, r)
		if e.Type = r.outcome(); e.Type == "" {
			m.diagnose(&e, r, failed == 1)
			if e = m.failure(e, failed == 1); hasFailure(events, e.Recipient) {
				continue
			}
		}
		events = append(events, unledgered(e))
	}
	return events
}

// hasFailure says whether a failure of recipient is among events: sendmail names it once for each alias it went through.
func hasFailure(events []event.Event, recipient string) bool {
	for i := range events {
		if events[i].Type == "" && address.Same(events[i].Recipient, recipient) {
			return true
		}
	}
	return false
}

func (m *message) dsnEvent(d *dsnReport, r *dsnRecipient) event.Event {
	e := m.event()
	original := r.original
	if decoded := address.DecodeXtext(original); !address.Same(original, r.final) && address.Valid(decoded) {
		original = decoded // copied from ORCPT= as it stood (RFC 3461 §4.2)
	}
	e.Recipient, e.OriginalRecipient = original, r.final
	if !address.Valid(original) || address.Same(original, r.final) {
		e.Recipient, e.OriginalRecipient = r.final, ""
	}
	if !address.Valid(e.Recipient) {
		e.Recipient = m.inOriginalTo(e.Recipient)
	}
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

// inOriginalTo completes a local part without a domain to the address in the returned message's To that has it.
func (m *message) inOriginalTo(local string) string {
	for _, to := range m.returned.header.addresses("To") {
		if len(to) > len(local) && to[len(local)] == '@' && text.HasPrefixFold(to, local) {
			return to
		}
	}
	return local
}

// diagnose fills in what the MTA answered. Where the report's own diagnostic says nothing, the text for humans does.
func (m *message) diagnose(e *event.Event, r *dsnRecipient, single bool) {
	e.Diagnostic = r.diagnostic
	if isVague(r.diagnostic) || r.diagnosticType == "x-unix" {
		if text := m.findDiagnostic(e.Recipient, r.final); text != "" {
			e.Diagnostic = onlyReply(text)
		} else if isVague(e.Diagnostic) && (e.Status == "" || strings.HasSuffix(e.Status, ".0.0")) {
			e.Diagnostic = m.excerpt()
		}
	}
	e.Code, _ = smtp.FindReply(e.Diagnostic)
	// A refusal that soft_bounce=yes put off stays one.
	e.NeverHard = strings.HasPrefix(e.Status, "4") && e.Code < 500 || saysExpired(e.Diagnostic)
	if !e.NeverHard && (e.Status == "" || e.Status == "5.0.0") { // Exim's status is always 5.0.0
		said := m.foldedText()
		if !single {
			said = m.findDiagnostic(e.Recipient, r.final)
		}
		e.NeverHard = saysExpired(said)
	}
}

func saysExpired(diagnostic string) bool {
	return phrases.failure.expired.in(text.Fold(diagnostic))
}

// isVague is true of "", "550", "5.0.0 failed" and of an address alone.
func isVague(diagnostic string) bool {
	for _, s := range address.Find(diagnostic) {
		diagnostic = strings.Replace(diagnostic, s.Addr, "", 1)
	}
	letters := 0
	for _, c := range diagnostic {
		if c > '9' && c != ';' && c != '<' && c != '>' {
			letters++
		}
	}
	return letters < 8
}
