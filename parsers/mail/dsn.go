package mail

import (
	"slices"
	"strings"

	"bouncefeed/internal/address"
	"bouncefeed/internal/listmonk"
	"bouncefeed/internal/smtp"
)

// dsnReport is a delivery status notification (RFC 3464, and RFC 6533 for its internationalised form).
type dsnReport struct {
	reportingMTA string
	queueID      string // X-Postfix-Queue-ID
	sender       string // X-Postfix-Sender
	arrival      string // Arrival-Date
	originalID   string // X-Original-Message-ID, Gmail's
	recipients   []dsnRecipient
	twice        string // the field that a group has twice, with different values
}

// dsnRecipient is one group of per-recipient fields (RFC 3464 §2.3).
type dsnRecipient struct {
	original, final string // addresses, cleaned; "" for what is none
	action          string // lower case: failed, delayed, delivered, relayed, expanded
	status          string
	remoteMTA       string
	diagnostic      string // without its type
	diagnosticType  string // lower case: smtp, x-unix, x-postfix …
	lastAttempt     string

	given  [len(onceFields)]string // as they stand
	joined bool                    // it begins where a blank line should part it from the group before
	parted bool                    // a blank line stands inside it
}

// onceFields are what a group has once and who failed, or whether, depends on.
var onceFields = [...]string{"original-recipient", "final-recipient", "action", "status", "diagnostic-code"}

// isNamed says whether the group names a recipient, be that an address or not.
func (r *dsnRecipient) isNamed() bool { return r.given[0] != "" || r.given[1] != "" }

// isWhole says whether the group tells of whom it is and what became of him; else the report was cut off here, or is of a
// program. An address that is none is still somebody's.
func (r *dsnRecipient) isWhole() bool {
	named := r.final != "" || r.original != "" || strings.Contains(r.given[0]+r.given[1], "@")
	return named && (r.action != "" || r.status != "" || r.diagnostic != "")
}

// A dsnReader reads the fields of a delivery-status part, one group after the other.
type dsnReader struct {
	report      dsnReport
	group       dsnRecipient
	name, value string // the field that is being read
	splits      func(before, after string) bool
}

// parseDSN reads the fields of a delivery-status part. Groups are divided by blank lines; where a generator forgot
// them, by a field that comes again behind a whole group. A line that is no field goes on with the one before; splits says
// whether a word was broken between the two.
func parseDSN(text string, splits func(before, after string) bool) dsnReport {
	r := dsnReader{splits: splits}
	for text != "" && len(r.report.recipients) < maxRecipients {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		r.read(line)
	}
	r.endField()
	r.endGroup()
	return r.report
}

func (r *dsnReader) read(line string) {
	if strings.TrimSpace(line) == "" {
		r.endField()
		r.endGroup()
		r.group.parted = r.group.isNamed()
		return
	}
	if line[0] != ' ' && line[0] != '\t' {
		if n, v, ok := dsnField(line); ok {
			r.endField()
			r.name, r.value = n, v
			return
		}
	}
	if more := strings.TrimSpace(line); r.name != "" && len(r.value) < maxValue {
		if r.name != "diagnostic-code" || r.splits == nil || !r.splits(r.value, more) {
			r.value += " "
		}
		r.value += more
	}
}

// endField puts the field that was read in its place. One that the group has already begins another group behind a whole
// one; else the group has two readings: what one reader takes from the first of them, another takes from the last.
func (r *dsnReader) endField() {
	name, value := r.name, strings.TrimSpace(r.value)
	r.name, r.value = "", ""
	at := slices.Index(onceFields[:], name)
	if at < 0 || value == "" {
		r.report.set(&r.group, name, value)
		return
	}
	ofRecipient := at < 2
	if ofRecipient && r.group.parted && r.group.isNamed() { // nothing was said of whom the lines above the blank one name
		r.group = dsnRecipient{}
	}
	if before := r.group.given[at]; before != "" && !strings.EqualFold(before, value) {
		switch {
		case (ofRecipient || name == "action") && r.group.isWhole():
			r.endGroup()
			r.group.joined = true
		case r.report.twice == "":
			r.report.twice = name
		}
	}
	r.group.given[at] = value
	r.report.set(&r.group, name, value)
}

func (r *dsnReader) endGroup() {
	switch {
	case r.group.isWhole():
		if len(r.report.recipients) < maxRecipients {
			r.report.recipients = append(r.report.recipients, r.group)
		}
		r.group = dsnRecipient{}
	case r.group.joined: // only a recipient came again
		if r.report.twice == "" {
			r.report.twice = "recipient"
		}
		r.group = dsnRecipient{}
	}
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
