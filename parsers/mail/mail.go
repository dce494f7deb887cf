// Package mail reads whole mails, as mailboxes hold them: reports of failed deliveries in the forms of the standards and in
// words, complaints, and what is only counted. One step takes a message apart, the rest judges the value that it gives.
package mail

import (
	"bytes"
	"time"

	"bouncefeed/internal/address"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/listmonk"
	"bouncefeed/internal/text"
	"bouncefeed/parsers"
)

func init() {
	parsers.RegisterMessage("mail", mailConfig{}, func(config.Env, config.Section, *mailConfig) (parsers.Parser, error) {
		return parser{}, nil
	})
}

type mailConfig struct{}

const maxRecipients = 100 // of one report

// parser reads one message, as a mailbox holds it, and says what it is: a bounce (RFC 3464 or any of the forms
// that came before it and still come), a complaint (RFC 5965), or something that is only counted.
//
// A bounce gives one event for each recipient that finally failed, with Type empty. One that names no recipient gives
// one event without a recipient: it is counted as a bounce and nobody can be told of it. Everything else gives one
// event of its kind. A message without a header is refused; nothing is passed over silently.
type parser struct{}

// whyNoHeader counts records that are no message at all.
const whyNoHeader = "no_message_header"

func (parser) Parse(rec event.Record, emit func(event.Event)) error {
	m, err := openMail(rec)
	if err != nil {
		return err
	}
	events, err := m.events()
	if err != nil {
		return err
	}
	for _, e := range events {
		parsers.Tidy(&e)
		emit(e)
	}
	return nil
}

// message is a message taken apart, and then only read: whatever is judged of it doesn't depend on what was asked
// before. Its own structure is kept apart from what it returns: a delivery-status part inside an enclosed message is what
// somebody forwarded, not what this message reports.
type message struct {
	read   time.Time // when the input read it
	header header
	typ    string // lower-case media type
	params params
	ownParts
	from     sender
	body     string // the text for humans, without the returned copy
	folded   *foldedBody
	returned returnedMail
}

// ownParts are a message's own parts by what they are for.
type ownParts struct {
	status, feedback, disposition *mimeEntity
	texts, pages, enclosed        []*mimeEntity // text/plain, text/html, returned messages or their headers
	archives                      int           // compressed attachments, as in DMARC aggregate reports
}

// returnedMail is what a message says of the one that it returns, in parts of its own or in its text.
type returnedMail struct {
	header header   // nil: nothing is returned
	to     []string // the addresses in its To
	report []byte   // a report that this one returns, a whole message
	proof  proof
}

func openMail(rec event.Record) (*message, error) {
	r := mimeReader{left: maxParts}
	body := unixLines(rec.Body)
	if rec.Truncated {
		body = wholeWords(body)
	}
	root := r.open(body, 0)
	if len(root.header) == 0 {
		return nil, event.Refuse(whyNoHeader, "%d bytes that do not begin with a header field", len(rec.Body))
	}
	return takeApart(root, &r, rec.Time), nil
}

func takeApart(root *mimeEntity, r *mimeReader, read time.Time) *message {
	m := &message{read: read, header: root.header, typ: root.typ, params: root.params}
	m.sort(root, root.typ == "multipart/report")
	m.from = readSender(m.header)
	m.returned.readParts(m.header, m.enclosed, r)
	whole := m.returned.firstText(m.texts)
	if whole == "" {
		whole = m.returned.firstText(m.pages)
	}
	m.setBody(m.returned.readText(whole))
	return m
}

// page is the same message with its HTML page taken for the text.
func (m *message) page() *message {
	p := *m
	p.setBody(p.returned.readText(p.returned.firstText(p.pages)))
	return &p
}

// sort puts e, or the parts of it, in their places. inReport says that the message is a multipart/report.
func (p *ownParts) sort(e *mimeEntity, inReport bool) {
	for _, part := range e.parts {
		p.sort(part, inReport)
	}
	if len(e.parts) > 0 {
		return
	}
	if p.status == nil && inReport && e.hidesStatus() {
		p.status = e
		return
	}
	switch e.typ {
	case "message/delivery-status", "message/global-delivery-status", "text/delivery-status":
		keepFirst(&p.status, e)
	case "message/feedback-report":
		keepFirst(&p.feedback, e)
	case "message/disposition-notification", "message/global-disposition-notification":
		keepFirst(&p.disposition, e)
	case "text/html":
		p.pages = append(p.pages, e)
	case "application/zip", "application/gzip", "application/x-gzip", "application/x-zip-compressed", "application/tlsrpt+gzip":
		p.archives++
	default:
		if e.isEnclosed() {
			p.enclosed = append(p.enclosed, e)
		} else if e.isText() {
			p.texts = append(p.texts, e)
		}
	}
}

func keepFirst(place **mimeEntity, e *mimeEntity) {
	if *place == nil {
		*place = e
	}
}

// readParts finds the returned message, or its header, in the parts and in it whose message it was; own is the report's header.
func (t *returnedMail) readParts(own header, enclosed []*mimeEntity, r *mimeReader) {
	for _, name := range []string{"To", "Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "X-Rcpt-To", "Return-Path"} {
		own.each(name, t.proof.addVERP)
	}
	for _, e := range enclosed {
		raw := e.decoded(maxText)
		h, body := cutHeader(raw)
		if t.header == nil {
			t.header = h
		}
		t.proof.addReturned(h)
		if typ, _ := mediaType(h.get("Content-Type")); typ != "multipart/report" {
			continue // what it encloses is what somebody forwarded
		}
		if t.report == nil {
			t.report = raw
		}
		if t.proof.Subscriber == "" && r.left > 0 {
			t.proof.searchDeeper(r, r.entity(h, body, e.depth+1))
		}
	}
}

// searchDeeper looks for our UUIDs inside a report that is returned: a mail system may wrap another's in words of its own.
func (p *proof) searchDeeper(r *mimeReader, e *mimeEntity) {
	for _, part := range e.parts {
		p.searchDeeper(r, part)
	}
	switch {
	case len(e.parts) > 0:
	case e.isEnclosed() && r.left > 0 && e.depth < maxDepth:
		h, body := cutHeader(e.decoded(maxText))
		p.addReturned(h)
		p.searchDeeper(r, r.entity(h, body, e.depth+1))
	case e.isText() && bytes.Contains(bytes.ToLower(e.body[:min(len(e.body), maxWords)]), []byte("x-listmonk-")):
		p.AddRaw(e.text())
	}
}

// events is the verdict, an error for what has two readings. The order matters: what a standard marks comes before what only
// words tell.
func (m *message) events() ([]event.Event, error) {
	switch {
	case m.feedback != nil:
		return m.arfEvents(), nil
	case m.isOptOut():
		return m.optOut(), nil
	case m.disposition != nil:
		return m.dispositionEvents(), nil
	case m.isPostmasterCopy():
		return m.only(event.Ordinary), nil
	}
	if m.status != nil && m.isReport() {
		if m.isChallenge() {
			return m.only(event.Challenge), nil
		}
		text := toUTF8(m.status.decoded(maxText), m.status.params.get("charset"))
		if events, err := m.dsnEvents(parseDSN(text, m.splitsWord)); len(events) > 0 || err != nil {
			return events, err
		}
	}
	if events := m.snsEvents(); len(events) > 0 {
		return events, nil
	}
	p := newProse(m)
	switch kind := p.kind(); kind {
	case "":
		return p.bounces()
	case event.Complaint:
		return m.complaint(), nil
	default:
		return m.only(kind), nil
	}
}

// isPostmasterCopy knows what Postfix sends to the postmaster besides what it tells the sender. Sendmail's "Postmaster
// notify" is none: where a list's sender has no mailbox, it is all there is.
func (m *message) isPostmasterCopy() bool {
	subject := m.header.get("Subject")
	return text.HasPrefixFold(subject, "Postmaster Copy:") || text.HasPrefixFold(subject, "Postmaster Warning:")
}

// only is the answer for a message that is counted under kind and says nothing else.
func (m *message) only(kind event.Type) []event.Event {
	e := m.event()
	e.Type = kind
	return []event.Event{unledgered(e)}
}

// unledgered takes the Message-ID off a success report: what the agent's ledger holds as delivered proves later bounces,
// and anybody can write us a success report.
func unledgered(e event.Event) event.Event {
	if e.Type == event.Delivered {
		e.MessageID = ""
	}
	return e
}

// event is what all events of this message have in common.
func (m *message) event() event.Event {
	e := event.Event{
		Time:           m.time(m.header.get("Date")),
		SubscriberUUID: m.returned.proof.Subscriber,
		CampaignUUID:   m.returned.proof.Campaign,
		Evidence:       m.returned.proof.Evidence,
		MessageID:      m.originalID(),
	}
	e.QueueID, e.QueueIDIssuer = eximQueueID(m.returned.header)
	if sender := address.Of(m.returned.header.get("Return-Path")); sender != "" {
		e.Sender = sender
	} else if to := m.header.addresses("To"); len(to) > 0 {
		e.Sender = address.Peel(to[0])
	}
	return e
}

// originalID is the returned message's Message-ID; Exchange and Gmail also answer to it.
func (m *message) originalID() string {
	if id := listmonk.CleanMessageID(m.returned.header.get("Message-ID")); id != "" {
		return id
	}
	return listmonk.CleanMessageID(m.header.get("In-Reply-To"))
}

// time reads a Date. A clock that is missing or far off is not believed: then it is when the message was read.
func (m *message) time(date string) time.Time {
	t, err := event.MailDate(date)
	if err != nil {
		return m.read
	}
	return event.BelieveTime(t, m.read)
}
