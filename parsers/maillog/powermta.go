package maillog

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/listmonk"
	"bouncefeed/internal/smtp"
	"bouncefeed/parsers"
)

func init() { parsers.Register("powermta", defaultRecords, buildPowermta) }

// powermta reads PowerMTA's accounting files (<acct-file>), comma-separated values with a header line that names the
// columns:
//
//	type,timeLogged,timeQueued,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,…
//	b,2026-11-22 07:00:00+0000,2026-11-22 06:59:58+0000,bounce@example.org,jo@example.net,,failed,5.1.1 (bad destination mailbox address),"smtp;550 5.1.1 user unknown",mx.example.net (192.0.2.1),bad-mailbox,…
//
// b is a bounce, rb one that came later by mail, f a feedback report, t a deferral, d a delivery.
type powermta struct {
	config  recordConfig
	verp    listmonk.VERP
	host    string
	header  string // the last header line, as stored
	columns map[string]int
	putOff  recent // recipients that were put off, and are not done with
	open    []byte // the lines of a record so far that has a line end inside quotes
	changed bool
	line    *bytes.Reader // the one that csv reads
	csv     *csv.Reader
}

// powermtaHeader is the columns of an <acct-file> without record-fields.
const powermtaHeader = "type,timeLogged,timeQueued,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,srcType,srcMta," +
	"dlvType,dlvSourceIp,dlvDestinationIp,dlvEsmtpAvailable,dlvSize,vmta,jobId,envId,queue,vmtaPool"

const (
	powermtaHeaderKey = "header"
	powermtaOpenKey   = "open"

	powermtaMaxOpen = 16 << 10 // bytes of a record of several lines
)

func buildPowermta(env config.Env, section config.Section, c *recordConfig) (parsers.Parser, error) {
	v, err := c.check(section)
	if err != nil {
		return nil, err
	}
	p := &powermta{config: *c, verp: v, host: env.Host, line: new(bytes.Reader), putOff: newRecent(putOffKey, putOffAge)}
	p.csv = csv.NewReader(p.line)
	p.csv.FieldsPerRecord, p.csv.ReuseRecord = -1, true
	p.setHeader(powermtaHeader)
	return p, nil
}

func (p *powermta) setHeader(line string) {
	p.header, p.columns = line, map[string]int{}
	fields, _ := p.split([]byte(line)) // none: no record can be read
	for i, name := range fields {
		p.columns[strings.ToLower(strings.TrimSpace(name))] = i
	}
}

// split parts a record into its fields (RFC 4180), valid until the next call.
func (p *powermta) split(record []byte) ([]string, error) {
	p.line.Reset(record)
	fields, err := p.csv.Read()
	if err != nil || bytes.IndexByte(record, '\n') < 0 {
		return fields, err
	}
	fields = slices.Clone(fields)
	if _, err := p.csv.Read(); err != io.EOF {
		return nil, errors.New("two records in one")
	}
	return fields, nil
}

// join gives the whole record that a line ends, nil where it goes on in the next one: a line end inside quotes, which a
// stranger's words may hold, begins no record.
func (p *powermta) join(line []byte) (record []byte) {
	isOdd := bytes.Count(line, []byte{'"'})%2 == 1
	switch {
	case p.open == nil && !isOdd:
		return line
	case p.open == nil:
		p.open, p.changed = bytes.Clone(line), true
		return nil
	}
	p.open, p.changed = append(append(p.open, '\n'), line...), true
	if !isOdd {
		return nil
	}
	record, p.open = p.open, nil
	return record
}

// Changes implements Stateful: the header stands only at the head of each file.
func (p *powermta) Changes() map[string][]byte {
	changes := map[string][]byte{}
	p.putOff.changes(changes)
	if p.changed {
		changes[powermtaHeaderKey], changes[powermtaOpenKey] = []byte(p.header), p.open
	}
	p.changed = false
	return changes
}

// Load implements Stateful.
func (p *powermta) Load(state iter.Seq2[string, []byte]) error {
	p.setHeader(powermtaHeader)
	p.changed, p.open, p.putOff = false, nil, newRecent(putOffKey, putOffAge)
	for key, value := range state {
		switch key {
		case powermtaHeaderKey:
			p.setHeader(string(value))
		case powermtaOpenKey:
			p.open = bytes.Clone(value)
		default:
			p.putOff.load(key, value)
		}
	}
	p.putOff.loaded()
	return nil
}

// Parse implements Parser.
func (p *powermta) Parse(rec event.Record, emit func(event.Event)) error {
	line := trimLineEnd(rec.Body)
	if p.open != nil || !rec.Truncated && isPowermtaRecord(line) {
		if len(p.open)+len(line) >= powermtaMaxOpen {
			return errors.Join(append(p.giveUp(rec.Time, emit), p.read(line, rec.Time, emit))...)
		}
		if line = p.join(line); line == nil {
			return nil
		}
	}
	return p.read(line, rec.Time, emit)
}

// giveUp refuses a record whose quotes have no end, as where a file was cut off: no field is so long. What was taken for
// its further lines are records.
func (p *powermta) giveUp(at time.Time, emit func(event.Event)) (refused []error) {
	first, rest, _ := bytes.Cut(p.open, []byte("\n"))
	p.open, p.changed = nil, true
	if len(first) > 0 {
		refused = append(refused, &event.RefusedError{Why: event.WhyMalformed, Detail: "a quoted field without its end", Part: first})
	}
	for line := range bytes.SplitSeq(rest, []byte("\n")) {
		refused = append(refused, p.read(line, at, emit))
	}
	return refused
}

// Flush implements parsers.Flusher.
func (p *powermta) Flush(emit func(event.Event)) {
	if p.open != nil {
		p.giveUp(time.Time{}, emit) // what it refuses is in the file
	}
}

// read reads one line or record.
func (p *powermta) read(line []byte, at time.Time, emit func(event.Event)) error {
	if bytes.HasPrefix(line, []byte("type,")) {
		if string(line) != p.header {
			p.setHeader(string(line))
			p.changed = true
		}
		return nil
	}
	if !isPowermtaRecord(line) {
		return nil
	}
	fields, err := p.split(line)
	if err != nil {
		return event.Refuse(event.WhyMalformed, "not comma-separated values: %v", err)
	}
	r := powermtaRecord{p.columns, fields}
	e := event.Event{Time: r.time(at), QueueIDIssuer: p.host, Sender: r.get("orig"), RemoteMTA: r.host()}
	kind := r.get("type")
	switch kind {
	case "d":
		e.Type = event.Delivered
	case "t", "tq":
		e.Type = event.Delayed
		r.explain(&e)
	case "f":
		e.Type = feedbackType(r.get("feedbacktype"))
	}
	if e.Sender == "" && kind != "rb" && kind != "f" {
		return nil // a notice of the null sender
	}
	if err := r.setRecipient(&e); err != nil {
		return err
	}
	if e.Type == "" {
		r.explain(&e)
	}
	isMail := kind == "rb" || kind == "f"
	if !isMail {
		queued := r.get("timequeued")
		e.Transit.Before = p.putOff.wasBefore(&e, strings.Join([]string{queued, r.get("orig"), r.get("jobid"), r.get("envid")}, " "))
		e.Transit.Foreign = p.config.isForeign(r.get("srcmta"))
		if at, ok := powermtaTime(queued); ok && at.Before(e.Time) {
			e.Transit.Delay = e.Time.Sub(at)
		}
	}
	if e.NeedsProof = isMail && p.config.Trust == "proof"; isMail || !p.config.isForeign(r.get("srcmta")) {
		p.identify(&r, &e)
		e.Ours, e.Sole = !isMail, !isMail
	}
	emit(e)
	return nil
}

func isPowermtaRecord(line []byte) bool {
	word, _, ok := bytes.Cut(line[:min(len(line), 8)], []byte(","))
	return ok && isPowermtaType(string(word))
}

func isPowermtaType(s string) bool {
	switch s {
	case "b", "rb", "f", "t", "tq", "d":
		return true
	}
	return false
}

// A powermtaRecord is one line with the names of its columns.
type powermtaRecord struct {
	columns map[string]int
	fields  []string
}

// get gives a column, "" where there is none; its name in lower case.
func (r *powermtaRecord) get(name string) string {
	if i, ok := r.columns[name]; ok && i < len(r.fields) {
		return strings.TrimSpace(r.fields[i])
	}
	return ""
}

func (r *powermtaRecord) time(read time.Time) time.Time {
	if t, ok := powermtaTime(r.get("timelogged")); ok {
		return t
	}
	return read
}

func powermtaTime(stamp string) (t time.Time, ok bool) {
	for _, layout := range []string{"2006-01-02 15:04:05-0700", "2006-01-02 15:04:05Z07:00"} {
		if t, err := time.Parse(layout, stamp); err == nil && isStorable(t) {
			return t.UTC(), true
		}
	}
	if t, err := time.ParseInLocation(time.DateTime, stamp, time.Local); err == nil && isStorable(t) {
		return t.UTC(), true
	}
	return t, false
}

// host is the name of "mx.example.net (192.0.2.1)", "dns;mx.example.net".
func (r *powermtaRecord) host() string {
	name, _, _ := strings.Cut(strings.TrimPrefix(r.get("dsnmta"), "dns;"), " ")
	if strings.ContainsAny(name, "<>@,\"") {
		return ""
	}
	return name
}

// setRecipient takes the address that the sender gave (RFC 3461 §4.2), where it gave another one with ORCPT=.
func (r *powermtaRecord) setRecipient(e *event.Event) error {
	e.Recipient = r.get("rcpt")
	if kind, known, ok := strings.Cut(r.get("orcpt"), ";"); ok && strings.EqualFold(kind, "rfc822") &&
		plainAddressLength([]byte(known)) == len(known) && !strings.EqualFold(known, e.Recipient) {
		e.Recipient, e.OriginalRecipient = known, e.Recipient
	}
	if e.Recipient == "" {
		return event.Refuse(event.WhyMalformed, "a record without its recipient")
	}
	for _, a := range [2]string{e.Recipient, e.OriginalRecipient} {
		if err := checkAddress([]byte(a)); err != nil {
			return err
		}
	}
	return nil
}

// explain takes over what was said of a failure.
func (r *powermtaRecord) explain(e *event.Event) {
	diagnostic := cmp.Or(r.get("dsndiag"), r.get("dsnstatus")) // 4.4.7 (delivery time expired)
	if kind, said, ok := strings.Cut(diagnostic, ";"); ok && !strings.Contains(kind, " ") {
		diagnostic = strings.TrimSpace(said) // smtp;550 …
	}
	var o outcome
	o.setReply([]byte(diagnostic))
	status := []byte(r.get("dsnstatus"))
	if o.status == "" {
		o.status = string(status[:smtp.StatusLength(status)])
	}
	category := strings.ToLower(r.get("bouncecat"))
	e.Code, e.Status, e.Diagnostic = o.code, o.status, o.diagnostic
	e.Hint = powermtaCategories[category]
	e.NeverHard = category == "message-expired"
}

// powermtaCategories are those of PowerMTA's default <bounce-category-patterns>.
var powermtaCategories = map[string]event.Reason{
	"bad-mailbox":         event.UserUnknown,
	"bad-domain":          event.DomainUnknown,
	"inactive-mailbox":    event.MailboxDisabled,
	"quota-issues":        event.MailboxFull,
	"spam-related":        event.Spam,
	"policy-related":      event.Policy,
	"content-related":     event.Content,
	"virus-related":       event.Content,
	"relaying-issues":     event.RelayDenied,
	"invalid-sender":      event.SenderRejected,
	"protocol-errors":     event.Protocol,
	"routing-errors":      event.RoutingLoop,
	"no-answer-from-host": event.Network,
	"bad-connection":      event.Network,
	"bad-configuration":   event.RemoteSystem,
	"message-expired":     event.Expired,
}

// identify finds the message and the subscriber: in header fields that the file has columns for (header_Message-Id …),
// in the job id, in the envelope sender.
func (p *powermta) identify(r *powermtaRecord, e *event.Event) {
	e.MessageID = loggedMessageID(r.get("header_message-id"))
	subscriber, campaign := r.get("header_x-listmonk-subscriber"), r.get("header_x-listmonk-campaign")
	if campaign == "" {
		campaign = r.get("jobid")
	}
	listmonk.Identify(e, campaign, subscriber)
	p.verp.Complete(e)
}
