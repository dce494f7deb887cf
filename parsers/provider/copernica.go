package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"bouncefeed/internal/address"
	"bouncefeed/internal/config"
	"bouncefeed/internal/event"
	"bouncefeed/internal/smtp"
	"bouncefeed/internal/text"
	"bouncefeed/parsers"
)

type copernicaConfig struct {
	// Accounts are the values of X-Copernica-ID that may post: "account-123", "environment-45".
	Accounts []string `yaml:"accounts"`
	// Hosts are the host names under which Copernica knows this webhook.
	Hosts []string `yaml:"hosts"`
}

func init() { parsers.RegisterMessage("copernica", copernicaConfig{}, buildCopernica) }

// copernica reads the webhooks of Copernica Marketing Suite and of SMTPeter for bounces (every message that comes back
// to the envelope address), failures and abuse reports:
//
//	id=…&type=bounce&time=1795330862&recipient=jo@example.org&envelope=…&mime=…&tags[]=…
//	id=…&type=failure&time=…&recipient=…&action=failed&state=rcpt&code=550&extended=5.1.1&description=…
//	id=…&type=abuse&emailfrom=…&mime=…
type copernica struct {
	formBody
	accounts map[string]bool
	hosts    map[string]bool
	keys     *dkimKeys
	mail     parsers.Parser // of the messages that stand in the requests
}

func buildCopernica(env config.Env, section config.Section, c *copernicaConfig) (parsers.Parser, error) {
	p := &copernica{accounts: map[string]bool{}, hosts: map[string]bool{}, keys: newDKIMKeys()}
	var errs []error
	for i, a := range c.Accounts {
		if kind, number, _ := strings.Cut(a, "-"); kind != "account" && kind != "environment" || number == "" {
			errs = append(errs, section.Errorf(fmt.Sprintf("accounts[%d]", i), "%q is no X-Copernica-ID: account-NUMBER or environment-NUMBER", a))
		}
		p.accounts[strings.ToLower(a)] = true
	}
	for i, h := range c.Hosts {
		if h == "" || strings.ContainsAny(h, "/ ") {
			errs = append(errs, section.Errorf(fmt.Sprintf("hosts[%d]", i), "%q is no host name, as bounces.example.com", h))
		}
		p.hosts[strings.ToLower(h)] = true
	}
	var err error
	p.mail, err = parsers.Modules.Build(env, config.Section{Type: "mail"})
	return p, config.Join("", append(errs, err)...)
}

// Keyed implements parsers.Verifier.
func (p *copernica) Keyed() bool       { return len(p.accounts) > 0 && len(p.hosts) > 0 }
func (p *copernica) KeyNeeded() string { return "accounts and hosts" }

// copernicaSigned is what a signature must cover to be worth anything.
var copernicaSigned = []string{"(request-target)", "host", "date", "x-copernica-id", "digest"}

// Verify implements parsers.Verifier: a signature after draft-cavage-http-signatures, made with a key that stands in the
// DNS below copernica.com. Everything that costs nothing is checked before the DNS is asked.
func (p *copernica) Verify(ctx context.Context, rec event.Record) error {
	s, err := readCavage(rec.Request.Field("Signature"))
	if err != nil {
		return err
	}
	keyID := strings.ToLower(s.keyID)
	switch {
	case s.algorithm != "rsa-sha256":
		return event.Refuse(parsers.WhyBadSignature, "signed with another algorithm than rsa-sha256")
	case !strings.HasSuffix(keyID, ".copernica.com") || !isHostname(keyID):
		return event.Refuse(parsers.WhyBadSignature, "signed with a key outside of copernica.com")
	case !s.covers(copernicaSigned):
		return event.Refuse(parsers.WhyBadSignature, "the signature covers less than %s", strings.Join(copernicaSigned, ", "))
	case !p.accounts[strings.ToLower(rec.Request.Field("X-Copernica-Id"))]:
		return event.Refuse(parsers.WhyWrongAccount, "an X-Copernica-ID that is not among accounts")
	case !p.hosts[hostOnly(rec.Request.Field("Host"))]:
		return event.Refuse(parsers.WhyWrongAccount, "addressed to a host that is not among hosts")
	case !digestMatches(rec.Request.Field("Digest"), rec.Body):
		return event.Refuse(parsers.WhyBadSignature, "the Digest is missing or not that of the body")
	}
	if err := freshDate(rec); err != nil {
		return err
	}
	return p.keys.verify(ctx, keyID, s.signed(rec), s.signature)
}

// Parse implements parsers.Parser.
func (p *copernica) Parse(rec event.Record, emit func(event.Event)) error {
	f, err := readForm(rec.Body)
	if err != nil {
		return err
	}
	v, err := f.each("type", "id", "time", "timestamp", "recipient", "mime")
	if err != nil {
		return err
	}
	hook := copernicaHook{mail: p.mail, read: rec.Time, id: v[1], recipient: address.Of(v[4]), mime: v[5], form: f}
	if at := cmp.Or(v[2], v[3]); at != "" {
		hook.time = timeOf(at, rec.Time)
	}
	switch v[0] {
	case "bounce":
		return hook.bounce(emit)
	case "failure":
		return hook.failure(emit)
	case "abuse":
		return hook.abuse(emit)
	case "":
		return event.Refuse(event.WhyMalformed, "a form without type")
	}
	return nil
}

// A copernicaHook is one request.
type copernicaHook struct {
	mail                parsers.Parser
	read                time.Time
	id, recipient, mime string
	time                time.Time // zero: it does not say
	form                form
}

// message has the mail parser say what mime is.
func (h *copernicaHook) message() (events []event.Event, err error) {
	err = h.mail.Parse(event.Record{Time: h.read, Body: []byte(h.mime)}, func(e event.Event) { events = append(events, e) })
	if err == nil && len(events) == 0 {
		err = event.Refuse(event.WhyMalformed, "a message of which the mail parser says nothing")
	}
	return events, h.inMIME(err)
}

// inMIME says of a refusal that it means mime only, not the whole form.
func (h *copernicaHook) inMIME(err error) error {
	if refused, ok := errors.AsType[*event.RefusedError](err); ok {
		refused.Part = []byte(h.mime)
	}
	return err
}

// bounce tells of what came back. One message went to one recipient: a report of several failures, of an alias or a list,
// is one failure all the same.
func (h *copernicaHook) bounce(emit func(event.Event)) error {
	events, err := h.message()
	if err != nil {
		return err
	}
	best := events[0]
	for _, e := range events[1:] {
		if h.isFor(e) && !h.isFor(best) {
			best = e
		}
	}
	if best.Type != "" && !best.Type.Reported() {
		emit(best)
		return nil
	}
	return h.complete(best, emit)
}

func (h *copernicaHook) isFor(e event.Event) bool {
	return address.Same(e.Recipient, h.recipient) || e.OriginalRecipient != "" && address.Same(e.OriginalRecipient, h.recipient)
}

func (h *copernicaHook) failure(emit func(event.Event)) error {
	v, err := h.form.each("action", "code", "extended", "description")
	if err != nil {
		return err
	}
	if a := strings.ToLower(v[0]); a != "failure" && a != "failed" && a != "" {
		return nil
	}
	e := event.Event{Code: smtp.Code(v[1]), Status: v[2], Diagnostic: v[3]}
	readReply(&e)
	return h.complete(e, emit)
}

// abuse tells of a complaint. Whose it is only the report itself says: emailfrom is who sent the report.
func (h *copernicaHook) abuse(emit func(event.Event)) error {
	events, err := h.message()
	if err != nil {
		return err
	}
	e := events[0]
	switch e.Type {
	case event.Complaint:
	case event.NotSpamReport, event.AuthFailureReport:
		emit(e)
		return nil
	default: // Copernica took it for a complaint, in a form that is not the standard's
		e = event.Event{SubscriberUUID: e.SubscriberUUID, CampaignUUID: e.CampaignUUID, Evidence: e.Evidence, MessageID: e.MessageID, Type: event.Complaint}
		if e.SubscriberUUID == "" {
			return h.inMIME(event.Refuse(parsers.WhyNobody, "a complaint that does not say whose"))
		}
	}
	return h.complete(e, emit)
}

// complete emits e with what Copernica knows of the message. What only the message says, which came to an address that
// anybody may write to, needs proof.
func (h *copernicaHook) complete(e event.Event, emit func(event.Event)) error {
	e.NeedsProof = h.mime != "" && (h.recipient == "" || e.Type == event.Complaint)
	if h.recipient != "" {
		if !address.Valid(h.recipient) {
			return event.Refuse(event.WhyMalformed, "recipient is no address")
		}
		if e.Recipient != "" && !address.Same(e.Recipient, h.recipient) {
			e.OriginalRecipient = e.Recipient
		}
		e.Recipient = h.recipient
	}
	if e.Recipient == "" && e.SubscriberUUID == "" {
		return event.Refuse(parsers.WhyNobody, "names no recipient")
	}
	if !h.time.IsZero() {
		e.Time = h.time
	}
	if h.id != "" { // the message's, the same in every hook about it
		e.ProviderID = "copernica:" + text.Cut(h.id, parsers.MaxName) + ":" + strings.ToLower(e.Recipient)
	}
	identify(&e, func(name string) string { return h.form.entry("parameters", name) })
	parsers.Tidy(&e)
	emit(e)
	return nil
}
